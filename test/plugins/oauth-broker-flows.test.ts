/** Whole logins through `oauth-broker`: clients of both SDKs, clients of old, replicas, and who is who afterwards. */
import { describe, expect, test } from "vitest";
import { type LogText, type Store, createPenstock, memoryStore } from "mcp-penstock";
import {
  REDIRECT,
  callWith,
  clientNamed,
  decide,
  logInRaw,
  newBrowser,
  rawOAuthClient,
  walk,
} from "../_harness/broker-login.ts";
import { brokerOptions, serve, startBrokered } from "../_harness/broker-proxy.ts";
import { closeable } from "../_harness/loopback.ts";
import { logIn } from "../_harness/oauth.ts";
import { apiKeys, health, mounts, oauthBroker, oauthRoot, requestLog } from "../_harness/plugins.ts";
import { type FakeProvider, startProvider, wanting } from "../_harness/provider.ts";
import { testScope } from "../_harness/scope.ts";
import { recordingServer } from "../_harness/servers/http.ts";
import { startLegacyServer } from "../_harness/servers.ts";

const use = testScope();
const json = async (answer: Response) => (await answer.json()) as Record<string, unknown>;

describe.each(["v1", "v2"] as const)("a client of the %s SDK", (era) => {
  test("discovers, registers, logs in through consent and provider, and calls", async () => {
    const { mcp, base, url, provider, server } = await startBrokered(use);
    const { client, authorizeUrl, requests } = await use(logIn(era, mcp, (link) => walk(newBrowser(), link)));
    expect((await client.listTools()).tools.length).toBeGreaterThan(0);
    expect(authorizeUrl.href).toMatch(`${base}/authorize?`);
    expect(authorizeUrl.searchParams.get("resource")).toBe(mcp);
    for (const request of [
      `GET ${url}/.well-known/oauth-protected-resource/docs/mcp`,
      `GET ${url}/.well-known/oauth-authorization-server/docs`,
      `POST ${base}/register`,
      `POST ${base}/token`,
    ])
      expect(requests).toContain(request);
    const sent = server.requests.at(-1)!.headers.authorization!;
    expect(provider.good.has(sent.slice("Bearer ".length))).toBe(true);
  });
});

describe("a client that is named by the URL of its metadata", () => {
  async function withDocument(change: object = {}, headers: Record<string, string> = {}) {
    let document: object = {};
    const host = await recordingServer(
      async () => {},
      (_recorded, _request, response) => {
        response.writeHead(200, { "content-type": "application/json", ...headers }).end(JSON.stringify(document));
        return true;
      },
    );
    await use(closeable({ close: host.stop }));
    const origin = `http://127.0.0.1:${host.port}`;
    const id = `${origin}/client.json`;
    document = { client_id: id, client_name: "Named", redirect_uris: [REDIRECT], ...change };
    const around = await startBrokered(use, { clientMetadataHosts: [origin] });
    return { ...around, host, client: clientNamed(around.base, id) };
  }

  test("logs in; its host is shown; the document is fetched once", async () => {
    const { client, mcp, host } = await withDocument();
    const page = await (await newBrowser().go(client.link())).text();
    expect(page).toContain("Named");
    expect(page).toContain(`As 127.0.0.1:${host.port} says.`);
    const { access_token, refresh_token } = await logInRaw(client);
    expect((await callWith(mcp, access_token)).status).toBe(200);
    expect((await client.refresh(refresh_token)).status).toBe(200);
    expect(host.requests).toHaveLength(1);
  });

  test("also at the root, where it is clear which server is meant", async () => {
    const { client, url } = await withDocument();
    expect((await newBrowser().go(client.link().replace(`${url}/docs`, url))).status).toBe(200);
  });

  test.each([
    ["names another id", { client_id: "https://elsewhere.example/client.json" }],
    ["has a secret", { client_secret: "x" }],
    ["wants to authenticate in a way that is not served", { token_endpoint_auth_method: "private_key_jwt" }],
    ["has no redirect URI", { redirect_uris: [] }],
    ["has another redirect URI", { redirect_uris: ["http://127.0.0.1:9/other"] }],
  ])("is sent nowhere when the document %s", async (_name, change) => {
    const { client } = await withDocument(change);
    const answer = await newBrowser().go(client.link());
    expect([answer.status, answer.headers.get("location")]).toEqual([400, null]);
  });

  test("is asked for again where its host keeps nothing", async () => {
    const { client, host } = await withDocument({}, { "cache-control": "no-store" });
    for (let i = 0; i < 2; i++) await newBrowser().go(client.link());
    expect(host.requests).toHaveLength(2);
  });

  test("is not fetched from a private address that nobody named", async () => {
    const { base, host } = await withDocument();
    for (const id of [`http://localhost:${host.port}/client.json`, `https://127.0.0.1:${host.port}/client.json`])
      expect((await newBrowser().go(clientNamed(base, id).link())).status).toBe(400);
    expect(host.requests).toHaveLength(0);
  });
});

