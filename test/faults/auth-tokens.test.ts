/** Access tokens of an authorization server: which count, what the others are told, and that no server ever gets one. */
import { SignJWT, base64url } from "jose";
import { bearerAuth, mounts, requestLog } from "../_harness/plugins.ts";
import { startProxy } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { scripted } from "../_harness/scripted.ts";
import { rawSse } from "../_harness/sse-client.ts";
import { ASKING, proofKey, startTokenIssuer } from "../_harness/token-issuer.ts";
import { SSE_HEAD, chunk, jsonAnswer } from "../_harness/wire.ts";
import { describe, expect, test } from "vitest";
import { asking } from "./asking.ts";

const use = testScope();
/** As the Host of every request says. */
const origin = "http://localhost";
const aud = `${origin}/one/mcp`;
const METHODS = ["POST", "GET", "DELETE"];

/** Two servers behind tokens of one issuer. */
async function started(options: object = {}) {
  const issuer = await use(startTokenIssuer());
  const upstream = await scripted(({ method }) => (method === "GET" ? SSE_HEAD + chunk("") : jsonAnswer("{}")));
  await use(upstream.server);
  const server = { url: `${upstream.server.url}/mcp` };
  const auth = bearerAuth({ issuers: { issuer: issuer.issuer, ...options }, scopes: ["use"] });
  const proxy = await use(
    startProxy({ servers: { one: server, two: server }, plugins: [mounts(), auth, requestLog()] }),
  );
  const port = Number(new URL(proxy.url).port);
  return {
    issuer,
    upstream,
    port,
    token: (claims: object = {}, header: object = {}) =>
      issuer.token({ aud, scope: "use", ...claims }, header as never),
    ask: (fields: readonly string[], method = "POST", target = "/one/mcp") =>
      asking(use, port)({ method, target, fields }),
  };
}

