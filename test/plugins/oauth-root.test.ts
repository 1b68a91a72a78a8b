/** Founding case 3: what clients find who look for a login at the root of the origin. */
import { describe, expect, test } from "vitest";
import { createPenstock } from "mcp-penstock";
import type { OAuthRootOptions } from "mcp-penstock/plugins/oauth-root";
import { CALLS } from "../_harness/oauth-broker.ts";
import { logIn } from "../_harness/oauth.ts";
import { broker, mounts, oauthRelay, oauthRoot } from "../_harness/plugins.ts";
import { startProxy } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { startLegacyServer, startModernServer } from "../_harness/servers.ts";

const use = testScope();
const REDIRECT = "http://127.0.0.1:9/callback";
const NOWHERE = "http://127.0.0.1:9/mcp";
const METADATA = ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"];
const RESOURCE = "/.well-known/oauth-protected-resource";

/** A proxy for these servers, those in upper case with a login. */
async function start(
  names: readonly string[],
  options: OAuthRootOptions = {},
  more: { hiddenFrom?: string; publicUrl?: string } = {},
): Promise<{ url: string }> {
  const { hiddenFrom, publicUrl } = more;
  const servers = Object.fromEntries(names.map((name) => [name.toLowerCase(), { url: NOWHERE }]));
  const login = broker({
    servers: names.filter((name) => name !== name.toLowerCase()).map((name) => name.toLowerCase()),
    hiddenFrom,
  });
  return use(startProxy({ servers, plugins: [mounts(), oauthRoot(options), login], publicUrl }));
}

/** What the login's handlers were asked since the last time. */
const calls = async (url: string) => (await fetch(url + CALLS)).json();

const register = (url: string, path = "/register") =>
  fetch(url + path, {
    method: "POST",
    body: JSON.stringify({ redirect_uris: [REDIRECT] }),
    headers: { "content-type": "application/json" },
  });
const registered = async (url: string, path: string) =>
  ((await (await register(url, path)).json()) as { client_id: string }).client_id;
const authorize = (url: string, params: Record<string, string>, headers = {}) =>
  fetch(
    `${url}/authorize?${new URLSearchParams({ response_type: "code", redirect_uri: REDIRECT, state: "s", ...params })}`,
    { redirect: "manual", headers },
  );
const exchange = (url: string, params: Record<string, string>, headers = {}) =>
  fetch(`${url}/token`, {
    method: "POST",
    body: new URLSearchParams({ grant_type: "authorization_code", ...params }),
    headers,
  });

/** Every root request, each as a client sends it. */
async function rootRequests(url: string, headers: Record<string, string> = {}): Promise<Map<string, Response>> {
  const all = new Map<string, Response>();
  for (const path of [...METADATA, RESOURCE])
    for (const slash of ["", "/"]) all.set(path + slash, await fetch(url + path + slash, { headers }));
  all.set(
    "register",
    await fetch(`${url}/register`, { method: "POST", body: JSON.stringify({ redirect_uris: [REDIRECT] }), headers }),
  );
  all.set("authorize", await authorize(url, { client_id: "nobody" }, headers));
  all.set("token", await exchange(url, { client_id: "nobody", code: "x" }, headers));
  return all;
}

/** The one answer to everything that has no clear meaning. */
async function expectNowhere(
  url: string,
  names: readonly string[],
  headers: Record<string, string> = {},
): Promise<void> {
  const texts = new Set<string>();
  for (const [what, answer] of await rootRequests(url, headers)) {
    expect([what, answer.status, answer.headers.get("content-type")]).toEqual([what, 404, "application/json"]);
    expect(answer.headers.get("access-control-allow-origin")).toBe("*");
    expect(answer.headers.get("cache-control")).toBe("no-store");
    texts.add(await answer.text());
  }
  expect(texts.size).toBe(1);
  const [text] = texts;
  expect(text).toContain("/{server}/");
  for (const name of names) expect(text).not.toContain(name.toLowerCase());
}

