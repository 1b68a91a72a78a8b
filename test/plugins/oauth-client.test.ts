/** Client credentials over real sockets: what an authorization server is asked, and what a server gets. */
import { createHash, generateKeyPairSync } from "node:crypto";
import { decodeProtectedHeader, jwtVerify } from "jose";
import { expect, test } from "vitest";
import { createPenstock } from "mcp-penstock";
import { type OAuthClientOptions, oauthClient } from "mcp-penstock/plugins/oauth-client";
import { standard } from "mcp-penstock/plugins/standard";
import { closeable, deadPort } from "../_harness/loopback.ts";
import { type ParsedRequest, gate, rawServer } from "../_harness/peers.ts";
import { testScope } from "../_harness/scope.ts";
import { scripted } from "../_harness/scripted.ts";
import { type TokenServer, type TokenServerOptions, tokenServer } from "../_harness/token-server.ts";
import { jsonAnswer } from "../_harness/wire.ts";

const use = testScope();
const RESULT = '{"jsonrpc":"2.0","id":1,"result":{}}';
const account = { grant: "client_credentials", clientId: "penstock", clientSecret: "s3cret/+ of penstock" } as const;

/** A server that takes what is alive at an authorization server, and a way to ask it through a proxy. */
async function setUp(
  options: (provider: TokenServer) => Partial<OAuthClientOptions> & object,
  provider: TokenServerOptions = {},
  plugins: unknown[] = [],
) {
  const tokens = await use(tokenServer(provider));
  const seen: (string | undefined)[] = [];
  const upstream = await scripted(({ headers }) => {
    seen.push(headers.authorization);
    return tokens.live.has(headers.authorization?.slice("Bearer ".length) ?? "")
      ? jsonAnswer(RESULT)
      : jsonAnswer("{}", "401 Unauthorized", "www-authenticate: Bearer\r\n");
  });
  await use(upstream.server);
  const url = `${upstream.server.url}/mcp`;
  const plugin = oauthClient({ ...account, ...options(tokens) } as OAuthClientOptions);
  const served = await use(serve({ servers: { docs: { url, path: "/mcp" } }, plugins: [...plugins, plugin] }));
  return { tokens, seen, url, upstream, ...served };
}

async function serve(config: object) {
  const penstock = createPenstock(config as never);
  const server = await penstock.serve({ port: 0 });
  const ask = async (method = "tools/list", init: RequestInit = {}) => {
    const response = await fetch(new URL("/mcp", server.url), {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json, text/event-stream" },
      body: `{"jsonrpc":"2.0","id":1,"method":"${method}","params":{}}`,
      ...init,
    });
    return { status: response.status, headers: response.headers, text: await response.text() };
  };
  return closeable({ penstock, ask, close: () => server.close() });
}

const given = ({ tokenEndpoint }: TokenServer) => ({ tokenEndpoint });

test("asks for a token with a secret in Basic, for this server, and sends it with every request", async () => {
  const { tokens, seen, ask, url } = await setUp((as) => ({
    ...given(as),
    scopes: ["read", "write"],
    audience: "docs",
  }));
  for (const method of ["tools/list", "tools/call", "prompts/list"]) expect((await ask(method)).status).toBe(200);
  expect((await ask("", { method: "DELETE", body: null })).status).toBe(200);
  expect((await ask("", { method: "GET", body: null })).status).toBe(200);
  expect(tokens.requests).toEqual([
    {
      number: 1,
      // RFC 6749 §2.3.1: encoded as in a form before it is joined.
      authorization: `Basic ${Buffer.from("penstock:s3cret%2F%2B+of+penstock").toString("base64")}`,
      contentType: expect.stringContaining("application/x-www-form-urlencoded") as string,
      parameters: { grant_type: "client_credentials", scope: "read write", audience: "docs", resource: url },
    },
  ]);
  const [token] = tokens.live.keys();
  expect(seen).toEqual(Array.from({ length: 5 }, () => `Bearer ${token}`));
});

test("a client's own credential goes nowhere, and takes the place of none", async () => {
  const { seen, ask } = await setUp(given);
  await ask("tools/list", { headers: { authorization: "Bearer mine", "content-type": "application/json" } });
  expect(seen).toHaveLength(1);
  expect(seen[0]).toMatch(/^Bearer token-1-/);
});

