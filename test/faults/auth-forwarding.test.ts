/** Under which URL clients know the proxy: whose word counts, hop by hop, and that every document says the same. */
import { broker, fence, mounts, oauthRelay, oauthRoot, routes } from "../_harness/plugins.ts";
import { rawClient } from "../_harness/peers.ts";
import { startProxy } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { scripted } from "../_harness/scripted.ts";
import { jsonAnswer } from "../_harness/wire.ts";
import { expect, test } from "vitest";
import { asking } from "./asking.ts";

const use = testScope();
const servers = { docs: { url: "http://127.0.0.1:9/mcp", path: "/docs/mcp" } };
/** The Host of every request, as a proxy in front would send it. */
const HOST = "inner:8080";

/** What the proxy believes. @param fields header lines @param trustedProxies the peer of this test is a loopback address */
async function told(fields: readonly string[], trustedProxies?: string[], publicUrl?: string): Promise<string> {
  const plugins = [routes({ path: "/tell", does: "tell-url" })];
  const { url } = await use(startProxy({ servers, plugins, trustedProxies, publicUrl }));
  const ask = asking(use, Number(new URL(url).port));
  return (await ask({ method: "GET", target: "/tell", host: HOST, fields })).body;
}
const OWN = "http://inner:8080";
const ONE = ["loopback"];
const TWO = ["loopback", "10.0.0.0/8"];
const OUTER = "https://gw.example.com";

test.each<[string, string[] | undefined, string[], string]>([
  // Untrusted: whatever is said is the client's own claim.
  ["nobody is trusted", undefined, ["x-forwarded-host: evil.test", "x-forwarded-proto: https"], OWN],
  ["an empty list trusts nobody", [], ["x-forwarded-host: evil.test"], OWN],
  ["the peer is not among the trusted", ["10.0.0.0/8"], ["x-forwarded-host: evil.test"], OWN],
  ["the same with Forwarded", ["10.0.0.0/8"], ["forwarded: host=evil.test;proto=https"], OWN],
  // One trusted hop.
  ["host and scheme", ONE, ["x-forwarded-host: gw.example.com", "x-forwarded-proto: https"], OUTER],
  ["the same with Forwarded", ONE, ["forwarded: for=192.0.2.1;host=gw.example.com;proto=https"], OUTER],
  ["scheme only, the Host is preserved", ONE, ["x-forwarded-proto: https"], "https://inner:8080"],
  ["upper case", ONE, ["X-Forwarded-Host: GW.Example.COM", "X-Forwarded-Proto: HTTPS"], OUTER],
  ["a port of its own", ONE, ["x-forwarded-host: gw.example.com:8443", "x-forwarded-proto: https"], `${OUTER}:8443`],
  [
    "a port apart",
    ONE,
    ["x-forwarded-host: gw.example.com", "x-forwarded-proto: https", "x-forwarded-port: 8443"],
    `${OUTER}:8443`,
  ],
  [
    "the scheme's own port",
    ONE,
    ["x-forwarded-host: gw.example.com", "x-forwarded-proto: https", "x-forwarded-port: 443"],
    OUTER,
  ],
  [
    "IPv6",
    ONE,
    ['forwarded: for="[2001:db8::1]:4711";host="[2001:db8::2]:8443";proto=https'],
    "https://[2001:db8::2]:8443",
  ],
  [
    "what a client put in front of it",
    ONE,
    [
      "x-forwarded-for: 10.0.0.9, 192.0.2.1",
      "x-forwarded-host: evil.test, gw.example.com",
      "x-forwarded-proto: http, https",
    ],
    OUTER,
  ],
  [
    "the same with Forwarded",
    ONE,
    ["forwarded: for=10.0.0.9;host=evil.test, for=192.0.2.1;host=gw.example.com;proto=https"],
    OUTER,
  ],
  [
    "in two fields",
    ONE,
    ["forwarded: for=10.0.0.9;host=evil.test", "forwarded: for=192.0.2.1;host=gw.example.com;proto=https"],
    OUTER,
  ],
  // Two: client 192.0.2.1 ▶ 10.0.0.1 ▶ the peer ▶ here.
  [
    "each adds, the outer one counts",
    TWO,
    [
      "x-forwarded-for: 192.0.2.1, 10.0.0.1",
      "x-forwarded-host: gw.example.com, middle:81",
      "x-forwarded-proto: https, http",
    ],
    OUTER,
  ],
  [
    "and nothing before it",
    TWO,
    [
      "x-forwarded-for: 10.9.9.9, 192.0.2.1, 10.0.0.1",
      "x-forwarded-host: evil.test, gw.example.com, middle:81",
      "x-forwarded-proto: http, https, http",
    ],
    OUTER,
  ],
  [
    "the inner one passes on what the outer one set",
    TWO,
    ["x-forwarded-for: 192.0.2.1, 10.0.0.1", "x-forwarded-host: gw.example.com", "x-forwarded-proto: https"],
    OUTER,
  ],
  [
    "with Forwarded",
    TWO,
    [
      "forwarded: for=10.9.9.9;host=evil.test, for=192.0.2.1;host=gw.example.com;proto=https, for=10.0.0.1;host=middle;proto=http",
    ],
    OUTER,
  ],
  [
    "what the outer one left out, the inner one tells",
    TWO,
    ["forwarded: for=192.0.2.1;proto=https, for=10.0.0.1;host=gw.example.com;proto=http"],
    OUTER,
  ],
  [
    "only one of the two is trusted",
    ONE,
    ["x-forwarded-for: 192.0.2.1, 10.0.0.1", "x-forwarded-host: evil.test, middle", "x-forwarded-proto: https, http"],
    "http://middle",
  ],
  // Garbage.
  ["no host", ONE, ["x-forwarded-host: evil/path?x", "x-forwarded-proto: https"], "https://inner:8080"],
  ["a user", ONE, ["x-forwarded-host: a@evil.test"], OWN],
  ["an impossible port", ONE, ["x-forwarded-host: evil.test:99999"], OWN],
  ["a broken address", ONE, ["x-forwarded-host: [::1"], OWN],
  [
    "another scheme",
    ONE,
    ["x-forwarded-proto: javascript", "x-forwarded-host: gw.example.com"],
    "http://gw.example.com",
  ],
  [
    "lists of which nobody can tell whose is which",
    ONE,
    ["x-forwarded-for: 192.0.2.1", "x-forwarded-host: evil.test, gw.example.com"],
    OWN,
  ],
  ["a Forwarded that is none", ONE, ["forwarded: host=evil.test;;;="], OWN],
  ["an open quote", ONE, ['forwarded: host="evil.test'], OWN],
  ["a name twice", ONE, ["forwarded: host=a.test;host=b.test"], OWN],
  [
    "both kinds, at odds",
    ONE,
    ["forwarded: host=evil.test;proto=https", "x-forwarded-host: gw.example.com", "x-forwarded-proto: https"],
    "https://inner:8080",
  ],
  [
    "a prefix is never believed",
    ONE,
    ["x-forwarded-host: gw.example.com", "x-forwarded-proto: https", "x-forwarded-prefix: /evil"],
    OUTER,
  ],
])("AU-06 %s (trusted: %j)", async (_name, trusted, fields, expected) => {
  expect(await told(fields, trusted)).toBe(expected);
});

