/** Which Hosts and Origins get through, and that nothing of what is refused reaches a server. */
import type { Plugin } from "mcp-penstock";
import type { HostGuardOptions } from "mcp-penstock/plugins/host-guard";
import { closed, health, hostGuard, routes } from "../_harness/plugins.ts";
import { describe, expect, test } from "vitest";
import { gate, rawClient, rawServer } from "../_harness/peers.ts";
import { startProxy } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { SSE_HEAD, chunk, jsonAnswer } from "../_harness/wire.ts";
import { type Asked, asking } from "./asking.ts";

const use = testScope();
const DOCUMENT = "/.well-known/oauth-protected-resource/mcp";

const discovery = () => routes({ path: DOCUMENT });

async function start(options: HostGuardOptions = {}, config: object = {}, more: readonly Plugin[] = []) {
  const server = await use(
    rawServer(async (connection) => {
      for await (const { method } of connection.requests())
        connection.send(jsonAnswer("{}", method === "GET" ? "405 No" : "200 OK", "access-control-allow-origin: *\r\n"));
    }),
  );
  const servers = { one: { url: `${server.url}/mcp`, path: "/mcp" } };
  const plugins = [hostGuard(options), discovery(), ...more];
  const proxy = await use(startProxy({ servers, plugins, ...config }));
  const port = Number(new URL(proxy.url).port);
  const send = asking(use, port);
  async function ask(asked: Asked = {}) {
    const answer = await send(asked);
    const cors = answer.rawHeaders.filter(([name]) => /^(?:access-control-.*|vary)$/i.test(name));
    return { ...answer, cors: Object.fromEntries(cors.map(([name, value]) => [name.toLowerCase(), value])) };
  }
  return { ask, server };
}

const code = (body: string) => (JSON.parse(body) as { error: { data: { code: string } } }).error.data.code;

describe("AU-04 Host", () => {
  test("does not matter where a process is checked on, and nowhere else", async () => {
    const { ask, server } = await start({}, {}, [health()]);
    for (const target of ["/healthz", "/readyz"])
      expect((await ask({ method: "GET", target, host: "192.0.2.7:3333" })).status).toBe(200);
    for (const target of ["/health", "/healthz/", "/mcp"])
      expect((await ask({ method: "GET", target, host: "192.0.2.7:3333" })).status).toBe(403);
    expect((await ask({ method: "POST", target: "/healthz", host: "192.0.2.7:3333" })).status).toBe(403);
    expect(
      (await ask({ method: "GET", target: "/healthz", host: "localhost", fields: ["origin: https://evil.test"] }))
        .status,
    ).toBe(403);
    expect(server.requests).toBe(0);
  });

  test.each([
    "localhost",
    "LocalHost",
    "localhost:3333",
    "localhost:",
    "app.localhost",
    "127.0.0.1",
    "127.9.9.9:80",
    "[::1]",
    "[::1]:3333",
    "[0:0:0:0:0:0:0:1]",
  ])("%s is this machine", async (host) => {
    const { ask } = await start();
    expect(await ask({ host })).toMatchObject({ status: 200, cors: {} });
  });

  test.each([
    ["evil.test", 403],
    ["localhost.evil.test", 403],
    ["evil-localhost", 403],
    ["127.0.0.1.evil.test", 403],
    ["localhost.", 403],
    [".localhost.", 403],
    ["127.1", 403],
    ["0x7f.0.0.1", 403],
    ["2130706433", 403],
    ["0.0.0.0", 403],
    ["10.0.0.1", 403],
    ["[::2]", 403],
    ["[::ffff:127.0.0.1]", 403],
    ["[127.0.0.1]", 400],
    ["localhost:99999", 400],
    ["null", 403],
    ["*", 403],
    [`${"a.".repeat(200)}localhost`, 403],
    ["user@localhost", 400],
    ["localhost, evil.test", 400],
    ["", 400],
  ])("%s is refused with %i on every path, and the server hears nothing", async (host, status) => {
    const { ask, server } = await start();
    for (const asked of [{}, { method: "GET" }, { method: "GET", target: DOCUMENT }, { target: "/nothing" }]) {
      const answer = await ask({ ...asked, host, fields: ["origin: http://localhost"] });
      expect(answer).toMatchObject({ status, cors: {} });
      expect(code(answer.body)).toBe(status === 403 ? "FORBIDDEN_HOST" : "INVALID_TARGET");
    }
    expect(server.requests).toBe(0);
  });

  test.each([
    ["none", null, []],
    ["two", "localhost", ["host: localhost"]],
    ["two, the second a stranger", "localhost", ["host: evil.test"]],
    ["two, the first a stranger", "evil.test", ["Host: localhost"]],
  ])("%s: 400 on every path, and the server hears nothing", async (_, host, fields) => {
    const { ask, server } = await start();
    for (const target of ["/mcp", DOCUMENT, "/nothing"])
      expect(await ask({ target, host, fields })).toMatchObject({ status: 400, cors: {} });
    expect(server.requests).toBe(0);
  });

  const hosts = [
    "mcp.example.com",
    "*.example.org",
    "192.0.2.7:8080",
    "2001:db8::7",
    "secure.test:443",
    "münchen.test",
  ];
  test.each([
    ["mcp.example.com", 200],
    ["MCP.example.com:8443", 200],
    ["a.example.org", 200],
    ["a.b.example.org:1", 200],
    ["192.0.2.7:8080", 200],
    ["[2001:DB8:0::7]:9", 200],
    ["secure.test", 200],
    ["secure.test:443", 200],
    ["xn--mnchen-3ya.test", 200],
    ["example.com", 403],
    ["x.mcp.example.com", 403],
    ["example.org", 403],
    [".example.org", 403],
    ["evilexample.org", 403],
    ["192.0.2.7", 403],
    ["192.0.2.7:80", 403],
    ["secure.test:8443", 403],
    ["localhost", 403],
    ["127.0.0.1", 403],
  ])("of a list: %s is %i", async (host, status) => {
    const { ask } = await start({ hosts });
    expect((await ask({ host })).status).toBe(status);
  });

  test("an empty list allows none, `loopback` the names of this machine beside others", async () => {
    const none = await start({ hosts: [] });
    for (const host of ["localhost", "127.0.0.1", "[::1]"]) expect((await none.ask({ host })).status).toBe(403);
    const both = await start({ hosts: ["loopback", "a.test"] });
    for (const host of ["localhost", "[::1]", "a.test"]) expect((await both.ask({ host })).status).toBe(200);
  });

  test("the configured public URL and address are known, where no list says otherwise", async () => {
    const publicUrl = "https://mcp.example.com/team";
    const { ask } = await start({}, { publicUrl });
    expect((await ask({ host: "mcp.example.com" })).status).toBe(200);
    expect((await ask({ host: "localhost" })).status).toBe(200);
    expect((await ask({ host: "evil.test" })).status).toBe(403);
    const listed = await start({ hosts: ["a.test"] }, { publicUrl });
    expect((await listed.ask({ host: "mcp.example.com" })).status).toBe(403);
  });
});

