/** Case 5: a GET stream that fails is not a failure. */
import { createServer } from "node:net";
import { type Json, type Plugin, createPenstock } from "mcp-penstock";
import { type HealthOptions, health } from "mcp-penstock/plugins/health";
import { requestLog } from "mcp-penstock/plugins/request-log";
import { standard } from "mcp-penstock/plugins/standard";
import { describe, expect, test } from "vitest";
import { connectV1, connectV2 } from "../_harness/clients.ts";
import { closeable, listen } from "../_harness/loopback.ts";
import { gate, rawClient, within } from "../_harness/peers.ts";
import { testScope } from "../_harness/scope.ts";
import { type Scripted, idOf, methodOf, scripted } from "../_harness/scripted.ts";
import { type Intercept, startLegacyServer, startModernServer } from "../_harness/servers.ts";
import { SSE_HEAD, call, jsonAnswer, plain, post } from "../_harness/wire.ts";

const use = testScope();
/** Probes often, so that a test need not wait. */
const FAST: HealthOptions = { initialDelay: 20, interval: 60, timeout: 1000, push: true };
/** Never probes: what is known comes from traffic. */
const QUIET: HealthOptions = { interval: 0, push: true };

async function proxyTo(
  servers: Record<string, string>,
  options: HealthOptions,
  more: Plugin[] = [],
  config: object = {},
) {
  const lines: string[] = [];
  const at = (level: string) => (text: string | (() => string)) =>
    void lines.push(`${level} ${typeof text === "function" ? text() : text}`);
  const plugins = [requestLog(), health(options), ...more];
  const entries = Object.entries(servers).map(([name, url]) => [name, { url, path: `/${name}/mcp`, ...config }]);
  const penstock = createPenstock(
    { servers: Object.fromEntries(entries), plugins },
    { logger: { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") } },
  );
  const { url, port, close } = await penstock.serve({ port: 0 });
  const report = (name = "one") =>
    penstock.report()[name] as { status: string; reason?: string; push?: Json; era?: string };
  return use(
    closeable({
      penstock,
      url,
      port,
      close,
      lines,
      report,
      /** Waits until a report is as wanted. */
      async until(wanted: (found: ReturnType<typeof report>) => unknown, name = "one") {
        const deadline = performance.now() + 5000;
        while (!wanted(report(name))) {
          if (performance.now() > deadline)
            throw new Error(`still ${JSON.stringify(report(name))}\n${lines.join("\n")}`);
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
        return report(name);
      },
    }),
  );
}

const reply = (request: Parameters<typeof idOf>[0], result = "{}") =>
  jsonAnswer(`{"jsonrpc":"2.0","id":${idOf(request)},"result":${result}}`);
const INITIALIZED =
  '{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"raw","version":"1"}}';
const status = (line: string, type = "text/plain") =>
  `HTTP/1.1 ${line}\r\ncontent-type: ${type}\r\ncontent-length: 2\r\n\r\nno`;

/** A legacy server whose GET does something of its own. `slow` calls wait for the gate. */
async function rawLegacy(get: () => Scripted, opened = gate()) {
  const made = await scripted(
    async (request) => {
      if (request.method === "GET") return get();
      if (request.method === "DELETE") return status("204 No Content");
      const method = methodOf(request);
      if (method === "server/discover") return status("400 Bad Request");
      if (method === "tools/call") await opened.promise;
      return reply(request, method === "initialize" ? INITIALIZED : "{}");
    },
    { discovers: true },
  );
  await use(made.server);
  return { ...made, url: `${made.server.url}/mcp`, opened };
}

test("a working stream of a client is left alone, and a stream that is resumed gets the server's own answer", async () => {
  const server = await scripted((request) => (request.headers["last-event-id"] ? status("404 Gone") : SSE_HEAD), {
    discovers: true,
  });
  await use(server.server);
  const proxy = await proxyTo({ one: `${server.server.url}/mcp` }, QUIET);
  const client = await use(rawClient(proxy.port));
  client.send(plain("GET", "/one/mcp", "accept: text/event-stream\r\n"));
  await client.receive(/^HTTP\/1.1 200 [^]*text\/event-stream[^]*\r\n\r\n/);
  expect(proxy.report().push).toEqual({ available: true, reason: "event stream" });
  const resuming = await use(rawClient(proxy.port));
  resuming.send(plain("GET", "/one/mcp", "accept: text/event-stream\r\nlast-event-id: 4\r\n"));
  expect((await resuming.receiveResponse()).status).toBe(404);
});

test("where callers log in at the server, its 401 to a GET is theirs to see", async () => {
  const server = await rawLegacy(() => status("401 Unauthorized"));
  const proxy = await proxyTo({ one: server.url }, QUIET, [], { auth: "passthrough" });
  const client = await use(rawClient(proxy.port));
  client.send(plain("GET", "/one/mcp"));
  expect((await client.receiveResponse()).status).toBe(401);
});

test("what the proxy itself refuses is no word of the server: its 401 stays one", async () => {
  const server = await rawLegacy(() => SSE_HEAD);
  const strict: Plugin = { name: "strict", authenticate: () => new Response("who?", { status: 401 }) };
  const proxy = await proxyTo({ one: server.url }, QUIET, [strict]);
  const client = await use(rawClient(proxy.port));
  client.send(plain("GET", "/one/mcp"));
  expect((await client.receiveResponse()).status).toBe(401);
  expect([proxy.report().push, server.seen]).toEqual([undefined, []]);
});

test("a server that is out of reach is told as that, to its client and in the log, whatever the method", async () => {
  const tcp = createServer();
  const port = await listen(tcp);
  await new Promise((resolve) => tcp.close(resolve));
  const proxy = await proxyTo({ one: `http://127.0.0.1:${port}/mcp` }, QUIET);
  const client = await use(rawClient(proxy.port));
  client.send(plain("GET", "/one/mcp"));
  expect((await client.receiveResponse()).status).toBe(502);
  await proxy.until(() => proxy.penstock.active === 0);
  expect(proxy.lines.filter((line) => line.startsWith("warn"))).toHaveLength(2);
  // The GET itself says nothing about the server's health.
  expect(proxy.report()).toMatchObject({ status: "unknown" });
});

test("push: false opens no stream, neither for probes nor for clients", async () => {
  const server = await rawLegacy(() => SSE_HEAD);
  const proxy = await proxyTo({ one: server.url }, { ...FAST, servers: { one: { push: false } } });
  await proxy.until(({ status }) => status === "healthy");
  const client = await use(rawClient(proxy.port));
  client.send(plain("GET", "/one/mcp"));
  expect((await client.receiveResponse()).status).toBe(405);
  expect(server.seen).not.toContain("GET");
  expect(proxy.report().push).toEqual({ available: false, reason: "push: false" });
});

describe("real clients whose GET is refused keep working and see no error", () => {
  const refuse =
    (code: number): Intercept =>
    ({ method }, _request, response) => {
      if (method === "GET") response.writeHead(code, { "content-type": "text/plain" }).end("no");
      return method === "GET";
    };
  test.each([400, 404, 500, 503])("%i", async (code) => {
    const server = await use(startLegacyServer({ intercept: refuse(code) }));
    const proxy = await proxyTo({ one: server.url }, FAST);
    const v1 = await use(connectV1(`${proxy.url}/one/mcp`));
    const v2 = await use(connectV2(`${proxy.url}/one/mcp`));
    const fromClients = () =>
      server.requests.filter(({ method, headers }) => method === "GET" && headers["user-agent"] !== undefined);
    await within(
      server.request(() => fromClients().length >= 2),
      "the GETs of both clients",
    );
    for (const { client } of [v1, v2]) expect((await client.listTools()).tools.length).toBeGreaterThan(2);
    expect([v1.errors, v2.errors]).toEqual([[], []]);
    expect(proxy.report().status).toBe("healthy");
  });
});

describe("traffic first", () => {
  const post1 = async (port: number) => {
    const client = await use(rawClient(port));
    client.send(post(call(1), "/one/mcp"));
    return client.receiveResponse({ method: "POST" });
  };

  test.each<[string, Scripted, string, string | RegExp]>([
    ["200", jsonAnswer('{"jsonrpc":"2.0","id":1,"result":{}}'), "healthy", ""],
    ["a JSON-RPC error", jsonAnswer('{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"x"}}'), "healthy", ""],
    ["404", status("404 No"), "healthy", ""],
    ["429", status("429 Later"), "healthy", ""],
    ["500", status("500 No"), "down", "HTTP 500"],
    ["401", status("401 No"), "auth-required", "HTTP 401"],
    ["403", status("403 No"), "auth-required", "HTTP 403"],
    ["a reset", "reset", "down", /^reset after \d+ ms$/],
  ])("%s", async (_what, said, expected, reason) => {
    const server = await scripted(() => said, { discovers: true });
    await use(server.server);
    const proxy = await proxyTo({ one: server.server.url }, QUIET);
    await post1(proxy.port);
    const found = await proxy.until(({ status }) => status !== "unknown");
    expect(found).toMatchObject({ status: expected });
    expect(found.reason ?? "").toMatch(reason);
    expect(server.seen).toEqual(["POST tools/list"]);
  });

  test("a client that leaves, or is refused here, says nothing", async () => {
    const server = await scripted(() => "hang", { discovers: true });
    await use(server.server);
    const refusing: Plugin = {
      name: "refusing",
      message: {
        filter: { direction: "up", kind: "request", method: "x" },
        handler: () => ({ reply: { result: {} } }),
      },
    };
    const proxy = await proxyTo({ one: server.server.url }, QUIET, [refusing]);
    const client = await use(rawClient(proxy.port));
    client.send(post(call(1, "x"), "/one/mcp"));
    expect((await client.receiveResponse({ method: "POST" })).status).toBe(200);
    client.send(post("{", "/one/mcp"));
    expect((await client.receiveResponse({ method: "POST" })).status).toBe(400);
    client.send(post(call(1), "/one/mcp"));
    await proxy.until(() => server.seen.length === 1);
    await client.close();
    await proxy.until(() => proxy.penstock.active === 0);
    expect(proxy.report().status).toBe("unknown");
  });

  test("a server that is heard of is not probed", async () => {
    const server = await rawLegacy(() => "hang");
    const proxy = await proxyTo({ one: server.url }, { ...FAST, initialDelay: 200, interval: 400 });
    const end = performance.now() + 1200;
    while (performance.now() < end) expect((await post1(proxy.port)).status).toBe(200);
    expect(new Set(server.seen)).toEqual(new Set(["POST tools/list"]));
  });

  test("three bad answers make it down, and two good ones bring it back: one line each", async () => {
    let bad = false;
    const server = await scripted((request) => (bad ? status("503 Later") : reply(request)), { discovers: true });
    await use(server.server);
    const proxy = await proxyTo({ one: server.server.url }, QUIET);
    const seen: string[] = [];
    for (const step of "ok no no no no ok ok".split(" ")) {
      bad = step === "no";
      await post1(proxy.port);
      await proxy.until(() => proxy.penstock.active === 0);
      seen.push(proxy.report().status);
    }
    expect(seen.join(" ")).toBe("healthy degraded degraded down down degraded healthy");
    expect(proxy.lines.filter((line) => line.includes("one is "))).toEqual([
      "debug one is healthy",
      "warn one is down (HTTP 503)",
      "info one is healthy again",
    ]);
  });
});

describe("probes", () => {
  test("a start waits for no server, and a server that hangs is asked once at a time", async () => {
    const server = await scripted(() => "hang", { discovers: true });
    await use(server.server);
    const proxy = await proxyTo({ one: server.server.url }, { initialDelay: 10, interval: 20, timeout: 400 });
    expect(proxy.report().status).toBe("unknown");
    await proxy.until(() => server.seen.length === 1);
    const asked = performance.now();
    await fetch(`${proxy.url}/health`);
    const found = await proxy.until(({ status }) => status === "down");
    // Slow is not dead before its time is up.
    expect(performance.now() - asked).toBeGreaterThan(300);
    expect(found.reason).toBe("no answer within 400 ms");
    expect(server.seen).toHaveLength(1);
  });

  test("401 is auth-required, and an outage is told with its first cause", async () => {
    const locked = await scripted(() => status("401 Unauthorized"), { discovers: true });
    await use(locked.server);
    const tcp = createServer();
    const port = await listen(tcp);
    await new Promise((resolve) => tcp.close(resolve));
    const proxy = await proxyTo({ one: locked.server.url, two: `http://127.0.0.1:${port}/mcp` }, FAST);
    expect(await proxy.until(({ status }) => status !== "unknown")).toMatchObject({
      status: "auth-required",
      reason: "HTTP 401",
    });
    const down = await proxy.until(({ status }) => status !== "unknown", "two");
    expect(down).toMatchObject({ status: "down", reason: expect.stringMatching(/^cannot be reached after \d+ ms$/) });
    expect(proxy.lines.filter((line) => line.startsWith("warn"))).toHaveLength(2);
  });

  test("a probe's session is deleted, and a known legacy server is not asked for discovery again", async () => {
    const server = await use(startLegacyServer());
    const proxy = await proxyTo({ one: server.url }, FAST);
    await proxy.until(() => server.requests.filter(({ method }) => method === "DELETE").length >= 3);
    const methods = server.requests.map(({ body }) => (body as { method?: string } | undefined)?.method);
    expect(methods.filter((method) => method === "server/discover")).toHaveLength(1);
    await proxy.penstock.close();
    expect(server.sessions.length).toBeLessThanOrEqual(1);
    expect(methods.some((method) => method?.startsWith("tools/"))).toBe(false);
  });

  test("16 servers at once, most with a broken GET: clients list every server's tools, and all are healthy", async () => {
    const broken: Intercept = ({ method }, request, response) => {
      if (method !== "GET") return false;
      if (request.socket.remotePort! % 2) response.destroy();
      else response.writeHead(500).end();
      return true;
    };
    const servers: Record<string, string> = {};
    for (let i = 0; i < 16; i++)
      servers[`s${i}`] = (
        await use(
          i % 3 === 2
            ? startModernServer({ intercept: broken })
            : startLegacyServer({ sessions: i % 3 === 0, intercept: broken }),
        )
      ).url;
    const proxy = await proxyTo(servers, FAST);
    const names = Object.keys(servers);
    const listed = await Promise.all(
      names.map(async (name, i) => {
        const url = `${proxy.url}/${name}/mcp`;
        const connected = i % 2 && i % 3 !== 2 ? await use(connectV1(url)) : await use(connectV2(url));
        const { tools } = await connected.client.listTools();
        return tools.some((tool) => tool.name === "echo") && connected.errors.length === 0;
      }),
    );
    expect(listed).toEqual(names.map(() => true));
    for (const name of names) expect(await proxy.until(({ era }) => era, name)).toMatchObject({ status: "healthy" });
    expect(proxy.lines.filter((line) => /^(?:warn|error)/.test(line))).toEqual([]);
  });
});

describe("in the preset", () => {
  test("standard() has it, and a plugin of a later place sees its probes", async () => {
    expect(standard().map(({ name }) => name)).toContain("health");
    const server = await rawLegacy(() => status("405 No"));
    const token: Plugin = {
      name: "token",
      forward(_exchange, request, next) {
        request.headers.set("authorization", "Bearer t");
        return next(request);
      },
    };
    const proxy = await proxyTo({ one: server.url }, FAST, [token]);
    await proxy.until(({ status }) => status === "healthy");
    expect(server.requests.every(({ headers }) => headers.authorization === "Bearer t")).toBe(true);
  });

  test("a server that does not exist is a wrong option", async () => {
    const proxy = createPenstock({
      servers: { one: { url: "http://127.0.0.1:9/mcp", path: "/mcp" } },
      plugins: [health({ servers: { two: {} } })],
    });
    await expect(proxy.ready()).rejects.toThrow(/servers\.two/);
    await proxy.close();
  });
});