test("AU-06 the configured URL wins over everything, with its prefix and without its slash", async () => {
  const fields = ["x-forwarded-host: evil.test", "forwarded: host=evil.test"];
  expect(await told(fields, ONE, "https://MCP.example.com:443/team/")).toBe("https://mcp.example.com/team");
});

/** A server that checks tokens itself, and says so. */
async function protectedServer() {
  const upstream = await scripted(({ target }) =>
    target.startsWith("/.well-known/")
      ? jsonAnswer(`{"resource":"${upstream.server.url}/mcp","authorization_servers":["https://as.example.com"]}`)
      : jsonAnswer(
          "{}",
          "401 Unauthorized",
          `www-authenticate: Bearer resource_metadata="${upstream.server.url}/.well-known/oauth-protected-resource/mcp"\r\n`,
        ),
  );
  await use(upstream.server);
  return { url: `${upstream.server.url}/mcp`, auth: "passthrough" };
}

/** Three servers: one checks tokens itself, one has a broker in front, one asks for nothing. */
async function threeServers(fields: readonly string[], settings: { trustedProxies?: string[]; publicUrl?: string }) {
  const plugins = [mounts(), oauthRoot({ policy: "login" }), oauthRelay(), broker({ servers: ["login"] })];
  const plain = { url: "http://127.0.0.1:9/mcp" };
  const all = { docs: await protectedServer(), login: plain, plain };
  const { url } = await use(startProxy({ servers: all, plugins, ...settings }));
  const port = Number(new URL(url).port);
  const send = asking(use, port);
  const ask = (method: string, target: string, body?: string) => send({ method, target, host: HOST, fields, body });
  return {
    ask,
    document: async (path: string) => JSON.parse((await ask("GET", path)).body) as Record<string, unknown>,
    /** Where an HTTP+SSE client is told to post, as a URL. */
    async endpoint(target: string, base: string) {
      const client = await use(rawClient(port));
      client.send(
        `GET ${[`${target} HTTP/1.1`, `host: ${HOST}`, ...fields, "accept: text/event-stream"].join("\r\n")}\r\n\r\n`,
      );
      const told = await client.receive(/event: endpoint\ndata: [^\n?]+/);
      await client.close();
      return new URL(told.split("data: ").at(-1)!, base).href;
    },
  };
}