/** Pages that no configuration of these tests allows. */
const STRANGERS = [
  "null",
  "",
  "*",
  "https://evil.test",
  "http://localhost.evil.test",
  "http://evil-localhost",
  "http://127.0.0.1.evil.test",
  "http://localhost@evil.test",
  "http://evil@localhost",
  "http://localhost/",
  "http://localhost.",
  "http://localhost:99999",
  "http://localhost:",
  "http://127.1",
  "http://[::ffff:127.0.0.1]",
  "http://localhost, http://evil.test",
  "http://localhost http://evil.test",
  "localhost",
  "//localhost",
  "file://",
  "constructor://localhost",
  "chrome-extension://abcdef",
];
const ASKS_FIRST = ["access-control-request-method: POST", "access-control-request-headers: content-type"];

describe("AU-04 Origin", () => {
  test.each([
    "http://localhost",
    "http://localhost:6274",
    "https://LOCALHOST",
    "http://app.localhost:1",
    "http://127.0.0.1:5173",
    "http://[::1]:8080",
  ])("%s is a page of this machine", async (origin) => {
    const { ask } = await start();
    const { status, cors, rawHeaders } = await ask({ fields: [`origin: ${origin}`] });
    expect(status).toBe(200);
    expect(cors).toEqual({
      "access-control-allow-origin": origin,
      "access-control-expose-headers":
        "Mcp-Session-Id, WWW-Authenticate, MCP-Protocol-Version, X-Request-Id, Retry-After",
      vary: "Origin",
    });
    // What the server says about pages is not for this origin: one field, not two.
    expect(rawHeaders.filter(([name]) => name.toLowerCase() === "access-control-allow-origin")).toHaveLength(1);
  });

  test.each(STRANGERS)("%j is refused, its preflight as well, and the server hears nothing", async (origin) => {
    const { ask, server } = await start();
    for (const asked of [
      {},
      { method: "GET" },
      { method: "DELETE" },
      { target: "/nothing" },
      { method: "OPTIONS", more: ASKS_FIRST },
      { target: DOCUMENT },
      { method: "OPTIONS", target: DOCUMENT, more: ASKS_FIRST },
    ] as (Asked & { more?: string[] })[]) {
      const answer = await ask({ ...asked, fields: [`origin: ${origin}`, ...(asked.more ?? [])] });
      expect(answer).toMatchObject({ status: 403, cors: {} });
      expect(code(answer.body)).toBe("FORBIDDEN_ORIGIN");
    }
    expect(server.requests).toBe(0);
  });

  test("two fields are none, in either order", async () => {
    const { ask, server } = await start();
    const two = ["origin: http://localhost", "origin: https://evil.test"];
    for (const fields of [two, two.toReversed(), [two[0]!, two[0]!]])
      expect(await ask({ fields })).toMatchObject({ status: 403, cors: {} });
    expect(server.requests).toBe(0);
  });

  const origins = [
    "https://app.example.com",
    "https://*.example.org",
    "http://localhost:*",
    "tauri://localhost",
    "null",
  ];
  test.each([
    ["https://app.example.com", 200],
    ["https://app.example.com:443", 200],
    ["https://a.example.org", 200],
    ["http://localhost:5173", 200],
    ["http://localhost", 200],
    ["tauri://localhost", 200],
    ["null", 200],
    ["http://app.example.com", 403],
    ["https://app.example.com:8443", 403],
    ["https://x.app.example.com", 403],
    ["https://example.org", 403],
    ["https://localhost:5173", 403],
    ["http://127.0.0.1", 403],
    ["https://evil.test", 403],
  ])("of a list: %s is %i", async (origin, status) => {
    const { ask } = await start({ origins });
    const answer = await ask({ fields: [`origin: ${origin}`] });
    expect(answer.status).toBe(status);
    expect(answer.cors["access-control-allow-origin"]).toBe(status === 200 ? origin : undefined);
  });

  test("beside a list, the page of the public URL may call; an empty list allows no page, but programs", async () => {
    const publicUrl = "https://mcp.example.com/team";
    const listed = await start({ origins: ["https://app.example.com"] }, { publicUrl });
    const own = { host: "mcp.example.com", fields: ["origin: https://mcp.example.com"] };
    expect((await listed.ask(own)).status).toBe(200);
    expect((await listed.ask({ ...own, fields: ["origin: https://mcp.example.com:8443"] })).status).toBe(403);
    const none = await start({ origins: [] }, { publicUrl });
    expect((await none.ask(own)).status).toBe(403);
    expect((await none.ask({ fields: ["origin: http://localhost"] })).status).toBe(403);
    expect((await none.ask({ host: "mcp.example.com" })).status).toBe(200);
  });

  test("without a list, pages of the allowed hosts may call", async () => {
    const { ask } = await start({ hosts: ["mcp.example.com", "a.test:8443"] });
    const status = async (origin: string) =>
      (await ask({ host: "mcp.example.com", fields: [`origin: ${origin}`] })).status;
    expect(await status("https://mcp.example.com")).toBe(200);
    expect(await status("https://a.test:8443")).toBe(200);
    expect(await status("https://a.test")).toBe(403);
    expect(await status("http://localhost:6274")).toBe(200);
    expect(await status("https://evil.test")).toBe(403);
  });
});