test("clients of the configuration: public ones, and one with a secret", async () => {
  const { base, mcp } = await startBrokered(use, {
    registration: false,
    clients: {
      plain: { redirectUris: [REDIRECT], name: "Plain" },
      secretive: { redirectUris: [REDIRECT], secret: "0123456789abcdef-secret" },
    },
  });
  expect((await callWith(mcp, (await logInRaw(clientNamed(base, "plain"))).access_token)).status).toBe(200);
  const client = clientNamed(base, "secretive");
  const back = await walk(newBrowser(), client.link());
  expect((await client.redeem(back)).status).toBe(401);
  expect((await client.redeem(back, { client_secret: "wrong" })).status).toBe(401);
  expect((await client.redeem(back, { client_secret: "0123456789abcdef-secret" })).status).toBe(200);
  expect((await fetch(`${base}/register`, { method: "POST" })).status).toBe(404);
});

test("a token is for its server: another one of the same proxy refuses it", async () => {
  const provider = await use(startProvider());
  const server = await use(startLegacyServer({ sessions: false, intercept: wanting(provider) }));
  const login = oauthBroker(brokerOptions(provider, { clients: { both: { redirectUris: [REDIRECT] } } }));
  const servers = { docs: { url: server.url }, notes: { url: server.url } };
  const url = await serve(use, { servers, plugins: [mounts(), oauthRoot(), login] });
  const client = await rawOAuthClient(`${url}/docs`);
  const { access_token, refresh_token } = await logInRaw(client);
  expect((await callWith(`${url}/docs/mcp`, access_token)).status).toBe(200);
  expect((await callWith(`${url}/notes/mcp`, access_token)).status).toBe(401);
  // Nor is its refresh token, its client id, or the same token under another name of the proxy.
  const there = clientNamed(`${url}/notes`, client.id);
  expect((await there.refresh(refresh_token)).status).toBe(401);
  expect((await newBrowser().go(there.link())).status).toBe(400);
  expect((await callWith(`${url.replace("127.0.0.1", "localhost")}/docs/mcp`, access_token)).status).toBe(401);
  expect((await callWith(`${url}/docs/mcp`, refresh_token)).status).toBe(401);
  // A client of both has a login at each.
  const both = clientNamed(`${url}/docs`, "both");
  const back = await walk(newBrowser(), both.link());
  const tokens = (await (await both.redeem(back)).json()) as { refresh_token: string };
  const elsewhere = clientNamed(`${url}/notes`, "both");
  expect((await elsewhere.redeem(back, { code_verifier: both.verifier })).status).toBe(400);
  expect((await elsewhere.refresh(tokens.refresh_token)).status).toBe(400);
  expect((await both.refresh(tokens.refresh_token)).status).toBe(200);
});

test("beside API keys: each knows its own callers", async () => {
  const around = { plugins: [apiKeys({ keys: { ci: "0123456789abcdef" } })] };
  const { base, mcp, provider } = await startBrokered(use, {}, around);
  const { access_token } = await logInRaw(await rawOAuthClient(base));
  expect((await callWith(mcp, access_token)).status).toBe(200);
  // Its holder has no login, so the server is asked without a token, and that is told as it is.
  expect((await callWith(mcp, "0123456789abcdef")).status).toBe(502);
  expect(provider.good.size).toBe(1);
});

