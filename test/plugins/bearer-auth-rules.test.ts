/** What a token allows: scopes, sessions, and tokens that are bound to a key. */
import { describe, expect, test } from "vitest";
import { oauthRelay } from "mcp-penstock/plugins/oauth-relay";
import { bearerAuth } from "mcp-penstock/plugins/bearer-auth";
import { sessions } from "mcp-penstock/plugins/sessions";
import { createPenstock } from "mcp-penstock";
import { parseChallenges } from "../../plugins/_challenges.ts";
import { testScope } from "../_harness/scope.ts";
import { proofKey, startTokenIssuer } from "../_harness/token-issuer.ts";
import { DOCS, METADATA, startBearer } from "./bearer-auth-fixture.ts";

const use = testScope();
const paramsOf = (field: string | null) =>
  parseChallenges(field ?? "")!.map(({ scheme, params }) => ({
    scheme,
    ...Object.fromEntries(params.map(({ name, value }) => [name, value])),
  }));

describe("scopes", () => {
  const tools = { "delete_*": ["files:write"], delete_all: ["admin"] };

  test("of the mount are needed by every request", async () => {
    const issuer = await use(startTokenIssuer());
    const { ask, server } = startBearer(use, { issuers: issuer.issuer, scopes: ["a", "b"] });
    for (const method of ["POST", "GET", "DELETE"]) {
      const { status, challenge, text } = await ask(`Bearer ${await issuer.token({ aud: DOCS, scope: "b" })}`, {
        method,
      });
      expect([status, paramsOf(challenge)]).toEqual([
        403,
        [
          {
            scheme: "Bearer",
            error: "insufficient_scope",
            error_description: "This needs scopes that the token does not have.",
            scope: "a b",
            resource_metadata: METADATA,
          },
        ],
      ]);
      expect(text).toContain("INSUFFICIENT_SCOPE");
    }
    expect(server.requests).toHaveLength(0);
    expect((await ask(`Bearer ${await issuer.token({ aud: DOCS, scope: "b a c" })}`)).status).toBe(200);
  });

  test("of a tool are needed by calls of it, all at once; the list shows it all the same", async () => {
    const issuer = await use(startTokenIssuer());
    const { ask, server } = startBearer(use, { issuers: issuer.issuer, scopes: ["use"], tools });
    const token = async (scope: string) => `Bearer ${await issuer.token({ aud: DOCS, scope })}`;
    const { status, challenge, text } = await ask(await token("use files:write"), { tool: "delete_all" });
    expect([status, paramsOf(challenge)]).toMatchObject([
      403,
      [{ error: "insufficient_scope", scope: "use files:write admin", resource_metadata: METADATA }],
    ]);
    expect(JSON.parse(text)).toMatchObject({ id: 1, error: { data: { code: "INSUFFICIENT_SCOPE" } } });
    expect(server.requests).toHaveLength(0);
    expect((await ask(await token("use files:write admin"), { tool: "delete_all" })).status).toBe(200);
    expect((await ask(await token("use"), { tool: "echo" })).status).toBe(200);
    expect((await ask(await token("use"))).text).toContain("delete_all");
  });

  test("cannot be got round by a call without a name", async () => {
    const issuer = await use(startTokenIssuer());
    const { penstock, server } = startBearer(use, { issuers: issuer.issuer, tools });
    const authorization = `Bearer ${await issuer.token({ aud: DOCS })}`;
    for (const params of ['{"name":["delete_all"]}', "{}", '{"Name":"delete_all"}', "null", "[]"]) {
      const answer = await penstock.fetch(
        new Request("http://localhost/docs/mcp", {
          method: "POST",
          body: `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":${params}}`,
          headers: { authorization, "content-type": "application/json" },
        }),
      );
      expect([params, await answer.text()]).toEqual([params, expect.stringContaining('"error"')]);
    }
    expect(server.requests).toHaveLength(0);
  });

  test("that everything needs are in the mount's metadata, those of tools are not", async () => {
    const { penstock } = startBearer(use, {
      issuers: "https://as.example.com",
      scopes: ["use"],
      tools,
      dpop: "required",
    });
    const answer = await penstock.fetch(new Request("http://localhost/.well-known/oauth-protected-resource/docs/mcp"));
    expect(await answer.json()).toMatchObject({
      resource: DOCS,
      authorization_servers: ["https://as.example.com"],
      scopes_supported: ["use"],
      bearer_methods_supported: ["header"],
      dpop_bound_access_tokens_required: true,
    });
  });
});

test("a session is of the one who opened it, whatever token he has now", async () => {
  const issuer = await use(startTokenIssuer());
  const { penstock } = startBearer(use, { issuers: issuer.issuer }, { around: sessions() });
  const post = async (sub: string, method: string, session?: string) => {
    const authorization = `Bearer ${await issuer.token({ aud: DOCS, sub, jti: crypto.randomUUID() })}`;
    const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "t", version: "1" } };
    return penstock.fetch(
      new Request("http://localhost/docs/mcp", {
        method: "POST",
        body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params: method === "initialize" ? params : {} }),
        headers: {
          authorization,
          "content-type": "application/json",
          accept: "application/json, text/event-stream",
          ...(session && { "mcp-session-id": session }),
        },
      }),
    );
  };
  const opened = await post("anna", "initialize");
  const id = opened.headers.get("mcp-session-id")!;
  await opened.text();
  expect((await post("bert", "tools/list", id)).status).toBe(404);
  expect((await post("anna", "tools/list", id)).status).toBe(200);
});

