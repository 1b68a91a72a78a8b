/** What a mount makes of its server, from the answers to its questions: MCP 2026-07-28, Versioning, "Era detection". */
import { describe, expect, test, vi } from "vitest";
import type { ProxyError } from "mcp-penstock";
import { type Plugin } from "mcp-penstock";
import { bridge as rawBridge } from "mcp-penstock/plugins/bridge";
import type { ParsedRequest } from "../_harness/peers.ts";
import { gate } from "../_harness/peers.ts";
import { bridge } from "../_harness/plugins.ts";
import { otherRuntime } from "../_harness/runtimes.ts";
import { testScope } from "../_harness/scope.ts";
import { type Scripted, idOf, methodOf, scripted } from "../_harness/scripted.ts";
import { startLegacyServer, startModernServer } from "../_harness/servers.ts";
import { front, jsonAnswer } from "../_harness/wire.ts";

const use = testScope();

const VERSION = "io.modelcontextprotocol/protocolVersion";
const ENVELOPE = { [VERSION]: "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {} };
const DISCOVERED =
  '{"supportedVersions":["2026-07-28"],"capabilities":{},"resultType":"complete","ttlMs":0,"cacheScope":"private","big":12345678901234567890}';
const INITIALIZED =
  '{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"old","version":"1"}}';

type Answerer = (request: ParsedRequest) => Scripted | Promise<Scripted>;
const result =
  (json: string): Answerer =>
  (request) =>
    jsonAnswer(`{"jsonrpc":"2.0","id":${idOf(request)},"result":${json}}`);
const error =
  (code: number, line: string, data = "{}"): Answerer =>
  (request) =>
    jsonAnswer(`{"jsonrpc":"2.0","id":${idOf(request)},"error":{"code":${code},"message":"no","data":${data}}}`, line);
const page =
  (line: string, more = ""): Answerer =>
  () =>
    `HTTP/1.1 ${line}\r\ncontent-type: text/html\r\n${more}content-length: 2\r\n\r\nno`;

/** A server that answers by method; what it has no answer for is answered as a modern server without such a method does. */
async function server(answers: Partial<Record<string, Answerer>>) {
  const made = await scripted(
    (request) => {
      const answer = answers[methodOf(request) ?? request.method];
      if (answer) return answer(request);
      if (request.body && idOf(request) === undefined) return "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";
      return request.body ? error(-32601, "404 Not Found")(request) : page("405 No")(request);
    },
    { discovers: true, handshakes: true },
  );
  await use(made.server);
  /** Requests with an envelope, but for the question itself. */
  const ran = () =>
    made.requests.filter((request) => request.body.includes(VERSION) && methodOf(request) !== "server/discover").length;
  return { ...made, ran };
}

function modern(url: string, method = "tools/list", params: object = {}, headers: Record<string, string> = {}) {
  return fetch(`${url}/mcp`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      "mcp-protocol-version": "2026-07-28",
      "mcp-method": method,
      ...("name" in params && { "mcp-name": String(params.name) }),
      ...headers,
    },
    body: JSON.stringify({ jsonrpc: "2.0", id: 7, method, params: { ...params, _meta: ENVELOPE } }),
  });
}

function legacy(url: string, method: string, params: object = {}, headers: Record<string, string> = {}) {
  return fetch(`${url}/mcp`, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "application/json, text/event-stream", ...headers },
    body: JSON.stringify({ jsonrpc: "2.0", id: 7, method, params }),
  });
}

const HELLO = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "c", version: "1" } };
const MODERN_ONLY = error(-32022, "400 Bad Request", '{"supported":["2026-07-28"],"requested":"2025-11-25"}');