describe("exactly one server, and it uses OAuth", () => {
  test("register, authorize and token are its own; the flow returns the issuer it began with", async () => {
    const { url } = await start(["DOCS"]);
    const made = await register(url);
    expect(made.status).toBe(201);
    expect(made.headers.get("access-control-allow-origin")).toBe("*");
    const { client_id, redirect_uris } = (await made.json()) as { client_id: string; redirect_uris: string[] };
    expect(client_id).toMatch(/^docs-/);
    expect(redirect_uris).toEqual([REDIRECT]);
    const sent = await authorize(url, { client_id, code_challenge: "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU" });
    expect(sent.status).toBe(302);
    const back = new URL(sent.headers.get("location")!).searchParams;
    expect([back.get("iss"), back.get("state")]).toEqual([url, "s"]);
    const tokens = await exchange(url, { client_id, code: back.get("code")! });
    expect(await tokens.json()).toMatchObject({ token_type: "Bearer" });
    expect(await calls(url)).toEqual([`docs register ${url}`, `docs authorize ${url}`, `docs token ${url}`]);
  });

  test.each([{}, { client_id: "nobody" }, { client_id: "<script>" }])(
    "a client id that nobody issued (%j) gets a page, and is sent nowhere",
    async (params) => {
      const { url } = await start(["DOCS"]);
      const answer = await authorize(url, params as Record<string, string>);
      expect(answer.status).toBe(400);
      expect(answer.headers.get("location")).toBeNull();
      expect(answer.headers.get("content-type")).toBe("text/html; charset=utf-8");
      expect(answer.headers.get("content-security-policy")).toContain("frame-ancestors 'none'");
      const page = await answer.text();
      for (const word of ["docs", "script", "nobody", REDIRECT]) expect(page).not.toContain(word);
      expect(await calls(url)).toEqual([]);
    },
  );

  test("behind a reverse proxy with a prefix: the issuer is the origin, the endpoints lie under the prefix", async () => {
    const { url } = await start(["DOCS"], {}, { publicUrl: "https://h.example.com/team" });
    expect(await (await fetch(url + METADATA[0]!)).json()).toMatchObject({
      issuer: "https://h.example.com",
      token_endpoint: "https://h.example.com/team/docs/token",
    });
    expect(await (await fetch(url + RESOURCE)).json()).toMatchObject({
      resource: "https://h.example.com/team/docs/mcp",
    });
  });
});

describe.each([
  ["one with OAuth beside one without", ["DOCS", "plain"]],
  ["two with OAuth", ["DOCS", "NOTES"]],
  ["two with OAuth beside one without", ["DOCS", "NOTES", "plain"]],
  ["none with OAuth", ["plain"]],
  ["none of two", ["plain", "other"]],
])("%s", (_name, names) => {
  const withLogin = names.filter((name) => name !== name.toLowerCase()).map((name) => name.toLowerCase());

  test("every root request gets the same 404, which names no server", async () => {
    const { url } = await start(names);
    await expectNowhere(url, names);
    expect(await calls(url)).toEqual([]);
  });

  test.runIf(withLogin.length > 0)("a client id or resource of one server leads to it all the same", async () => {
    const { url } = await start(names);
    for (const name of withLogin) {
      const client_id = await registered(url, `/${name}/register`);
      const resource = `${url}/${name}/mcp`;
      const back = await authorize(url, { client_id });
      expect(back.status).toBe(302);
      expect((await authorize(url, { client_id, resource })).status).toBe(302);
      expect((await authorize(url, { client_id: "nobody", resource })).status).toBe(400);
      await calls(url);
      await exchange(url, { client_id, code: "x" });
      await exchange(url, { code: "x", resource: `${resource}/` });
      await exchange(url, { code: "x" }, { authorization: `Basic ${btoa(`${client_id}:secret`)}` });
      expect(await calls(url)).toEqual([`${name} token ${url}`, `${name} token ${url}`, `${name} token ${url}`]);
      // Of nobody here: as if nothing had been said.
      expect((await exchange(url, { code: "x", resource: "https://elsewhere.example/mcp" })).status).toBe(404);
      expect((await exchange(url, { code: "x" }, { authorization: "Basic %%%" })).status).toBe(404);
    }
  });
});

test("a client id of one server with the resource of another leads to neither", async () => {
  const { url } = await start(["DOCS", "NOTES"]);
  const client_id = await registered(url, "/docs/register");
  expect((await authorize(url, { client_id, resource: `${url}/notes/mcp` })).status).toBe(404);
});

describe("policy", () => {
  test("never: not even for a lone server, or a client id of one", async () => {
    const { url } = await start(["DOCS"], { policy: "never" });
    await expectNowhere(url, ["DOCS"]);
    const client_id = await registered(url, "/docs/register");
    expect((await authorize(url, { client_id })).status).toBe(404);
  });

  test("a server's name: that one, whatever stands beside it", async () => {
    const { url } = await start(["DOCS", "NOTES", "plain"], { policy: "notes" });
    expect(await (await fetch(url + METADATA[0]!)).json()).toMatchObject({
      issuer: url,
      token_endpoint: `${url}/notes/token`,
    });
    expect(await registered(url, "/register")).toMatch(/^notes-/);
    // A client id of another still leads to that one.
    const client_id = await registered(url, "/docs/register");
    expect((await authorize(url, { client_id })).status).toBe(302);
  });

  test("a server without OAuth has nothing to say", async () => {
    const { url } = await start(["DOCS", "plain"], { policy: "plain" });
    await expectNowhere(url, ["DOCS", "plain"]);
  });

  test("a name that no server has stops the start", async () => {
    const penstock = createPenstock({
      servers: { docs: { url: NOWHERE } },
      plugins: [mounts(), oauthRoot({ policy: "dosc" })],
    });
    await expect(penstock.ready()).rejects.toThrow('"dosc"');
    await penstock.close();
  });
});