describe("tokens that are bound to a key", () => {
  async function bound(options: object = {}) {
    const issuer = await use(startTokenIssuer());
    const key = await proofKey();
    const token = await issuer.token({ aud: DOCS, cnf: key.cnf });
    const made = startBearer(use, { issuers: issuer.issuer, ...options });
    return { issuer, key, token, ...made, of: { url: DOCS, token } };
  }
  const error = (field: string | null) => (paramsOf(field)[0] as { error?: string; scheme: string }).error;

  test("are let in with a proof, once each, for each method", async () => {
    const { ask, key, token, of } = await bound();
    for (const method of ["POST", "GET", "DELETE"]) {
      const dpop = await key.proof({ ...of, method });
      expect((await ask(`DPoP ${token}`, { method, headers: { dpop } })).status).toBe(200);
      const again = await ask(`DPoP ${token}`, { method, headers: { dpop } });
      expect([again.status, error(again.challenge)]).toEqual([401, "invalid_dpop_proof"]);
    }
    const dpop = await key.proof({ ...of, url: `${DOCS}?x=1#y` });
    expect((await ask(`dpop ${token}`, { headers: { dpop } })).status).toBe(200);
  });

  test("are refused without their proof", async () => {
    const { ask, issuer, key, token, of, server } = await bound();
    const stranger = await proofKey();
    const seconds = Math.floor(Date.now() / 1000);
    const good = await key.proof(of);
    const proofs: (string | undefined)[] = [
      undefined,
      "",
      "x",
      `${good}, ${good}`,
      await stranger.proof(of),
      await key.proof({ ...of, method: "GET" }),
      await key.proof({ ...of, url: "https://gw.example.com/notes/mcp" }),
      await key.proof({ ...of, url: "http://gw.example.com/docs/mcp" }),
      await key.proof({ ...of, url: "http://localhost/docs/mcp" }),
      await key.proof({ ...of, token: "another" }),
      await key.proof(of, { ath: undefined }),
      await key.proof(of, { iat: seconds - 100 }),
      await key.proof(of, { iat: seconds + 100 }),
      await key.proof(of, { iat: undefined }),
      await key.proof(of, { jti: undefined }),
      await key.proof(of, { jti: "x".repeat(300) }),
      await key.proof(of, {}, { typ: "JWT" }),
      await key.proof(of, {}, { jwk: undefined }),
    ];
    for (const [i, dpop] of proofs.entries()) {
      const answer = await ask(`DPoP ${token}`, dpop === undefined ? {} : { headers: { dpop } });
      expect([i, answer.status, error(answer.challenge)]).toEqual([i, 401, "invalid_dpop_proof"]);
      expect(paramsOf(answer.challenge)[0]).toMatchObject({ scheme: "DPoP", resource_metadata: METADATA });
    }
    // Stolen and presented as if it were not bound; and one that is not bound, as if it were.
    for (const credential of [`Bearer ${token}`, `DPoP ${await issuer.token({ aud: DOCS })}`]) {
      const answer = await ask(credential, { headers: { dpop: good } });
      expect([answer.status, error(answer.challenge)]).toEqual([401, "invalid_token"]);
    }
    expect(server.requests).toHaveLength(0);
    expect((await ask(`DPoP ${token}`, { headers: { dpop: good } })).status).toBe(200);
  });

  test("are for the public URL, behind a prefix too", async () => {
    const issuer = await use(startTokenIssuer());
    const key = await proofKey();
    const { ask } = startBearer(use, { issuers: issuer.issuer }, { publicUrl: "https://h.example.com/team" });
    const url = "https://h.example.com/team/docs/mcp";
    const token = await issuer.token({ aud: url, cnf: key.cnf });
    const dpop = await key.proof({ url, token });
    expect((await ask(`DPoP ${token}`, { headers: { dpop } })).status).toBe(200);
  });

  test("may be the only ones", async () => {
    const { ask, issuer } = await bound({ dpop: "required" });
    const answer = await ask(`Bearer ${await issuer.token({ aud: DOCS })}`);
    expect(paramsOf(answer.challenge)).toMatchObject([{ scheme: "DPoP", error: "invalid_token" }]);
    expect(paramsOf((await ask()).challenge)).toMatchObject([
      { scheme: "DPoP", algs: expect.stringMatching(/ES256/) as string },
    ]);
  });
});

test("a server that checks its callers' tokens itself cannot have them checked here as well", async () => {
  const servers = { docs: { url: "http://fake.invalid/mcp", path: "/docs/mcp", auth: "passthrough" as const } };
  const plugins = [oauthRelay(), bearerAuth({ issuers: "https://as.example.com" })];
  const penstock = createPenstock({ servers, plugins });
  await expect(penstock.ready()).rejects.toThrow(/'docs'.*'oauth-relay' and 'bearer-auth'/);
  await penstock.close();
});