describe("AU-02 a token", () => {
  test("that does not count is refused on every method, with a challenge; the server hears of none", async () => {
    const { issuer, upstream, token, ask } = await started();
    const now = Math.floor(Date.now() / 1000);
    const good = await token();
    const [head, body, signature] = good.split(".") as [string, string, string];
    const none = base64url.encode(JSON.stringify({ alg: "none" }));
    const publicKey = new TextEncoder().encode(JSON.stringify(issuer.publicKey()));
    const stranger = await use(startTokenIssuer());
    const bad: Record<string, string> = {
      expired: await token({ exp: now - 60 }),
      early: await token({ nbf: now + 60 }),
      endless: await token({ exp: undefined }),
      neighbour: await token({ aud: `${origin}/two/mcp` }),
      origin: await token({ aud: origin }),
      otherHost: await token({ aud: "http://localhost:1/one/mcp" }),
      nobody: await token({ aud: undefined }),
      otherIssuer: await token({ iss: "https://as.example.com" }),
      unsigned: `${none}.${body}.`,
      unsignedWithSignature: `${none}.${body}.${signature}`,
      publicKeyAsSecret: await new SignJWT({ iss: issuer.issuer, sub: "anna", aud, exp: now + 60 })
        .setProtectedHeader({ alg: "HS256", kid: "key-1" })
        .sign(publicKey),
      changed: `${head}.${base64url.encode(new TextDecoder().decode(base64url.decode(body)).replace("anna", "bert"))}.${signature}`,
      unknownKey: await stranger.token({ aud, iss: issuer.issuer, scope: "use" }, { kid: "key-7" }),
      strangersKey: await stranger.token({ aud, iss: issuer.issuer, scope: "use" }),
      anotherType: await token({}, { typ: "oauth-id-jag+jwt" }),
      garbage: "x",
    };
    const metadata = `resource_metadata="${origin}/.well-known/oauth-protected-resource/one/mcp"`;
    for (const [name, one] of Object.entries(bad))
      for (const method of METHODS) {
        const { status, headers } = await ask([`authorization: Bearer ${one}`], method);
        const challenge = headers["www-authenticate"];
        expect([name, method, status]).toEqual([name, method, 401]);
        expect(challenge).toMatch(/^Bearer error="invalid_token", error_description="[^"]+", scope="use", /);
        expect(challenge).toContain(metadata);
        expect(headers["cache-control"]).toBe("no-store");
      }
    for (const fields of [[], ["authorization: Basic YTpi"], [`x-token: ${good}`], [`cookie: token=${good}`]])
      for (const method of METHODS) {
        const { status, headers } = await ask(fields, method);
        expect([status, headers["www-authenticate"]]).toEqual([401, `Bearer scope="use", ${metadata}`]);
      }
    for (const value of ["Bearer", "bearer ", `Bearer ${good} ${good}`, `Bearer ${good}, Bearer ${good}`]) {
      const { status, headers } = await ask([`authorization: ${value}`]);
      expect([status, headers["www-authenticate"]]).toEqual([400, expect.stringContaining('error="invalid_request"')]);
    }
    expect((await ask([`authorization: Bearer ${good}`, `authorization: Bearer ${good}`])).status).toBe(400);
    expect((await ask([`authorization: Bearer ${"x".repeat(65_536)}`])).status).toBe(431);
    expect(upstream.requests).toHaveLength(0);
    expect((await ask([`authorization: Bearer ${good}`])).status).toBe(200);
    expect(upstream.requests).toHaveLength(1);
  });

  test("without the scope is 403, and says which; of an issuer that is down 503, without a challenge", async () => {
    const { issuer, token, ask, upstream } = await started();
    issuer.down(true);
    const down = await ask([`authorization: Bearer ${await token()}`]);
    expect([down.status, down.headers["retry-after"], down.headers["www-authenticate"]]).toEqual([503, "5", undefined]);
    const other = await started();
    const { status, headers } = await other.ask([`authorization: Bearer ${await other.token({ scope: "else" })}`]);
    expect([status, headers["www-authenticate"]]).toEqual([
      403,
      expect.stringMatching(/^Bearer error="insufficient_scope",.* scope="use", resource_metadata="/),
    ]);
    expect([upstream.requests.length, other.upstream.requests.length]).toEqual([0, 0]);
  });

  test("that nobody can read is asked about; one that is bound to a key needs a new proof each time", async () => {
    const { issuer, ask, upstream } = await started({ introspection: ASKING });
    const key = await proofKey();
    const plain = issuer.opaque({ aud, scope: "use" });
    const bound = issuer.opaque({ aud, scope: "use", cnf: key.cnf });
    const status = async (...fields: string[]) => (await ask(fields)).status;
    expect(await status(`authorization: Bearer ${plain}`)).toBe(200);
    expect(await status(`authorization: Bearer ${issuer.opaque({ aud: origin, scope: "use" })}`)).toBe(401);
    expect(await status("authorization: Bearer opaque-unknown")).toBe(401);
    const proof = `dpop: ${await key.proof({ url: aud, token: bound })}`;
    expect(await status(`authorization: Bearer ${bound}`, proof)).toBe(401);
    expect(await status(`authorization: DPoP ${bound}`)).toBe(401);
    expect(await status(`authorization: DPoP ${bound}`, proof)).toBe(200);
    expect(await status(`authorization: DPoP ${bound}`, proof)).toBe(401);
    expect(upstream.requests).toHaveLength(2);
  });

  test("is needed for each message of a client of HTTP+SSE, and its stream", async () => {
    const { token, ask, port } = await started();
    expect((await ask([], "GET", "/one/sse")).status).toBe(401);
    const good = `authorization: Bearer ${await token({ aud: `${origin}/one/sse` })}`;
    const client = await rawSse(use, port, { path: "/one/sse", fields: [good] });
    const other = `authorization: Bearer ${await token({ aud: `${origin}/one/sse`, sub: "bert" })}`;
    const statuses = [];
    for (const fields of [[], ["authorization: Bearer x"], [other], [good]])
      statuses.push((await ask([...fields], "POST", client.endpoint)).status);
    expect(statuses).toEqual([401, 401, 404, 202]);
    await client.stream.close();
  });
});

test("AU-01 a token and its proof reach no server, by no method and no transport", async () => {
  const { token, ask, upstream, port, issuer } = await started();
  const key = await proofKey();
  for (const method of METHODS) {
    const bound = await token({ cnf: key.cnf });
    const proof = await key.proof({ method, url: aud, token: bound });
    expect((await ask([`authorization: DPoP ${bound}`, `dpop: ${proof}`], method)).status).toBe(200);
    expect((await ask([`authorization: Bearer ${await token()}`], method)).status).toBe(200);
  }
  const fields = [`authorization: Bearer ${await issuer.token({ aud: `${origin}/one/sse`, scope: "use" })}`];
  const client = await rawSse(use, port, { path: "/one/sse", fields });
  await client.post('{"jsonrpc":"2.0","id":1,"method":"tools/list"}');
  await expect.poll(() => upstream.requests.length).toBeGreaterThan(2 * METHODS.length);
  for (const { rawHeaders, target, body } of upstream.requests)
    expect(JSON.stringify([rawHeaders, target, body])).not.toMatch(/eyJ|authorization|dpop/i);
  await client.stream.close();
});
