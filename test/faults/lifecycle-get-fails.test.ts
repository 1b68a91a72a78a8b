/**
 * The event stream that a GET opens is optional: whatever becomes of it, the server is well as long as it answers POSTs. The
 * proxy has no GET of its own but that of its probes, so "not retried" is about those and about the requests of clients.
 */
import { describe, expect, test } from "vitest";
import { breaker, health, hostGuard, retry } from "../_harness/plugins.ts";
import { gate, rawClient } from "../_harness/peers.ts";
import { testScope } from "../_harness/scope.ts";
import { type Scripted, idOf, methodOf, scripted } from "../_harness/scripted.ts";
import { vitals } from "../_harness/vitals.ts";
import { SSE_HEAD, call, chunk, front, jsonAnswer, plain, post } from "../_harness/wire.ts";

const use = testScope();
/** Probes often, so that a test need not wait. */
const FAST = { initialDelay: 20, interval: 60, timeout: 1000, push: true };
/** Never probes: what is known comes from traffic. */
const QUIET = { interval: 0, push: true };
const SESSION = "content-type: application/json\r\nmcp-session-id: s\r\n";
const INITIALIZED =
  '{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"raw","version":"1"}}';
const status = (line: string, type = "text/plain") =>
  `HTTP/1.1 ${line}\r\ncontent-type: ${type}\r\ncontent-length: 2\r\n\r\nno`;

/** A legacy server whose GET does something of its own. `slow` calls wait for the gate. */
async function legacy(get: () => Scripted, opened = gate()) {
  const made = await scripted(
    async (request) => {
      if (request.method === "GET") return get();
      if (request.method === "DELETE") return status("204 No Content");
      const method = methodOf(request);
      if (method === "server/discover") return status("400 Bad Request");
      if (method === "tools/call") await opened.promise;
      return jsonAnswer(
        `{"jsonrpc":"2.0","id":${idOf(request)},"result":${method === "initialize" ? INITIALIZED : "{}"}}`,
      );
    },
    { discovers: true },
  );
  await use(made.server);
  return { ...made, opened };
}

interface Report {
  status: string;
  era?: string;
  push?: { available: boolean; reason: string };
  breaker: string;
}

/** A proxy with all that forms an opinion about servers. */
async function proxyTo(url: string, options: object, server: object = {}) {
  const proxy = await use(front(url, [hostGuard(), health(options), retry({ backoff: 10 }), breaker()], server));
  const report = async () => {
    const client = await use(rawClient(proxy.port));
    client.send(plain("GET", "/health"));
    const { body } = await client.receiveResponse();
    client.socket.destroy();
    return (JSON.parse(body) as { servers: { one: Report } }).servers.one;
  };
  return { ...proxy, report };
}

const GETS: [string, () => Scripted, string][] = [
  ...["400 Bad", "401 No", "403 No", "404 No", "405 No", "406 No", "409 No", "500 No", "503 No"].map(
    (line) => [line.slice(0, 3), () => status(line), `HTTP ${line.slice(0, 3)}`] as [string, () => Scripted, string],
  ),
  ["a hang", () => "hang", "no answer within 1000 ms"],
  ["a reset", () => "reset", "reset"],
  ["the wrong type", () => status("200 OK", "text/html"), "wrong media type (text/html)"],
  ["the end at once", () => `${SSE_HEAD}${chunk("")}`, "ended at once"],
];