/** What a client asks for and is told on the way to its login. @param before what stands before each path on the request line */
async function expectOneUrl(
  { ask, document, endpoint }: Awaited<ReturnType<typeof threeServers>>,
  base: string,
  before = "",
) {
  const { origin, pathname } = new URL(base);
  const prefix = pathname.replace(/\/$/, "");
  const wellKnown = (name: string, path: string) => `/.well-known/${name}${prefix}${path}`;

  expect(await document(wellKnown("oauth-protected-resource", "/docs/mcp"))).toMatchObject({
    resource: `${base}/docs/mcp`,
  });
  expect((await ask("POST", `${before}/docs/mcp`)).headers["www-authenticate"]).toBe(
    `Bearer resource_metadata="${origin}${wellKnown("oauth-protected-resource", "/docs/mcp")}"`,
  );
  expect(await document(wellKnown("oauth-protected-resource", "/login/mcp"))).toMatchObject({
    resource: `${base}/login/mcp`,
    authorization_servers: [`${base}/login`],
  });
  expect(await document(wellKnown("oauth-authorization-server", "/login"))).toMatchObject({
    issuer: `${base}/login`,
    authorization_endpoint: `${base}/login/authorize`,
    token_endpoint: `${base}/login/token`,
  });
  expect(await document("/.well-known/oauth-authorization-server")).toMatchObject({
    issuer: origin,
    token_endpoint: `${base}/login/token`,
  });
  expect(await endpoint(`${before}/plain/sse`, base)).toBe(`${base}/plain/messages`);

  const redirect = "http://127.0.0.1:9/callback";
  const registered = await ask("POST", `${before}/login/register`, JSON.stringify({ redirect_uris: [redirect] }));
  const { client_id } = JSON.parse(registered.body) as { client_id: string };
  const query = new URLSearchParams({ response_type: "code", client_id, redirect_uri: redirect, code_challenge: "x" });
  const sent = await ask("GET", `${before}/login/authorize?${query}`);
  expect(sent.status).toBe(302);
  expect(new URL(sent.headers.location!).searchParams.get("iss")).toBe(`${base}/login`);
}

const TWO_HOPS = [
  "x-forwarded-for: 192.0.2.1, 10.0.0.1",
  "x-forwarded-host: gw.example.com, middle",
  "x-forwarded-proto: https, http",
];

test.each<[string, string[] | undefined, string[], string]>([
  ["untrusted", undefined, ["x-forwarded-host: evil.test", "x-forwarded-proto: https"], OWN],
  ["one hop", ONE, ["x-forwarded-host: gw.example.com", "x-forwarded-proto: https"], OUTER],
  ["two hops", TWO, TWO_HOPS, OUTER],
  ["garbage", ONE, ["forwarded: host=evil.test;;;=", "x-forwarded-host: evil/path?x"], OWN],
])(
  "AU-06 %s: metadata, challenge, redirect, issuer and endpoint event name one origin",
  async (_name, trustedProxies, fields, origin) => expectOneUrl(await threeServers(fields, { trustedProxies }), origin),
);

test.each([
  ["takes the prefix away", ""],
  ["leaves the prefix", "/team"],
])("AU-06 behind a proxy that %s, all of them name the configured URL", async (_name, before) => {
  const fields = ["x-forwarded-host: evil.test", "x-forwarded-prefix: /evil"];
  const publicUrl = `${OUTER}/team`;
  await expectOneUrl(await threeServers(fields, { publicUrl, trustedProxies: ONE }), publicUrl, before);
});

test("AU-06 only the whole prefix is taken away, and guards see what is left", async () => {
  const publicUrl = `${OUTER}/team`;
  const plugins = [fence("/shut"), routes({ path: "/", does: "tell-url" }, { path: "/shut", does: "tell-url" })];
  const { url } = await use(startProxy({ servers, plugins, publicUrl }));
  const ask = asking(use, Number(new URL(url).port));
  const status = async (target: string) => (await ask({ method: "GET", target })).status;
  expect(await status("/")).toBe(200);
  for (const target of ["/team", "/team/", "/team?x"]) expect(await status(target), target).toBe(200);
  for (const target of ["/teams", "/team/team", "/TEAM/", "/tea%6d/"])
    expect(await status(target), target).not.toBe(200);
  expect(await status("/team/shut")).toBe(403);
});

test("AU-06 a server whose path begins with the prefix keeps it", async () => {
  const publicUrl = `${OUTER}/team`;
  const team = { url: "http://127.0.0.1:9/mcp" };
  const plugins = [mounts(), routes({ path: "/mcp", does: "tell-url" })];
  const { url } = await use(startProxy({ servers: { team, docs: team }, plugins, publicUrl }));
  const ask = asking(use, Number(new URL(url).port));
  expect((await ask({ method: "POST", target: "/team/mcp" })).status).toBe(502);
  expect((await ask({ method: "POST", target: "/team/docs/mcp" })).status).toBe(404);
});