test("sends the secret in the form where that is wanted, and leaves out the resource", async () => {
  const { tokens, ask } = await setUp((as) => ({ ...given(as), authMethod: "client_secret_post", resource: false }));
  expect((await ask()).status).toBe(200);
  expect(tokens.requests).toMatchObject([
    {
      authorization: undefined,
      parameters: { grant_type: "client_credentials", client_id: "penstock", client_secret: account.clientSecret },
    },
  ]);
  expect(tokens.requests[0]!.parameters).not.toHaveProperty("resource");
});

test.each<[string, (key: ReturnType<typeof generateKeyPairSync>) => object, string]>([
  [
    "rsa",
    ({ privateKey }) => ({
      privateKey: (privateKey as never as { export(o: object): string }).export({ type: "pkcs8", format: "pem" }),
      keyId: "k1",
    }),
    "RS256",
  ],
  [
    "ec",
    ({ privateKey }) => ({
      privateKey: (privateKey as never as { export(o: object): string }).export({ type: "pkcs8", format: "pem" }),
      keyId: "k1",
    }),
    "ES256",
  ],
  [
    "ec",
    ({ privateKey }) => ({
      privateKey: { ...(privateKey as never as { export(o: object): object }).export({ format: "jwk" }), kid: "k1" },
    }),
    "ES256",
  ],
  [
    "rsa",
    ({ privateKey }) => ({
      privateKey: { ...(privateKey as never as { export(o: object): object }).export({ format: "jwk" }), kid: "k1" },
      algorithm: "PS256",
    }),
    "PS256",
  ],
])("signs with a key (%s)", async (kind, keyOf, algorithm) => {
  const pair = (kind === "rsa"
    ? generateKeyPairSync("rsa", { modulusLength: 2048 })
    : generateKeyPairSync("ec", { namedCurve: "P-256" })) as never as ReturnType<typeof generateKeyPairSync>;
  const { tokens, ask } = await setUp((as) => ({ ...given(as), clientSecret: undefined, ...keyOf(pair) }));
  expect((await ask()).status).toBe(200);
  const { parameters, authorization } = tokens.requests[0]!;
  expect(authorization).toBeUndefined();
  expect(parameters.client_assertion_type).toBe("urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
  const { payload } = await jwtVerify(parameters.client_assertion!, pair.publicKey as never, {
    issuer: "penstock",
    subject: "penstock",
    audience: tokens.tokenEndpoint,
    algorithms: [algorithm],
  });
  expect(payload.exp! - payload.iat!).toBe(60);
  expect(payload.jti).toMatch(/./);
  expect(decodeProtectedHeader(parameters.client_assertion!).kid).toBe("k1");
});

test.each([
  "/.well-known/oauth-authorization-server/t1",
  "/.well-known/openid-configuration/t1",
  "/t1/.well-known/openid-configuration",
])("finds the token endpoint of an issuer at %s", async (metadataPath) => {
  const { tokens, ask } = await setUp(({ issuer }) => ({ issuer }), { path: "/t1", metadataPath });
  expect([(await ask()).status, (await ask()).status]).toEqual([200, 200]);
  expect([tokens.requests.length, tokens.others.at(-1)]).toEqual([1, metadataPath]);
});

test("takes client_secret_post where the metadata list no other", async () => {
  const metadata = { token_endpoint_auth_methods_supported: ["client_secret_post", "none"] };
  const { tokens, ask } = await setUp(({ issuer }) => ({ issuer }), { metadata });
  await ask();
  expect(tokens.requests[0]!.parameters.client_id).toBe("penstock");
});

test.each<[string, Record<string, unknown> | null]>([
  ["another issuer", { issuer: "https://evil.example.com" }],
  ["no token endpoint", { token_endpoint: undefined }],
  ["a token endpoint in a private network", { token_endpoint: "http://127.0.0.1:1/token" }],
  ["no metadata", null],
])("with %s no secret leaves, and the error says why there is no token", async (_, metadata) => {
  const { tokens, seen, ask } = await setUp(({ issuer }) => ({ issuer }), { metadata });
  const { status, text } = await ask();
  expect([status, tokens.requests, seen]).toEqual([expect.any(Number), [], []]);
  expect(status).toBeGreaterThan(499);
  expect(JSON.parse(text)).toMatchObject({
    id: 1,
    error: { data: { code: expect.stringMatching(/^UPSTREAM_TOKEN_/) as string } },
  });
  expect(text).toContain("'docs'");
  expect(text).not.toMatch(/127\.0\.0\.1|evil|s3cret/);
});

test("a token that the server refuses is replaced once, by one request for all, and what was refused is sent again", async () => {
  const { tokens, seen, ask } = await setUp(given);
  await ask();
  tokens.revokeAll();
  const answers = await Promise.all(Array.from({ length: 50 }, () => ask("tools/call")));
  expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 50 }, () => 200));
  expect(tokens.requests).toHaveLength(2);
  expect(seen.length).toBeLessThanOrEqual(101);
});