describe("a modern request waits until the server was asked", () => {
  test.each<[string, Answerer]>([
    ["a discover result", result(DISCOVERED)],
    [
      "-32022 with a mutual version, then a result",
      (() => {
        let asked = 0;
        return (request: ParsedRequest) => (asked++ === 0 ? MODERN_ONLY(request) : result(DISCOVERED)(request));
      })(),
    ],
    ["-32022 with other modern versions only", error(-32022, "400 Bad Request", '{"supported":["2031-01-01"]}')],
  ])("modern: %s; requests go as they are", async (_, discover) => {
    const {
      server: up,
      seen,
      requests,
    } = await server({ "server/discover": discover, "tools/list": result('{"tools":[]}') });
    const { url } = await use(front(up.url, [bridge()]));
    expect((await modern(url)).status).toBe(200);
    expect((await modern(url)).status).toBe(200);
    expect(seen.filter((one) => one === "POST tools/list")).toHaveLength(2);
    expect(JSON.parse(requests.at(-1)!.body)).toMatchObject({ id: 7, params: { _meta: ENVELOPE } });
    expect(seen.filter((one) => one === "POST server/discover").length).toBeLessThanOrEqual(2);
  });

  test.each<[string, Answerer]>([
    ["-32022 with legacy versions only", error(-32022, "400 Bad Request", '{"supported":["2025-11-25"]}')],
    ["-32601 with 404", error(-32601, "404 Not Found")],
    ["-32601 with 200", error(-32601, "200 OK")],
    ["-32020", error(-32020, "400 Bad Request")],
    ["-32021", error(-32021, "400 Bad Request")],
    ["-32001 with 404", error(-32001, "404 Not Found")],
    ["-32000 with 400", error(-32000, "400 Bad Request")],
    ["a page with 404", page("404 Not Found")],
    ["405 without a body", () => "HTTP/1.1 405 No\r\ncontent-length: 0\r\n\r\n"],
  ])("legacy: %s; nothing modern goes to it", async (_, discover) => {
    const made = await server({
      "server/discover": discover,
      initialize: result(INITIALIZED),
      "tools/list": result('{"tools":[]}'),
    });
    const { url } = await use(front(made.server.url, [bridge()]));
    const answer = await modern(url);
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({ id: 7, result: { tools: [], resultType: "complete" } });
    expect(made.ran()).toBe(0);
    expect(made.seen.slice(0, 2)).toEqual(["POST server/discover", "POST initialize"]);
  });

  test.each<[string, Answerer, number]>([
    ["500", page("500 Oops"), 500],
    ["503 with Retry-After", page("503 Later", "retry-after: 3\r\n"), 503],
    ["429", page("429 Slowly", "retry-after: 3\r\n"), 429],
    ["403", page("403 No"), 403],
    ["a page with 200", page("200 OK"), 502],
    ["a reset", () => "reset", 502],
  ])("no evidence: %s; nothing is remembered, and the client is told", async (_, discover, status) => {
    let bad = true;
    const made = await server({
      "server/discover": (request) => (bad ? discover(request) : result(DISCOVERED)(request)),
      "tools/list": result('{"tools":[]}'),
    });
    const { url } = await use(front(made.server.url, [bridge()]));
    const answer = await modern(url);
    expect(answer.status).toBe(status);
    expect(await answer.json()).toMatchObject({ jsonrpc: "2.0", id: 7, error: { code: -32603 } });
    if (status === 503 || status === 429) expect(answer.headers.get("retry-after")).toBe("3");
    expect(new Set(made.seen)).toEqual(new Set(["POST server/discover"]));
    bad = false;
    expect((await modern(url)).status).toBe(200);
  });

  test("a server that cannot be reached is told as such, and may be asked again", async () => {
    const { url } = await use(front("http://127.0.0.1:1", [bridge()]));
    const answer = await modern(url);
    expect(answer.status).toBe(502);
    expect(await answer.json()).toMatchObject({ id: 7, error: { data: { code: "UPSTREAM_UNREACHABLE" } } });
  });

  test("each credential has an answer of its own where callers log in at the server", async () => {
    const made = await server({
      "server/discover": (request) =>
        request.headers.authorization === "Bearer new"
          ? result(DISCOVERED)(request)
          : request.headers.authorization
            ? error(-32601, "404 Not Found")(request)
            : page("401 No", 'www-authenticate: Bearer scope="a"\r\n')(request),
      initialize: result(INITIALIZED),
      "tools/list": result('{"tools":[]}'),
    });
    const { url } = await use(front(made.server.url, [bridge()], { auth: "passthrough" }));
    const refused = await modern(url);
    expect([refused.status, refused.headers.get("www-authenticate")]).toEqual([401, 'Bearer scope="a"']);
    for (const token of ["new", "old", "new", "old"])
      expect((await modern(url, "tools/list", {}, { authorization: `Bearer ${token}` })).status).toBe(200);
    expect(made.ran()).toBe(2);
    expect(made.seen.filter((one) => one === "POST server/discover")).toHaveLength(3);
  });

  test("twenty first requests ask once, and the client's own discovery is the question", async () => {
    const opened = gate();
    const made = await server({
      "server/discover": async (request) => {
        await opened.promise;
        return result(DISCOVERED)(request);
      },
      "tools/list": result('{"tools":[]}'),
    });
    const { url } = await use(front(made.server.url, [bridge()]));
    const first = modern(url, "server/discover");
    await expect.poll(() => made.seen.length).toBe(1);
    const others = Array.from({ length: 20 }, () => modern(url));
    opened.open();
    // Byte for byte, with a number that no JavaScript number holds.
    expect(await (await first).text()).toBe(`{"jsonrpc":"2.0","id":7,"result":${DISCOVERED}}`);
    for (const answer of await Promise.all(others)) expect(answer.status).toBe(200);
    expect(made.seen.filter((one) => one === "POST server/discover")).toHaveLength(1);
    expect(made.ran()).toBe(20);
  });

  test("a client that leaves with the question takes it along; others ask themselves", async () => {
    let asked = 0;
    const made = await server({
      "server/discover": (request) => (asked++ === 0 ? "hang" : result(DISCOVERED)(request)),
      "tools/list": result('{"tools":[]}'),
    });
    const { url } = await use(front(made.server.url, [bridge()]));
    const leaving = new AbortController();
    const first = fetch(`${url}/mcp`, {
      method: "POST",
      signal: leaving.signal,
      headers: {
        "content-type": "application/json",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "server/discover",
      },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "server/discover", params: { _meta: ENVELOPE } }),
    }).catch(() => undefined);
    await expect.poll(() => asked).toBe(1);
    const other = modern(url);
    leaving.abort();
    await first;
    expect((await other).status).toBe(200);
    expect(asked).toBe(2);
  });
});

