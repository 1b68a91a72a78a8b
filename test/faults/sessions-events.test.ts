/** Clients that come back to a stream, with good ids and with bad ones, and clients that just leave. */
import { describe, expect, test, vi } from "vitest";
import { sessions, sseRelay, standard } from "../_harness/plugins.ts";
import type { ParsedRequest, RawConnection } from "../_harness/peers.ts";
import { testScope } from "../_harness/scope.ts";
import { idOf, methodOf, scripted } from "../_harness/scripted.ts";
import { type StreamClient, streamClient } from "../_harness/stream-client.ts";
import { SSE_HEAD, chunk, front, jsonAnswer } from "../_harness/wire.ts";

const use = testScope();
const CALL = { method: "tools/call", params: { name: "x" } };
const INITIALIZED = '{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"raw","version":"1"}}';
const ACCEPTED = "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";
const SECRET = "0123456789abcdef0123456789abcdef";
const response = (id: string) => chunk(`data: {"jsonrpc":"2.0","id":${id},"result":{"content":[]}}\n\n`) + chunk("");
const progress = chunk('data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"n":1}}\n\n');

interface Held {
  connection: RawConnection;
  request: ParsedRequest;
}

/** A server that begins a stream for each call and each GET, and says no more until it is told to. */
async function holding() {
  const calls: Held[] = [];
  let sessionCount = 0;
  const made = await scripted((request, connection) => {
    const method = methodOf(request);
    if (method === "initialize") {
      const fields = `mcp-session-id: upstream-${++sessionCount}\r\n`;
      return jsonAnswer(`{"jsonrpc":"2.0","id":${idOf(request)},"result":${INITIALIZED}}`, "200 OK", fields);
    }
    if (method === "ping") return jsonAnswer(`{"jsonrpc":"2.0","id":${idOf(request)},"result":{}}`);
    if (method !== "tools/call" && request.method !== "GET") return ACCEPTED;
    calls.push({ connection, request });
    return SSE_HEAD;
  });
  await use(made.server);
  const held = async (count: number) => {
    await vi.waitFor(() => expect(calls.length).toBeGreaterThanOrEqual(count), { interval: 5 });
    return calls[count - 1]!;
  };
  return { ...made, held };
}

async function clientOf(url: string, name = "a"): Promise<StreamClient> {
  const client = await use(streamClient(`${url}/mcp`));
  await client.begin(name);
  return client;
}

const until = (check: () => void) => vi.waitFor(check, { interval: 5, timeout: 3000 });

describe("SE-09 event ids", () => {
  test("that are foreign, forged or ancient get 400 and nothing of anybody's stream", async () => {
    const server = await holding();
    const proxy = await use(front(server.server.url, [sessions({ resume: { events: 2 } }), sseRelay()]));
    const anna = await clientOf(proxy.url);
    const bert = await clientOf(proxy.url, "b");
    const stream = await anna.open({ id: 1, ...CALL });
    const { connection } = await server.held(1);
    for (let n = 0; n < 5; n++) connection.send(progress);
    await until(() => expect(stream.messages).toHaveLength(5));
    const [ancient] = stream.ids;
    const forged = stream.ids.at(-1)!.replace(/\d+$/, "77");
    for (const [who, id] of [
      [bert, stream.ids.at(-1)!],
      [anna, ancient!],
      [anna, forged],
      [anna, "1"],
      [anna, "x".repeat(5000)],
    ] as const) {
      const refused = await who.open(undefined, id);
      await until(() => expect(refused.end).toBe("well"));
      expect([refused.status, refused.ids]).toEqual([400, []]);
      expect(refused.messages).toMatchObject([{ error: { code: -32600 } }]);
    }
    expect(server.seen.filter((line) => line.startsWith("GET"))).toEqual([]);
    const tail = await anna.open(undefined, stream.ids.at(-2));
    await until(() => expect(tail.messages).toHaveLength(1));
  });

  test("of before a restart: a listening stream goes on, a call gets its error at once", async () => {
    const server = await holding();
    const config = { plugins: [sessions(), sseRelay()], secret: SECRET };
    const { startProxy } = await import("../_harness/proxy.ts");
    const servers = { one: { url: `${server.server.url}/mcp`, path: "/mcp" } };
    const first = await use(startProxy({ servers, ...config }));
    const client = await clientOf(first.url);
    const push = await client.open();
    const call = await client.open({ id: "a", ...CALL });
    await until(() => expect([push.ids.length, call.ids.length]).toEqual([1, 1]));
    const second = await use(startProxy({ servers, ...config }));
    const again = await use(streamClient(`${second.url}/mcp`));
    again.session = client.session;
    const resumed = await again.open(undefined, push.ids[0]);
    expect(resumed.status).toBe(200);
    const { connection, request } = await server.held(3);
    expect([request.method, request.headers["last-event-id"]]).toEqual(["GET", undefined]);
    connection.send(progress);
    await until(() => expect(resumed.messages).toHaveLength(1));
    const answer = await again.open(undefined, call.ids[0]);
    await until(() => expect(answer.end).toBe("well"));
    expect(answer.messages).toMatchObject([{ id: "a", error: { data: { code: "ANSWER_LOST" } } }]);
  });
});