test("a server that refuses every token is told so once more, and its client is told of the proxy's credential", async () => {
  const { tokens, upstream, ask } = await setUp(given, {
    answer: () => ({ body: { access_token: "dead", token_type: "Bearer", expires_in: 3600 } }),
  });
  tokens.live.clear();
  const refused = await scriptedRefusal(tokens, ask);
  expect(refused).toMatchObject({ status: 502 });
  expect(refused.text).toContain("UPSTREAM_UNAUTHORIZED");
  expect(upstream.requests.length).toBe(2);
  for (let i = 0; i < 30; i++) await scriptedRefusal(tokens, ask);
  expect(tokens.requests.length).toBeLessThan(6);
});

/** What is issued is dead at once. */
async function scriptedRefusal(tokens: TokenServer, ask: () => Promise<{ status: number; text: string }>) {
  tokens.live.set = () => tokens.live;
  return ask();
}

test("a caller that leaves ends nothing for those who wait for the same token", async () => {
  const asked = gate();
  const go = gate();
  const { tokens, ask } = await setUp(given, {
    async answer() {
      asked.open();
      await go.promise;
      return undefined;
    },
  });
  const leaving = new AbortController();
  const first = ask("tools/call", { signal: leaving.signal }).catch((cause: Error) => cause.name);
  await asked.promise;
  const second = ask("tools/call");
  leaving.abort();
  expect(await first).toBe("AbortError");
  go.open();
  expect((await second).status).toBe(200);
  expect(tokens.requests).toHaveLength(1);
});

test("a provider that hangs is given up in time, and one that is not there says so; the server is not asked", async () => {
  const { ask, seen } = await setUp((as) => ({ ...given(as), timeout: 80 }), { answer: () => "hang" });
  const { status, text } = await ask();
  expect([status, seen]).toEqual([503, []]);
  expect(text).toContain("UPSTREAM_TOKEN_UNAVAILABLE");
  const dead = await deadPort();
  const gone = await setUp(() => ({ tokenEndpoint: `http://127.0.0.1:${dead}/token` }));
  const answers = await Promise.all(Array.from({ length: 50 }, () => gone.ask("tools/call")));
  expect(new Set(answers.map((one) => one.status))).toEqual(new Set([503]));
  expect(answers[0]!.text).not.toContain(String(dead));
});

test("failures of the provider neither open the breaker nor are repeated by retry, and are over when they are over", async () => {
  let isDown = true;
  const { tokens, ask } = await setUp(
    given,
    { answer: () => (isDown ? { status: 503, body: {} } : undefined) },
    standard(),
  );
  for (let i = 0; i < 10; i++) expect((await ask()).status).toBe(503);
  expect(tokens.requests).toHaveLength(2);
  expect((await ask()).headers.get("retry-after")).toBe("1");
  isDown = false;
  await expect.poll(async () => (await ask()).status, { timeout: 3000, interval: 100 }).toBe(200);
});

const pathOf = (server: { url: string }) => `${server.url}/mcp`;