test("a server that the caller may not see is not resolved and not named", async () => {
  const alone = await start(["DOCS"], {}, { hiddenFrom: "bert" });
  await expectNowhere(alone.url, ["DOCS"], { "x-who": "bert" });
  expect((await fetch(alone.url + METADATA[0]!)).status).toBe(200);
  const named = await start(["DOCS", "NOTES"], { policy: "docs" }, { hiddenFrom: "bert" });
  await expectNowhere(named.url, ["DOCS"], { "x-who": "bert" });
  const client_id = await registered(named.url, "/docs/register");
  expect((await authorize(named.url, { client_id }, { "x-who": "bert" })).status).toBe(404);
  expect((await authorize(named.url, { client_id })).status).toBe(302);
});

describe("a server that checks tokens itself (passthrough)", () => {
  const document = { resource: "https://docs.example.com/mcp", authorization_servers: ["https://as.example.com"] };
  async function passthrough(more: object = {}, path?: string) {
    const server = await use(
      startLegacyServer({
        intercept({ target }, _request, response) {
          const found = target === `${RESOURCE}/mcp`;
          response
            .writeHead(found ? 200 : 404, { "content-type": "application/json" })
            .end(JSON.stringify(found ? document : {}));
          return true;
        },
      }),
    );
    const servers = { docs: { url: server.url, auth: "passthrough", ...(path && { path }) }, ...more };
    return use(startProxy({ servers, plugins: [mounts(), oauthRoot(), oauthRelay()] }));
  }

  test("alone: the root tells of its resource, and nothing else: its authorization server is elsewhere", async () => {
    const { url } = await passthrough();
    for (const [what, answer] of await rootRequests(url)) {
      expect([what, answer.status]).toEqual([what, what.startsWith(RESOURCE) ? 200 : 404]);
      const body: unknown = await answer.json();
      if (answer.status === 200)
        expect(body).toEqual({ resource: `${url}/docs/mcp`, authorization_servers: ["https://as.example.com"] });
    }
  });

  test("beside another: nothing", async () => {
    const { url } = await passthrough({ plain: { url: NOWHERE } });
    await expectNowhere(url, ["docs", "plain"]);
  });

  test("mounted at the root, its own document is the root's, whatever stands beside it", async () => {
    const { url } = await passthrough({ plain: { url: NOWHERE } }, "/");
    expect(await (await fetch(url + RESOURCE)).json()).toEqual({
      resource: `${url}/`,
      authorization_servers: ["https://as.example.com"],
    });
  });
});

test("without the plugin the root is not served", async () => {
  const { url } = await use(
    startProxy({ servers: { docs: { url: NOWHERE } }, plugins: [mounts(), broker({ servers: ["docs"] })] }),
  );
  for (const [, answer] of await rootRequests(url)) {
    expect(answer.status).toBe(404);
    expect(await answer.json()).toMatchObject({ error: { data: { code: "NOT_FOUND" } } });
  }
});

test("every route is public, and says so", async () => {
  const penstock = createPenstock({
    servers: { docs: { url: NOWHERE, auth: "passthrough" } },
    plugins: [mounts(), oauthRoot(), oauthRelay()],
  });
  await penstock.ready();
  const routes = penstock.paths.filter(({ owner }) => owner.startsWith("plugin"));
  // The last eight are of the paths for HTTP+SSE clients.
  expect(routes).toHaveLength(3 * 2 + 2 + 2 + 2 + 8 + 8);
  expect(new Set(routes.map(({ access }) => access))).toEqual(new Set(["public"]));
  await penstock.close();
});

describe.each(["v1", "v2"] as const)("a real client of the %s SDK", (era) => {
  test.each([
    ["that finds the server's own metadata", false],
    ["that finds nothing but the root, as in revision 2025-03-26", true],
  ])("%s logs in", async (_name, old) => {
    const server = await use(era === "v1" ? startLegacyServer() : startModernServer());
    const login = broker({ servers: ["docs"], old });
    const { url } = await use(
      startProxy({ servers: { docs: { url: server.url } }, plugins: [mounts(), oauthRoot(), login] }),
    );
    const { client, authorizeUrl, requests } = await use(logIn(era, `${url}/docs/mcp`));
    expect((await client.listTools()).tools.length).toBeGreaterThan(0);
    expect(authorizeUrl.origin + authorizeUrl.pathname).toBe(`${url}/docs/authorize`);
    expect(await calls(url)).toEqual([
      `docs register ${url}/docs`,
      `docs authorize ${old ? url : `${url}/docs`}`,
      `docs token ${url}/docs`,
    ]);
    expect(requests).toContain(`GET ${url}/.well-known/oauth-authorization-server${old ? "" : "/docs"}`);
    // The token was for this proxy: the server behind it does not get it.
    for (const { headers } of server.requests) expect(headers).not.toHaveProperty("authorization");
  });
});