describe("SE-09 a connection that breaks", () => {
  test("while the response completes: the client has it exactly once, 30 times", async () => {
    const server = await holding();
    const proxy = await use(front(server.server.url, standard()));
    const client = await clientOf(proxy.url);
    for (let n = 1; n <= 30; n++) {
      const stream = await client.open({ id: n, ...CALL });
      await until(() => expect(stream.ids).toHaveLength(1));
      const { connection } = await server.held(n);
      connection.send(response(String(n)));
      if (n % 2 === 0) await new Promise((resolve) => setImmediate(resolve));
      stream.drop();
      const got = stream.messages.length;
      const again = await client.open(undefined, stream.ids.at(-1));
      await until(() => expect([again.end, again.status]).toEqual(["well", got === 0 ? 200 : 204]));
      const all = [...stream.messages.slice(0, got), ...again.messages];
      expect(all).toMatchObject([{ id: n, result: {} }]);
    }
  });

  test("the server is neither told to cancel nor cut off; its answer is kept", async () => {
    const server = await holding();
    const proxy = await use(front(server.server.url, standard()));
    const client = await clientOf(proxy.url);
    const stream = await client.open({ id: 1, ...CALL });
    const { connection } = await server.held(1);
    connection.send(progress);
    await until(() => expect(stream.messages).toHaveLength(1));
    stream.drop();
    // A round trip later the proxy has noticed.
    await client.post({ id: 2, method: "ping" });
    connection.send(response("1"));
    const again = await client.open(undefined, stream.ids.at(-1));
    await until(() => expect(again.messages).toMatchObject([{ id: 1, result: {} }]));
    expect(server.seen.filter((line) => line.includes("cancelled"))).toEqual([]);
  });

  test("without resumption the server is cut off, and not told to cancel", async () => {
    const server = await holding();
    const proxy = await use(front(server.server.url, [sessions({ resume: false }), sseRelay()]));
    const client = await clientOf(proxy.url);
    const stream = await client.open({ id: 1, ...CALL });
    const { connection } = await server.held(1);
    connection.send(progress);
    await until(() => expect(stream.messages).toHaveLength(1));
    expect(stream.ids).toEqual([]);
    stream.drop();
    await connection.ended;
    expect(server.seen.filter((line) => line.includes("cancelled"))).toEqual([]);
  });

  test("a client that cancels: its server is told, under the server's session and the client's id", async () => {
    const server = await holding();
    const proxy = await use(front(server.server.url, standard()));
    const client = await clientOf(proxy.url);
    await client.open({ id: "one", ...CALL });
    await server.held(1);
    await client.post({ method: "notifications/cancelled", params: { requestId: "one" } });
    const told = server.requests.find((request) => methodOf(request) === "notifications/cancelled")!;
    expect(JSON.parse(told.body)).toMatchObject({ params: { requestId: "one" } });
    expect(told.headers["mcp-session-id"]).toBe("upstream-1");
  });
});

describe("SE-09 a server that waits for its client", () => {
  const ASK = chunk('data: {"jsonrpc":"2.0","id":0,"method":"roots/list"}\n\n');

  test.each([
    ["ends its session", {}],
    ["leaves and cannot come back", { resume: false }],
  ] as const)("gets an error at once from a client that %s", async (what, options) => {
    const server = await holding();
    const proxy = await use(front(server.server.url, [sessions(options), sseRelay()]));
    const client = await clientOf(proxy.url);
    const stream = await client.open({ id: 1, ...CALL });
    const { connection } = await server.held(1);
    connection.send(ASK);
    await until(() => expect(stream.messages).toHaveLength(1));
    if (what === "ends its session") await client.end();
    else stream.drop();
    const freed = await vi.waitFor(() => {
      const found = server.requests.find(({ body }) => body?.includes('"error"'));
      expect(found).toBeDefined();
      return found!;
    });
    expect(JSON.parse(freed.body)).toMatchObject({ id: 0, error: { code: -32000 } });
    expect(freed.headers["mcp-session-id"]).toBe("upstream-1");
  });

  test("gets an error when its client takes too long", async () => {
    const server = await holding();
    const proxy = await use(front(server.server.url, [sessions({ answerTimeout: 100 }), sseRelay()]));
    const client = await clientOf(proxy.url);
    const stream = await client.open({ id: 1, ...CALL });
    const { connection } = await server.held(1);
    connection.send(ASK);
    await until(() => expect(server.requests.some(({ body }) => body?.includes("-32001"))).toBe(true));
    // Too late: nobody waits for it, which is no failure of the client.
    expect(await client.post({ id: stream.messages[0]!.id, result: { roots: [] } })).toEqual([]);
    expect(server.requests.filter(({ body }) => body?.includes('"roots"'))).toEqual([]);
  });
});
