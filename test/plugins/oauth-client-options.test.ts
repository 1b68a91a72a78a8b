/** What stops the start, and in which words. */
import { generateKeyPairSync } from "node:crypto";
import { expect, test } from "vitest";
import { createPenstock } from "mcp-penstock";
import { type OAuthClientOptions, oauthClient } from "mcp-penstock/plugins/oauth-client";

const good = {
  grant: "client_credentials",
  tokenEndpoint: "https://login.example.com/token",
  clientId: "penstock",
  clientSecret: "canary-secret-0123",
} as const;
const { clientSecret: _, ...noSecret } = good;
const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
const pem = ec.privateKey.export({ type: "pkcs8", format: "pem" }) as string;
const jwk = ec.privateKey.export({ format: "jwk" }) as Record<string, unknown>;
const { d: _d, ...publicJwk } = jwk;

const make = (options: unknown) => oauthClient(options as OAuthClientOptions);
const servers = { docs: { url: "http://127.0.0.1:9/mcp" } };

test.each<[unknown, string]>([
  [undefined, "grant may be"],
  [{ ...good, grant: "password" }, "grant may be client_credentials, token-exchange, id-jag"],
  [{ ...good, scope: "read" }, "`scope` is no option"],
  [{ ...good, subjectTokenType: "x" }, "`subjectTokenType` is no option of client_credentials"],
  [{ ...good, clientId: undefined }, "clientId is needed"],
  [noSecret, "clientSecret or privateKey is needed"],
  [{ ...good, clientSecret: "" }, "clientSecret must be"],
  [{ ...good, clientSecret: "${CANARY_SECRET}" }, "a placeholder stands there"],
  [{ ...good, privateKey: pem }, "only one of them"],
  [{ ...good, authMethod: "client_secret_jwt" }, "authMethod may be"],
  [{ ...good, authMethod: "private_key_jwt" }, "private_key_jwt goes with privateKey"],
  [{ ...noSecret, privateKey: pem, authMethod: "client_secret_post" }, "client_secret_post goes with clientSecret"],
  [{ ...noSecret, privateKey: publicJwk }, "the JWK has no private part"],
  [{ ...noSecret, privateKey: "-----BEGIN RSA PRIVATE KEY-----canary" }, "openssl pkcs8"],
  [{ ...good, tokenEndpoint: "http://login.example.com/token" }, "tokenEndpoint must be an https: URL"],
  [{ ...good, tokenEndpoint: "login.example.com" }, "tokenEndpoint must be an https: URL"],
  [{ ...good, issuer: "https://u:canary@login.example.com" }, "user, password and fragment"],
  [{ ...good, issuer: "https://login.example.com?x" }, "an issuer has no query"],
  [{ ...good, scopes: [] }, "scopes must be"],
  [{ ...good, scopes: ["a b"] }, "scopes must be"],
  [{ ...good, audience: "" }, "audience must be"],
  [{ ...good, resource: "docs" }, "resource must be"],
  [{ ...good, resource: "https://docs.example.com/#a" }, "resource must be"],
  [{ ...good, margin: -1 }, "margin must be a time"],
  [{ ...good, floor: "10" }, "floor must be a time"],
  [{ ...good, lifetime: 0 }, "lifetime must be a time above 0"],
  [{ ...good, timeout: 0 }, "timeout must be a time above 0"],
  [{ ...good, grant: "id-jag" }, "idp: the identity provider is needed"],
  [{ ...good, grant: "id-jag", idp: { clientId: "a", clientSecret: "b" } }, "idp.issuer or idp.tokenEndpoint"],
  [{ ...good, grant: "id-jag", idp: { ...noSecret, grant: undefined, clientSecret: "b" } }, "issuer is needed beside"],
  [{ tokens: {} }, "at least one"],
  [{ tokens: { anna: undefined } }, 'tokens["anna"]: there is no token'],
  [{ tokens: { anna: "two words" } }, 'tokens["anna"]: a token is visible ASCII'],
  [{ tokens: { anna: "a" }, grant: "client_credentials" }, "`grant` does not go with tokens"],
  [{ tokens: { anna: "a" }, header: "x y" }, "header must be"],
  [{ tokens: "a" }, "tokens must be a table"],
])("%j is refused: %s", (options, why) => {
  let error: unknown;
  try {
    make(options);
  } catch (cause) {
    error = cause;
  }
  expect(error).toMatchObject({ code: "BAD_OPTION", message: expect.stringContaining(why) as string });
  expect(String(error)).toContain("oauth-client");
  expect(String(error)).not.toMatch(/canary/);
});

test.each(["PENSTOCK_TOKEN_MARGIN", "PENSTOCK_TOKEN_FLOOR", "PENSTOCK_TOKEN_LIFETIME", "PENSTOCK_TOKEN_TIMEOUT"])(
  "%s is read, and a wrong one is refused by its name",
  (name) => {
    process.env[name] = "soon";
    try {
      expect(() => make(good)).toThrow(`The environment variable ${name} is "soon"`);
      process.env[name] = "1000";
      expect(() => make(good)).not.toThrow();
    } finally {
      delete process.env[name];
    }
  },
);

test("a key that cannot be read stops the start, and nothing of it is said", async () => {
  const text = "-----BEGIN PRIVATE KEY-----\ncanarycanarycanary\n-----END PRIVATE KEY-----";
  for (const [privateKey, algorithm] of [
    [text, undefined],
    [pem, "RS256"],
    [{ kty: "oct", d: "x", k: "canary" }, "HS256"],
  ] as const) {
    const penstock = createPenstock({ servers, plugins: [make({ ...noSecret, privateKey, algorithm })] });
    const error = await penstock.ready().catch((cause: unknown) => cause);
    expect(error).toMatchObject({
      code: "BAD_OPTION",
      message: expect.stringContaining("privateKey: the key") as string,
    });
    expect(String(error)).not.toContain("canary");
    await penstock.close();
  }
});

test("two for one server stop the start", async () => {
  const penstock = createPenstock({
    servers: { docs: { ...servers.docs, plugins: [make(good)] } },
    plugins: [make(good)],
  });
  await expect(penstock.ready()).rejects.toThrow("Two of them are there for server 'docs'");
  await penstock.close();
});

test("a header of the configuration wins, and so do callers who log in by themselves: it is said once", async () => {
  const log: string[] = [];
  const note = (text: string | (() => string)) => void log.push(typeof text === "string" ? text : text());
  const logger = { debug() {}, info() {}, warn: note, error: note };
  const penstock = createPenstock(
    {
      servers: {
        docs: { ...servers.docs, headers: { Authorization: "Bearer configured" } },
        open: { ...servers.docs, auth: "passthrough" },
        local: { command: "true" },
        other: { ...servers.docs, headers: { "x-key": "1" } },
      },
      plugins: [make(good)],
    },
    { logger },
  );
  await penstock.ready();
  expect(log).toEqual([
    "docs: oauth-client does nothing there: its `headers` set authorization, which is sent.",
    'open: oauth-client does nothing there: with auth: "passthrough" its callers bring their own credentials.',
  ]);
  expect(Object.values(penstock.report()).map(({ credential }) => credential)).toEqual([
    undefined,
    undefined,
    undefined,
    "oauth client credentials at https://login.example.com",
  ]);
  await penstock.close();
});
