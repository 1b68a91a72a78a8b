/** Who logged in, where the provider speaks OpenID Connect: the id_token decides, and a wrong one is no login. */
import { type CryptoKey, SignJWT, exportJWK, generateKeyPair } from "jose";
import { expect, test } from "vitest";
import { createPenstock } from "mcp-penstock";
import { logInRaw, newBrowser, rawOAuthClient, callWith, walk } from "../_harness/broker-login.ts";
import { brokerOptions } from "../_harness/broker-proxy.ts";
import { closeable } from "../_harness/loopback.ts";
import { mounts, oauthBroker, oauthRoot } from "../_harness/plugins.ts";
import { startProvider, wanting } from "../_harness/provider.ts";
import { testScope } from "../_harness/scope.ts";
import { recordingServer } from "../_harness/servers/http.ts";
import { startLegacyServer } from "../_harness/servers.ts";

const use = testScope();

/** A provider with keys; its id_tokens say what `claims` says, signed with `sign`. */
async function start() {
  const { publicKey, privateKey } = await generateKeyPair("RS256");
  const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid: "1", alg: "RS256", use: "sig" }] };
  const host = await recordingServer(
    async () => {},
    (_recorded, _request, response) => {
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(jwks));
      return true;
    },
  );
  await use(closeable({ close: host.stop }));
  const metadata = { jwks_uri: `http://127.0.0.1:${host.port}/jwks` };
  const provider = await use(startProvider({ metadata }));
  const told = { claims: {} as Record<string, unknown>, sign: privateKey as CryptoKey };
  provider.idToken = async () => {
    const login = new URL(provider.requests.findLast(({ target }) => target.startsWith("/login"))!.target, "http://x");
    const claims = { iss: provider.issuer, aud: "penstock", nonce: login.searchParams.get("nonce"), sub: "anna" };
    return new SignJWT({ ...claims, ...told.claims })
      .setProtectedHeader({ alg: "RS256", kid: "1" })
      .setIssuedAt()
      .setExpirationTime("5m")
      .sign(told.sign);
  };
  const server = await use(startLegacyServer({ sessions: false, intercept: wanting(provider) }));
  const seen: string[] = [];
  const watch = { name: "watch", done: ({ principal }: { principal: { id: string } }) => void seen.push(principal.id) };
  // Keys are fetched from another origin than the issuer's, so the operator has to name it: here by a fetch of his own.
  const login = oauthBroker(brokerOptions(provider, { providerScopes: ["openid"], fetch: fetch as never }));
  const servers = { docs: { url: server.url } };
  const penstock = createPenstock({ servers, plugins: [mounts(), oauthRoot(), login, watch] as never });
  const front = await penstock.serve({ port: 0 });
  await use(closeable({ close: () => front.close() }));
  const url = front.url.replace(/\/$/, "");
  return { provider, told, seen, base: `${url}/docs`, mcp: `${url}/docs/mcp` };
}

test("the principal is issuer and subject, the same for each login of one user", async () => {
  const { base, mcp, told, provider, seen } = await start();
  for (const sub of ["anna", "anna", "bert"]) {
    told.claims = { sub };
    const { access_token } = await logInRaw(await rawOAuthClient(base));
    expect((await callWith(mcp, access_token)).status).toBe(200);
  }
  expect(seen).toEqual([`${provider.issuer}#anna`, `${provider.issuer}#anna`, `${provider.issuer}#bert`]);
});

test.each([
  ["of another issuer", { iss: "https://other.example" }],
  ["for another client", { aud: "another" }],
  ["of another login", { nonce: "x" }],
  ["without a user", { sub: undefined }],
])("an id_token %s is no login", async (_name, claims) => {
  const { base, told } = await start();
  told.claims = claims;
  const client = await rawOAuthClient(base);
  expect((await client.redeem(await walk(newBrowser(), client.link()))).status).toBe(503);
});

test("an id_token that somebody else signed is no login", async () => {
  const { base, told } = await start();
  told.sign = (await generateKeyPair("RS256")).privateKey as CryptoKey;
  const client = await rawOAuthClient(base);
  expect((await client.redeem(await walk(newBrowser(), client.link()))).status).toBe(503);
});