describe("a legacy request goes as it is, until it is refused as only a modern server does", () => {
  test("a server that answers is never asked what it is", async () => {
    const made = await server({ initialize: result(INITIALIZED), "tools/list": result('{"tools":[]}') });
    const { url } = await use(front(made.server.url, [bridge()]));
    await legacy(url, "initialize", HELLO);
    await legacy(url, "tools/list");
    await legacy(url, "of/nobody");
    expect(made.seen).toEqual(["POST initialize", "POST tools/list", "POST of/nobody"]);
  });

  test("-32022 with modern versions only: the request that was refused is served", async () => {
    const made = await server({ initialize: MODERN_ONLY, "server/discover": result(DISCOVERED) });
    const { url } = await use(front(made.server.url, [bridge()]));
    const answer = await legacy(url, "initialize", HELLO);
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({ id: 7, result: { protocolVersion: "2025-11-25" } });
    expect(made.seen.slice(0, 2)).toEqual(["POST initialize", "POST server/discover"]);
  });

  test.each<[string, Answerer]>([
    ["-32022 with legacy versions too", error(-32022, "400 Bad Request", '{"supported":["2026-07-28","2025-06-18"]}')],
    ["-32020", error(-32020, "400 Bad Request")],
    ["-32602 with 400", error(-32602, "400 Bad Request")],
  ])("%s may have another reason: a server that answers initialize keeps its legacy clients", async (_, said) => {
    const made = await server({
      initialize: result(INITIALIZED),
      "tools/call": said,
      "server/discover": result(DISCOVERED),
    });
    const { url } = await use(front(made.server.url, [bridge()]));
    for (let i = 0; i < 3; i++) {
      const answer = await legacy(url, "tools/call", { name: "echo" });
      expect(answer.status).toBe(400);
    }
    // Asked once, by `initialize`, and then left alone for a while.
    expect(made.seen.filter((one) => one === "POST initialize")).toHaveLength(1);
    expect(made.seen.filter((one) => one === "POST tools/call")).toHaveLength(3);
  });

  test("a client cannot make others believe that its server is modern", async () => {
    const made = await server({
      "tools/list": (request) =>
        request.headers["mcp-protocol-version"] === "2026-07-28"
          ? MODERN_ONLY(request)
          : result('{"tools":[]}')(request),
      initialize: result(INITIALIZED),
      "server/discover": result(DISCOVERED),
    });
    const { url } = await use(front(made.server.url, [bridge()]));
    await legacy(url, "tools/list", {}, { "mcp-protocol-version": "2026-07-28" });
    await legacy(url, "tools/list");
    expect(made.requests.at(-1)!.body).not.toContain(VERSION);
  });

  test("a large refusal arrives whole", async () => {
    const text = "x".repeat(100_000);
    const made = await server({
      "tools/list": () => `HTTP/1.1 404 No\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n${text}`,
    });
    const { url } = await use(front(made.server.url, [bridge()]));
    made.server
      .connection(0)
      .then((connection) => connection.ended)
      .catch(() => {});
    const answer = legacy(url, "tools/list");
    await expect.poll(() => made.seen.length).toBe(1);
    (await made.server.connection()).fin();
    expect(await (await answer).text()).toBe(text);
  });
});