describe("LC-08 POST works and GET gives", () => {
  test.each(GETS)(
    "%s: healthy, push unavailable with the reason, and POSTs are untouched",
    async (_what, get, reason) => {
      const server = await legacy(get);
      const proxy = await proxyTo(server.server.url, FAST);
      const slow = await use(rawClient(proxy.port));
      slow.send(post(call(7, "tools/call")));
      await expect
        .poll(async () => (await proxy.report()).push, { timeout: 5000 })
        .toEqual({ available: false, reason });
      // More probes, and more refused GETs, beside the call.
      const probes = () => server.seen.filter((name) => name === "POST initialize").length;
      const before = probes();
      await expect.poll(probes, { timeout: 5000 }).toBeGreaterThanOrEqual(before + 3);
      server.opened.open();
      expect(await slow.receiveResponse({ method: "POST" })).toMatchObject({
        status: 200,
        body: '{"jsonrpc":"2.0","id":7,"result":{}}',
      });
      expect(await proxy.report()).toMatchObject({
        status: "healthy",
        era: "legacy",
        breaker: "closed",
        push: { available: false, reason },
      });
    },
  );

  test.each(GETS.filter(([what]) => what !== "the end at once"))(
    "%s: the client's own GET gets 405, and its POSTs go on",
    async (what, get) => {
      const server = await legacy(get);
      const proxy = await proxyTo(server.server.url, QUIET, { timeouts: { headers: 250 } });
      const [listener, caller] = [await use(rawClient(proxy.port)), await use(rawClient(proxy.port))];
      caller.send(post(call(1, "tools/call"), "/mcp", SESSION));
      listener.send(plain("GET", "/mcp", "accept: text/event-stream\r\nmcp-session-id: s\r\n"));
      const refused = await listener.receiveResponse();
      expect(refused).toMatchObject({ status: 405, headers: { allow: "POST, DELETE" } });
      expect(JSON.parse(refused.body)).toMatchObject({ id: null, error: { data: { code: "METHOD_NOT_ALLOWED" } } });
      server.opened.open();
      expect((await caller.receiveResponse({ method: "POST" })).status).toBe(200);
      expect((await proxy.report()).status).not.toMatch(/down|degraded/);
      // What the server said is final; only a stream that broke without a word is tried again.
      expect(server.seen.filter((name) => name.startsWith("GET"))).toHaveLength(what === "a reset" ? 3 : 1);
    },
  );
});

test("LC-08 405 and 404 are final for the probes, which go on", async () => {
  for (const line of ["405 No", "404 No"]) {
    const server = await legacy(() => status(line));
    const proxy = await proxyTo(server.server.url, { ...FAST, interval: 30 });
    await expect
      .poll(async () => (await proxy.report()).push?.reason, { timeout: 5000 })
      .toBe(`HTTP ${line.slice(0, 3)}`);
    const before = server.seen.length;
    await expect.poll(() => server.seen.length, { timeout: 5000 }).toBeGreaterThan(before + 8);
    expect(server.seen.filter((name) => name.startsWith("GET"))).toHaveLength(1);
  }
});

test("LC-08 another refusal is tried again, less and less often", async () => {
  const at: number[] = [];
  const server = await legacy(() => {
    at.push(performance.now());
    return status("500 No");
  });
  const proxy = await proxyTo(server.server.url, { ...FAST, interval: 30 });
  await expect.poll(() => at.length, { timeout: 8000 }).toBeGreaterThanOrEqual(5);
  const gaps = at.slice(1).map((time, i) => time - at[i]!);
  expect(gaps.at(-1)).toBeGreaterThan(1.5 * gaps[0]!);
  expect((await proxy.report()).status).toBe("healthy");
});

test("LC-08 a server that changes its mind is followed", async () => {
  let isWell = false;
  const server = await scripted(
    (request) => {
      if (!isWell) return "reset";
      if (request.method === "GET") return status("405 No");
      return jsonAnswer(
        `{"jsonrpc":"2.0","id":${idOf(request)},"result":${methodOf(request) === "initialize" ? INITIALIZED : "{}"}}`,
      );
    },
    { discovers: true },
  );
  await use(server.server);
  const proxy = await proxyTo(server.server.url, { ...FAST, interval: 30 });
  await expect.poll(async () => (await proxy.report()).status, { timeout: 5000 }).toBe("down");
  isWell = true;
  await expect.poll(async () => (await proxy.report()).status, { timeout: 5000 }).toBe("healthy");
  expect((await proxy.report()).era).toBe("legacy");
});

test("LC-08 a hundred clients that come back for a stream leave nothing behind", { timeout: 20_000 }, async () => {
  let count = 0;
  const server = await legacy(() => (count++ % 2 === 0 ? status("500 No") : "reset"));
  server.opened.open();
  const proxy = await proxyTo(server.server.url, QUIET);
  const ask = async (request: string) => {
    const client = await use(rawClient(proxy.port));
    client.send(request);
    const { status: said } = await client.receiveResponse();
    client.socket.destroy();
    await client.closed;
    return said;
  };
  expect(await ask(plain("GET", "/mcp", "accept: text/event-stream\r\n"))).toBe(405);
  expect(await ask(post(call(1, "tools/call")))).toBe(200);
  const net = await vitals(proxy);
  for (let i = 0; i < 100; i++) expect(await ask(plain("GET", "/mcp", "accept: text/event-stream\r\n"))).toBe(405);
  expect(await ask(post(call(2, "tools/call")))).toBe(200);
  await net.backToBaseline();
});