describe("two proxies with one secret", () => {
  const secret = "one-secret-for-both-0123456789abcdef";

  /** Two, under one public URL: a balancer in front would choose either. */
  async function two(provider: FakeProvider, store?: Store) {
    const server = await use(startLegacyServer({ sessions: false, intercept: wanting(provider) }));
    const start = async () => {
      const plugins = [mounts(), oauthRoot(), oauthBroker(brokerOptions(provider, { refreshGrace: 0 }))];
      const servers = { docs: { url: server.url } };
      const config = { servers, plugins, secret, publicUrl: "http://gw.example.com", ...(store && { store }) };
      return serve(use, config);
    };
    const [a, b] = [await start(), await start()];
    /** The same address on one of them. */
    const on = (origin: string, address: string | URL) => String(address).replace("http://gw.example.com", origin);
    return { a, b, on };
  }

  async function logInAcross({ a, b, on }: Awaited<ReturnType<typeof two>>) {
    const client = await rawOAuthClient(`${a}/docs`);
    const browser = newBrowser();
    const login = await decide(browser, client.link());
    const location = (await browser.go(login)).headers.get("location")!;
    expect(location).toMatch("http://gw.example.com/callback?");
    const back = new URL((await browser.go(on(b, location))).headers.get("location")!);
    const answer = await client.redeem(back);
    expect(answer.status).toBe(200);
    return { client, back, tokens: (await answer.json()) as { access_token: string; refresh_token: string } };
  }

  test.each([
    ["that share nothing else", () => undefined],
    ["that share a store", () => memoryStore()],
  ])(
    "%s: authorize on one, callback on the other, token on the first; calls and refreshes on either",
    async (_name, store) => {
      const provider = await use(startProvider());
      const pair = await two(provider, store());
      const { client, back, tokens } = await logInAcross(pair);
      for (const origin of [pair.a, pair.b])
        expect((await callWith(`${origin}/docs/mcp`, tokens.access_token)).status).toBe(200);
      const other = { ...client, ...clientNamed(`${pair.b}/docs`, client.id) };
      const renewed = await json(await other.refresh(tokens.refresh_token));
      expect(renewed).toHaveProperty("access_token");
      for (const origin of [pair.a, pair.b])
        expect((await callWith(`${origin}/docs/mcp`, renewed.access_token as string)).status).toBe(200);
      expect((await client.refresh(renewed.refresh_token as string)).status).toBe(200);
      // The code again, on the other one.
      const again = clientNamed(`${pair.b}/docs`, client.id);
      expect((await again.redeem(back, { code_verifier: client.verifier })).status).toBe(400);
    },
  );

  test("that share a store: what ended on one has ended on the other, and one of two refreshes asks the provider", async () => {
    const provider = await use(startProvider());
    const store = memoryStore();
    const pair = await two(provider, store);
    const { client, tokens } = await logInAcross(pair);
    provider.good.clear();
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => callWith(`${i % 2 ? pair.a : pair.b}/docs/mcp`, tokens.access_token)),
    );
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect(provider.count("refresh_token")).toBe(1);
    const form = new URLSearchParams({ token: tokens.refresh_token, client_id: client.id });
    expect((await fetch(`${pair.b}/docs/revoke`, { method: "POST", body: form })).status).toBe(200);
    expect((await callWith(`${pair.a}/docs/mcp`, tokens.access_token)).status).toBe(401);
    expect((await client.refresh(tokens.refresh_token)).status).toBe(400);
  });
});

test("no secret is in a log, an error, the health report, or an address that is not on its way", async () => {
  const provider = await use(startProvider());
  const server = await use(startLegacyServer({ sessions: false, intercept: wanting(provider) }));
  const lines: string[] = [];
  // No redactor: what is not written need not be taken out.
  const add = (text: LogText) => void lines.push(typeof text === "function" ? text() : text);
  const logger = { debug: add, info: add, warn: add, error: add };
  const plugins = [mounts(), requestLog(), health(), oauthRoot(), oauthBroker(brokerOptions(provider))];
  const penstock = createPenstock({ servers: { docs: { url: server.url } }, plugins }, { logger });
  const front = await penstock.serve({ port: 0 });
  await use(closeable({ close: () => front.close() }));
  const url = front.url.replace(/\/$/, "");
  const client = await rawOAuthClient(`${url}/docs`);
  const browser = newBrowser();
  const back = await walk(browser, client.link());
  const tokens = (await (await client.redeem(back)).json()) as { access_token: string; refresh_token: string };
  await callWith(`${url}/docs/mcp`, tokens.access_token);
  const seen: string[] = [];
  for (const answer of [
    await client.redeem(back),
    await client.refresh(tokens.refresh_token),
    await callWith(`${url}/docs/mcp`, tokens.access_token),
    await browser.go(`${url}/callback?state=x&code=${back.searchParams.get("code")}`),
    await fetch(`${url}/health`),
  ])
    seen.push(`${JSON.stringify([...answer.headers])} ${await answer.text()}`);
  provider.answer = { status: 400, body: { error: "invalid_client", error_description: provider.secrets.join(" ") } };
  const second = await rawOAuthClient(`${url}/docs`);
  seen.push(await (await second.redeem(await walk(newBrowser(), second.link()))).text());
  const secrets = [
    ...provider.secrets,
    client.verifier,
    tokens.access_token,
    tokens.refresh_token,
    back.searchParams.get("code")!,
    ...browser.cookies.values(),
  ];
  expect(lines.length).toBeGreaterThan(0);
  for (const secret of secrets) for (const text of [...lines, ...seen]) expect(text).not.toContain(secret);
});