describe("servers that become others", () => {
  // The clock is the test's own: it is none of a proxy in a process of its own.
  test.skipIf(otherRuntime)("modern, then legacy: a request that it refuses is bridged, a minute later", async () => {
    let isModern = true;
    const made = await server({
      "server/discover": (request) =>
        isModern ? result(DISCOVERED)(request) : error(-32000, "400 Bad Request")(request),
      "tools/list": (request) =>
        isModern || !request.headers["mcp-method"]
          ? result('{"tools":[]}')(request)
          : error(-32000, "400 Bad Request")(request),
      initialize: result(INITIALIZED),
    });
    const { url } = await use(front(made.server.url, [bridge()]));
    expect((await modern(url)).status).toBe(200);
    isModern = false;
    // The first probe was just now: its answer counts for a while.
    expect((await modern(url)).status).toBe(400);
    expect(made.seen.filter((one) => one === "POST server/discover")).toHaveLength(1);
    const now = performance.now.bind(performance);
    const clock = vi.spyOn(performance, "now").mockImplementation(() => now() + 60_001);
    try {
      expect(await (await modern(url)).json()).toMatchObject({ id: 7, result: { tools: [], resultType: "complete" } });
      expect(made.seen.slice(-5)).toEqual([
        "POST tools/list",
        "POST server/discover",
        "POST initialize",
        "POST notifications/initialized",
        "POST tools/list",
      ]);
    } finally {
      clock.mockRestore();
    }
  });

  test("legacy, then modern only: the next handshake is bridged", async () => {
    let isLegacy = true;
    const made = await server({
      initialize: (request) => (isLegacy ? result(INITIALIZED)(request) : MODERN_ONLY(request)),
      "server/discover": result(DISCOVERED),
    });
    const { url } = await use(front(made.server.url, [bridge()]));
    expect((await legacy(url, "initialize", HELLO)).status).toBe(200);
    isLegacy = false;
    expect((await legacy(url, "initialize", HELLO)).status).toBe(200);
    expect(made.seen).toContain("POST server/discover");
  });
});

describe("real servers", () => {
  test("a stateless server of SDK v1 never gets a modern call", async () => {
    const legacyServer = await use(startLegacyServer({ sessions: false }));
    const { url } = await use(front(legacyServer.url.replace(/\/mcp$/, ""), [bridge()]));
    const answer = await modern(url, "tools/call", { name: "echo", arguments: { text: "hi" } });
    expect(answer.status).toBe(200);
    const bodies = legacyServer.requests.map(({ body }) => JSON.stringify(body ?? ""));
    expect(bodies.filter((body) => body.includes("tools/call") && body.includes(VERSION))).toEqual([]);
  });

  test("a server of both eras serves both as they are", async () => {
    const both = await use(startModernServer({ legacy: "stateless" }));
    const { url } = await use(front(both.url.replace(/\/mcp$/, ""), [bridge()]));
    expect((await modern(url, "tools/call", { name: "echo", arguments: { text: "hi" } })).status).toBe(200);
  });
});

test("options: whole numbers above 0, and no others", () => {
  const make = (options: object) => (): Plugin => rawBridge(options);
  expect(make({})).not.toThrow();
  expect(make({ maxRounds: 3, maxLeases: undefined })).not.toThrow();
  for (const wrong of [{ maxRounds: 0 }, { maxLeases: 1.5 }, { idleTimeout: "1" }, { maxRound: 3 }])
    expect(make(wrong)).toThrow(expect.objectContaining({ code: "BAD_OPTION" }) as ProxyError);
});