describe("AU-04 CORS", () => {
  const page = "origin: http://localhost:6274";

  test("a preflight is answered here", async () => {
    const { ask, server } = await start({ allowHeaders: ["X-Own-Key"] }, {}, [closed()]);
    const { status, cors, body } = await ask({
      method: "OPTIONS",
      fields: [
        page,
        "access-control-request-method: POST",
        "access-control-request-headers: authorization, mcp-param-city,x-evil, Mcp-Param-B",
      ],
    });
    expect([status, body]).toEqual([204, ""]);
    expect(cors).toEqual({
      "access-control-allow-origin": "http://localhost:6274",
      "access-control-allow-methods": "GET, POST, PUT, DELETE",
      "access-control-allow-headers":
        "Authorization, Content-Type, Accept, Last-Event-ID, MCP-Protocol-Version, Mcp-Session-Id, Mcp-Method, Mcp-Name, X-Api-Key, X-Request-Id, X-Own-Key, mcp-param-city, Mcp-Param-B",
      "access-control-max-age": "600",
      vary: "Origin",
    });
    expect(server.requests).toBe(0);
  });

  test("a private network is granted to allowed pages that ask for it", async () => {
    const { ask } = await start({ origins: ["https://app.example.com"] });
    const wanted = ["access-control-request-method: GET", "access-control-request-private-network: true"];
    const granted = await ask({ method: "OPTIONS", fields: ["origin: https://app.example.com", ...wanted] });
    expect(granted.cors["access-control-allow-private-network"]).toBe("true");
    const stranger = await ask({
      method: "OPTIONS",
      target: DOCUMENT,
      fields: ["origin: https://evil.test", ...wanted],
    });
    expect(stranger.status).toBe(204);
    expect(stranger.cors).not.toHaveProperty("access-control-allow-private-network");
  });

  test("OPTIONS that asks for nothing is no preflight", async () => {
    const { ask } = await start();
    expect(await ask({ method: "OPTIONS", fields: [page] })).toMatchObject({ status: 405 });
  });

  test.each([
    [401, { more: [closed()] }, {}],
    [404, {}, { target: "/nothing" }],
    [405, {}, { method: "PATCH" }],
    [400, {}, { body: "{" }],
    [502, { down: true }, {}],
  ] as [number, { more?: Plugin[]; down?: boolean }, Asked][])(
    "%i has the fields too",
    async (status, setting, asked) => {
      const { ask, server } = await start({}, {}, setting.more);
      if (setting.down) await server.close();
      const answer = await ask({ ...asked, fields: [page] });
      expect(answer.status).toBe(status);
      expect(answer.cors).toMatchObject({ "access-control-allow-origin": "http://localhost:6274", vary: "Origin" });
      expect(answer.cors["access-control-expose-headers"]).toContain("WWW-Authenticate");
    },
  );

  test("an event stream has them in its head, which nothing holds back", async () => {
    const second = gate();
    const server = await use(
      rawServer(async (connection) => {
        await connection.receiveRequest();
        connection.send(SSE_HEAD + chunk("data: 1\n\n"));
        await second.promise;
        connection.send(chunk("data: 2\n\n") + chunk(""));
      }),
    );
    const servers = { one: { url: `${server.url}/mcp`, path: "/mcp" } };
    const proxy = await use(startProxy({ servers, plugins: [hostGuard()] }));
    const client = await use(rawClient(Number(new URL(proxy.url).port)));
    client.send(`GET /mcp HTTP/1.1\r\nhost: localhost\r\n${page}\r\naccept: text/event-stream\r\n\r\n`);
    await client.receive(/data: 1/);
    expect(client.response().headers).toMatchObject({
      "access-control-allow-origin": "http://localhost:6274",
      "content-type": "text/event-stream",
    });
    second.open();
    await client.receive(/data: 2/);
  });
});

