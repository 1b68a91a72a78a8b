/** What a probe makes of a server, and what it leaves behind there. */
import { type App, type Plugin, type ProbeOptions, createPenstock, probeServer } from "mcp-penstock";
import { describe, expect, test } from "vitest";
import { rawServer } from "../_harness/peers.ts";
import { testScope } from "../_harness/scope.ts";
import { type Scripted, idOf, methodOf, scripted } from "../_harness/scripted.ts";
import { startLegacyServer, startModernServer } from "../_harness/servers.ts";
import { SSE_HEAD, chunk, jsonAnswer } from "../_harness/wire.ts";

const use = testScope();

async function probe(url: string, options: ProbeOptions = {}) {
  let app!: App;
  const prober: Plugin = {
    name: "prober",
    setup(own) {
      app = own;
    },
  };
  const proxy = createPenstock({ servers: { one: { url, path: "/mcp" } }, plugins: [prober] });
  await proxy.ready();
  try {
    return await probeServer((request) => app.call(app.mounts[0]!, request, { reason: "test" }), {
      timeout: 2000,
      ...options,
    });
  } finally {
    await proxy.close();
  }
}

type On = Partial<Record<"discover" | "initialize" | "GET" | "DELETE", Scripted | ((id: string) => Scripted)>>;
const status = (line: string, type = "text/html", body = "<p>no</p>") =>
  `HTTP/1.1 ${line}\r\ncontent-type: ${type}\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
const result =
  (members: string, headers = "") =>
  (id: string) =>
    jsonAnswer(`{"jsonrpc":"2.0","id":${id},"result":${members}}`, "200 OK", headers);
const error =
  (code: number, line = "400 Bad Request", data = "{}") =>
  (id: string) =>
    jsonAnswer(`{"jsonrpc":"2.0","id":${id},"error":{"code":${code},"message":"no","data":${data}}}`, line);
const DISCOVERED =
  '{"supportedVersions":["2026-07-28"],"capabilities":{},"resultType":"complete","ttlMs":0,"cacheScope":"private","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"m","version":"1"}}}';
const INITIALIZED =
  '{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"l","version":"1"}}';
const SESSION = "Mcp-Session-Id: s1\r\n";

async function against(on: On, options?: ProbeOptions) {
  const { server, seen, requests } = await scripted(
    (request) => {
      const key = methodOf(request)?.replace("server/", "") ?? request.method;
      const said =
        on[key as keyof On] ?? (request.method === "DELETE" ? status("204 No Content") : status("404 Not Found"));
      return typeof said === "function" ? said(request.body ? idOf(request) : "") : said;
    },
    { discovers: true },
  );
  await use(server);
  return { found: await probe(`${server.url}/mcp`, options), seen, requests };
}

describe("the verdict", () => {
  const ok = result(INITIALIZED);
  test.each<[string, On, object]>([
    ["a discover result", { discover: result(DISCOVERED) }, { verdict: "modern", version: "2026-07-28" }],
    [
      "the same on a stream",
      {
        discover: (id) =>
          `${SSE_HEAD}${chunk(`: hi\n\nid: 1\ndata:\n\ndata: {"jsonrpc":"2.0","method":"x"}\n\nda`)}${chunk(`ta: {"jsonrpc":"2.0","id":${id},"result":${DISCOVERED}}\n\n`)}`,
      },
      { verdict: "modern", serverInfo: { name: "m" } },
    ],
    [
      "only later versions",
      { discover: result(DISCOVERED.replace("2026", "2031")) },
      { verdict: "unsupported", reason: "it speaks 2031-07-28 only" },
    ],
    [
      "-32022 with later versions only",
      { discover: error(-32022, "400 Bad Request", '{"supported":["2031-01-01"]}'), initialize: ok },
      { verdict: "unsupported" },
    ],
    [
      "-32022 with legacy versions only",
      { discover: error(-32022, "400 Bad Request", '{"supported":["2025-11-25"]}'), initialize: ok },
      { verdict: "legacy" },
    ],
    ["-32022 without a list", { discover: error(-32022), initialize: ok }, { verdict: "legacy" }],
    [
      "-32601 with 404",
      { discover: error(-32601, "404 Not Found"), initialize: ok },
      { verdict: "legacy", version: "2025-06-18" },
    ],
    ["-32601 with 200", { discover: error(-32601, "200 OK"), initialize: ok }, { verdict: "legacy" }],
    ["-32020", { discover: error(-32020), initialize: ok }, { verdict: "legacy" }],
    ["-32001", { discover: error(-32001, "404 Not Found"), initialize: ok }, { verdict: "legacy" }],
    ["a page with 400", { discover: status("400 Bad Request"), initialize: ok }, { verdict: "legacy" }],
    [
      "405 without a body",
      { discover: status("405 Method Not Allowed", "", ""), initialize: ok },
      { verdict: "legacy" },
    ],
    ["a result that is none", { discover: result("{}"), initialize: ok }, { verdict: "legacy" }],
    ["401", { discover: status("401 Unauthorized") }, { verdict: "auth-required", reason: "HTTP 401" }],
    ["403", { discover: status("403 Forbidden") }, { verdict: "auth-required", reason: "HTTP 403" }],
    ["401 to initialize", { initialize: status("401 Unauthorized") }, { verdict: "auth-required" }],
    ["429", { discover: status("429 Too Many Requests") }, { verdict: "busy", reason: "HTTP 429" }],
    ["500", { discover: status("500 Oops"), initialize: ok }, { verdict: "down", reason: "HTTP 500" }],
    ["503 to initialize", { initialize: status("503 Later") }, { verdict: "down", reason: "HTTP 503" }],
    [
      "a page with 200",
      { discover: status("200 OK"), initialize: ok },
      { verdict: "down", reason: expect.stringContaining("text/html") },
    ],
    ["a reset", { discover: "reset" }, { verdict: "down", reason: expect.stringMatching(/^reset after \d+ ms$/) }],
    ["404 to everything", {}, { verdict: "unsupported", reason: "initialize was answered with HTTP 404" }],
    [
      "an error to initialize",
      { initialize: error(-32000) },
      { verdict: "unsupported", reason: expect.stringContaining("-32000") },
    ],
    [
      "HTTP+SSE",
      { initialize: status("405 No"), GET: `${SSE_HEAD}${chunk("event: endpoint\ndata: /messages?s=1\n\n")}` },
      { verdict: "sse", transport: "sse", reason: "it speaks HTTP+SSE (MCP 2024-11-05)" },
    ],
    [
      "another stream than HTTP+SSE",
      { initialize: status("404 No"), GET: `${SSE_HEAD}${chunk("data: {}\n\n")}` },
      { verdict: "unsupported" },
    ],
  ])("%s", async (_what, on, expected) => {
    const { found, seen } = await against(on);
    expect(found).toMatchObject(expected);
    expect(found.latencyMs).toBeGreaterThanOrEqual(0);
    if (found.verdict !== "legacy" && found.verdict !== "sse" && found.verdict !== "unsupported")
      expect(seen).not.toContain("GET");
  });

  test("-32022 with a mutual version: the probe is sent once more", async () => {
    let asked = 0;
    const { found, seen } = await against({
      discover: (id) =>
        asked++ === 0 ? error(-32022, "400 Bad Request", '{"supported":["2026-07-28"]}')(id) : result(DISCOVERED)(id),
    });
    expect(found.verdict).toBe("modern");
    expect(seen).toEqual(["POST server/discover", "POST server/discover"]);
    const never = await against({ discover: error(-32022, "400 Bad Request", '{"supported":["2026-07-28"]}') });
    expect([never.found.verdict, never.seen.length]).toEqual(["unsupported", 2]);
  });

  test("nobody there", async () => {
    const server = await rawServer([], { discovers: true });
    await server.close();
    expect(await probe(server.url)).toMatchObject({
      verdict: "down",
      reason: expect.stringMatching(/^cannot be reached/),
    });
  });

  test("a server that hangs is told apart from one that breaks: only then the time was up", async () => {
    const { found } = await against({ discover: "hang" }, { timeout: 150 });
    expect(found).toMatchObject({ verdict: "down", reason: "no answer within 150 ms" });
  });

  test("a stream that never answers is an outage too", async () => {
    const { found } = await against({ discover: `${SSE_HEAD}${chunk(": wait\n\n")}` }, { timeout: 150 });
    expect(found.reason).toBe("no answer within 150 ms");
  });

  test("what is known to be legacy is not asked again, unless it has moved on", async () => {
    const legacy = await against({ discover: result(DISCOVERED), initialize: ok }, { known: "legacy", push: false });
    expect([legacy.found.verdict, legacy.seen]).toEqual(["legacy", ["POST initialize"]]);
    const moved = await against({ discover: result(DISCOVERED), initialize: error(-32022) }, { known: "legacy" });
    expect(moved.found.verdict).toBe("modern");
  });
});

describe("on the wire", () => {
  test("discover carries the whole envelope and its mirrors", async () => {
    const { requests } = await against({ discover: result(DISCOVERED) });
    expect(requests[0]!.headers).toMatchObject({
      "mcp-protocol-version": "2026-07-28",
      "mcp-method": "server/discover",
    });
    const { params } = JSON.parse(requests[0]!.body) as { params: { _meta: object } };
    expect(params).toEqual({
      _meta: {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": { name: "penstock", version: expect.any(String) },
      },
    });
  });

  test("initialize declares nothing, and its session is deleted with id and version", async () => {
    const { requests, seen } = await against({ initialize: result(INITIALIZED, SESSION) });
    expect(seen).toEqual(["POST server/discover", "POST initialize", "GET s1", "DELETE s1"]);
    expect(JSON.parse(requests[1]!.body)).toMatchObject({
      params: { protocolVersion: "2025-11-25", capabilities: {} },
    });
    expect(requests[1]!.headers).not.toHaveProperty("mcp-protocol-version");
    expect(requests[3]!.headers).toMatchObject({ "mcp-session-id": "s1", "mcp-protocol-version": "2025-06-18" });
  });

  test.each<[string, Scripted | ((id: string) => string)]>([
    [
      "an answer that breaks",
      `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n${SESSION}content-length: 99\r\n\r\n{`,
    ],
    [
      "an error",
      (id) => jsonAnswer(`{"jsonrpc":"2.0","id":${id},"error":{"code":-1,"message":"x"}}`, "200 OK", SESSION),
    ],
    ["a stream that stays silent", `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n${SESSION}\r\n: hi\n\n`],
  ])("a session is deleted after %s too", async (_what, initialize) => {
    const { found, seen } = await against({ initialize, DELETE: status("500 Oops") }, { timeout: 200 });
    expect(found.verdict).not.toBe("legacy");
    expect(seen).toContain("DELETE s1");
  });

  test("a DELETE that hangs does not hold the verdict up for ever", async () => {
    const { found } = await against(
      { initialize: result(INITIALIZED, SESSION), DELETE: "hang" },
      { timeout: 300, push: false },
    );
    expect(found.verdict).toBe("legacy");
  });
});

describe("push", () => {
  const REFUSED = [
    "400 Bad",
    "401 Unauthorized",
    "403 Forbidden",
    "404 Not Found",
    "405 No",
    "406 No",
    "409 Conflict",
    "500 Oops",
    "503 Later",
  ];
  test.each<[string, Scripted, string]>([
    ...REFUSED.map((line) => [line, status(line), `HTTP ${line.slice(0, 3)}`] as [string, string, string]),
    ["a reset", "reset", "reset"],
    ["nothing", "hang", "no answer within 300 ms"],
    ["another type", status("200 OK"), "wrong media type (text/html)"],
    ["the end at once", `${SSE_HEAD}${chunk("")}`, "ended at once"],
  ])("unavailable: %s", async (_what, GET, reason) => {
    const { found } = await against({ initialize: result(INITIALIZED), GET }, { timeout: 300 });
    expect(found).toMatchObject({ verdict: "legacy", push: { available: false, reason } });
  });

  test("available: a stream that stays open, which is let go at once", async () => {
    const { server } = await scripted(
      (request) =>
        request.method === "GET"
          ? SSE_HEAD
          : methodOf(request) === "initialize"
            ? result(INITIALIZED)(idOf(request))
            : status("404 No"),
      { discovers: true },
    );
    await use(server);
    const { push } = await probe(server.url);
    expect(push).toEqual({ available: true, reason: "event stream" });
    const stream = server.connections.find(({ received }) => received.includes("GET "))!;
    await stream.ended;
  });

  test("is not tried when nobody asks for it", async () => {
    const { found, seen } = await against({ initialize: result(INITIALIZED) }, { push: false });
    expect([found.push, seen]).toEqual([undefined, ["POST server/discover", "POST initialize"]]);
  });

  test("the verdict is told before the stream has decided", async () => {
    const told: string[] = [];
    const { found } = await against(
      { initialize: result(INITIALIZED), GET: "hang" },
      { timeout: 200, onVerdict: (early) => told.push(`${early.verdict} ${early.push?.reason}`) },
    );
    expect([told, found.push!.available]).toEqual([["legacy undefined"], false]);
  });
});

describe("real servers", () => {
  test("v1 with sessions: legacy, push, and no session is left", async () => {
    const server = await use(startLegacyServer());
    expect(await probe(server.url)).toMatchObject({
      verdict: "legacy",
      version: "2025-11-25",
      serverInfo: { name: "legacy-fixture" },
      push: { available: true },
    });
    expect(server.sessions).toEqual([]);
    expect(server.requests.map(({ method }) => method)).toEqual(["POST", "POST", "GET", "DELETE"]);
  });

  test("v1 without sessions: legacy, no push", async () => {
    const server = await use(startLegacyServer({ sessions: false }));
    expect(await probe(server.url)).toMatchObject({
      verdict: "legacy",
      push: { available: false, reason: "HTTP 405" },
    });
  });

  test.each(["reject", "stateless"] as const)("v2, legacy: %s", async (legacy) => {
    const server = await use(startModernServer({ legacy }));
    expect(await probe(server.url)).toMatchObject({
      verdict: "modern",
      versions: ["2026-07-28"],
      serverInfo: { name: "modern-fixture" },
      capabilities: { tools: { listChanged: true } },
      push: { available: true, reason: "subscriptions/listen" },
    });
    expect(server.requests).toHaveLength(1);
  });
});