/** A server that says where its authorization server is: by its document, or by its challenge. */
async function naming(issuer: (own: string) => string, documentAt: string | undefined) {
  const requests: ParsedRequest[] = [];
  const server = await use(
    rawServer(async (connection) => {
      for await (const request of connection.requests()) {
        requests.push(request);
        connection.send(answer(request));
      }
    }),
  );
  function answer({ target, headers }: ParsedRequest): string {
    const own = `http://127.0.0.1:${server.port}`;
    const { pathname } = new URL(target, own);
    if (pathname === (documentAt ?? "/prm"))
      return jsonAnswer(JSON.stringify({ resource: `${own}/mcp`, authorization_servers: [issuer(own)] }));
    if (pathname === "/.well-known/oauth-authorization-server")
      return jsonAnswer(JSON.stringify({ issuer: own, token_endpoint: `${own}/token` }));
    if (pathname === "/token") return jsonAnswer('{"access_token":"own","token_type":"bearer","expires_in":60}');
    if (pathname !== "/mcp") return jsonAnswer("{}", "404 Not Found");
    if (headers.authorization === "Bearer own") return jsonAnswer(RESULT);
    const hint = documentAt === undefined ? `, resource_metadata="${own}/prm"` : "";
    return jsonAnswer("{}", "401 Unauthorized", `www-authenticate: Bearer realm="x"${hint}\r\n`);
  }
  return { server, requests };
}

test.each<[string | undefined, string]>([
  ["/.well-known/oauth-protected-resource/mcp", "its document"],
  [undefined, "its challenge"],
])("without an issuer the server's own one is asked, found by %s (%s)", async (documentAt) => {
  const server = await naming((own) => own, documentAt);
  const { ask } = await use(
    serve({ servers: { docs: { url: pathOf(server.server), path: "/mcp" } }, plugins: [oauthClient(account)] }),
  );
  expect((await ask("tools/call")).status).toBe(200);
  // Nothing of MCP was asked without a token.
  expect(
    server.requests.filter(({ method, headers }) => method === "POST" && headers.authorization === undefined),
  ).toEqual([]);
});

test("a secret goes to no authorization server elsewhere that only the server names; a signature may", async () => {
  const provider = await use(tokenServer());
  const server = await naming(() => provider.issuer, "/.well-known/oauth-protected-resource/mcp");
  const config = (options: object) => ({
    servers: { docs: { url: pathOf(server.server), path: "/mcp" } },
    plugins: [oauthClient({ ...account, ...options } as OAuthClientOptions)],
  });
  const secret = await use(serve(config({})));
  const { status, text } = await secret.ask();
  expect([status, provider.requests, provider.others]).toEqual([502, [], []]);
  expect(text).toContain("set issuer of the plugin oauth-client");
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const key = { clientSecret: undefined, privateKey: privateKey.export({ type: "pkcs8", format: "pem" }) };
  const signed = await use(serve(config(key)));
  // It is on this machine, and nobody named it here: a guarded fetch does not go there.
  expect((await signed.ask()).status).toBe(503);
  expect([provider.requests, provider.others]).toEqual([[], []]);
});

test("each server has its own tokens, for its own URL, at one and the same provider", async () => {
  const tokens = await use(tokenServer());
  const seen: string[] = [];
  const [one, two] = await Promise.all(
    ["one", "two"].map((name) =>
      scripted(({ headers }) => {
        seen.push(`${name} ${createHash("sha256").update(headers.authorization!).digest("hex").slice(0, 8)}`);
        return jsonAnswer(RESULT);
      }),
    ),
  );
  for (const { server } of [one!, two!]) await use(server);
  const plugin = oauthClient({ ...account, tokenEndpoint: tokens.tokenEndpoint });
  const servers = {
    one: { url: pathOf(one!.server), path: "/mcp" },
    two: { url: pathOf(two!.server), path: "/two" },
  };
  const { ask, penstock } = await use(serve({ servers, plugins: [plugin] }));
  await ask();
  const other = new Request("http://localhost/two", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: RESULT.replace('"result":{}', '"method":"ping"'),
  });
  expect((await penstock.fetch(other)).status).toBe(200);
  expect(tokens.requests.map(({ parameters }) => parameters.resource)).toEqual([servers.one.url, servers.two.url]);
  expect(new Set(seen.map((line) => line.split(" ")[1])).size).toBe(2);
});