describe("AU-04 paths that every page may read", () => {
  const stranger = "origin: https://evil.test";

  test("discovery documents, with GET, HEAD and their preflight", async () => {
    const { ask } = await start({}, {}, [closed()]);
    const read = { "access-control-allow-origin": "*", vary: "Origin" };
    for (const origin of [stranger, "origin: null"]) {
      expect(await ask({ method: "GET", target: DOCUMENT, fields: [origin] })).toMatchObject({
        status: 200,
        cors: read,
      });
      expect(await ask({ method: "HEAD", target: DOCUMENT, fields: [origin] })).toMatchObject({
        status: 200,
        cors: read,
      });
    }
    const { status, cors } = await ask({
      method: "OPTIONS",
      target: DOCUMENT,
      fields: [stranger, "access-control-request-method: GET", "access-control-request-headers: mcp-protocol-version"],
    });
    expect(status).toBe(204);
    expect(cors).toEqual({
      ...read,
      "access-control-allow-methods": "GET, HEAD",
      "access-control-allow-headers": "Accept, Content-Type, MCP-Protocol-Version",
      "access-control-max-age": "600",
    });
    const friend = await ask({ method: "GET", target: DOCUMENT, fields: ["origin: http://localhost"] });
    expect(friend.cors["access-control-allow-origin"]).toBe("http://localhost");
  });

  test("other paths, or none", async () => {
    const own = await start({ publicPaths: ["/docs/"] });
    expect((await own.ask({ method: "GET", target: DOCUMENT, fields: [stranger] })).status).toBe(403);
    expect((await own.ask({ method: "GET", target: "/docs/x", fields: [stranger] })).status).toBe(404);
    expect((await own.ask({ method: "GET", target: "/docsx", fields: [stranger] })).status).toBe(403);
    const none = await start({ publicPaths: [] });
    expect((await none.ask({ method: "GET", target: DOCUMENT, fields: [stranger] })).status).toBe(403);
  });

  test.each(["/**", "/:any/mcp", "/.well-known/mcp", "/.well-known/**"])(
    "not where a server is mounted: %s",
    async (path) => {
      const server = await use(rawServer());
      const servers = { one: { url: `${server.url}/mcp`, path } };
      const proxy = await use(startProxy({ servers, plugins: [hostGuard()] }));
      const url = `${proxy.url}/.well-known/mcp`;
      const answer = await fetch(url, { headers: { origin: "https://evil.test" } });
      expect(answer.status).toBe(403);
      expect(server.requests).toBe(0);
    },
  );
});
