/** Many streams of many sessions at once, and two for one. */
import { randomUUID } from "node:crypto";
import { type IncomingMessage, type ServerResponse, createServer } from "node:http";
import { describe, expect, test, vi } from "vitest";
import { type Ledger, ledger } from "../_harness/ledger.ts";
import { closeable, listen, stop } from "../_harness/loopback.ts";
import { rawClient, within } from "../_harness/peers.ts";
import { sessions, sseRelay, standard } from "../_harness/plugins.ts";
import { testScope } from "../_harness/scope.ts";
import { scripted, idOf, methodOf } from "../_harness/scripted.ts";
import { SSE_HEAD, call, chunk, front, jsonAnswer, plain, post } from "../_harness/wire.ts";
import { type Came, type StreamClient, streamClient } from "../_harness/stream-client.ts";

const use = testScope();
const CLIENTS = 50;
const CALLS = 20;
/** Calls of one client at a time. */
const AT_ONCE = 10;

/** A server with a session per client that numbers what it sends. Its own counting begins at 0 for every client. */
async function numbering(book: Ledger) {
  const names = new Map<string, string>();
  const push = new Map<string, ServerResponse>();
  let pushed = 0;
  const posted = async (request: IncomingMessage) => {
    let text = "";
    for await (const piece of request) text += String(piece);
    return JSON.parse(text) as { id?: number; method: string; params: Record<string, never> };
  };
  const server = createServer(async (request, response) => {
    const session = request.headers["mcp-session-id"] as string | undefined;
    const event = (to: ServerResponse, message: object) =>
      to.write(`event: message\ndata: ${JSON.stringify({ jsonrpc: "2.0", ...message })}\n\n`);
    const notify = (to: ServerResponse, owner: string) =>
      event(to, { method: "notifications/message", params: { level: "info", data: book.next(owner) } });
    if (request.method === "GET") {
      response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
      return push.set(session!, response);
    }
    const { id, method, params } = await posted(request);
    if (method === "initialize") {
      const fresh = randomUUID();
      names.set(fresh, (params as unknown as { clientInfo: { name: string } }).clientInfo.name);
      response.writeHead(200, { "content-type": "application/json", "mcp-session-id": fresh });
      const result = { protocolVersion: "2025-11-25", capabilities: {}, serverInfo: { name: "s", version: "1" } };
      return response.end(JSON.stringify({ jsonrpc: "2.0", id, result }));
    }
    if (id === undefined) return response.writeHead(202).end();
    const name = names.get(session!)!;
    const { number } = (params as unknown as { arguments: { number: number } }).arguments;
    book.executed(number);
    response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
    if (number % 3 === 0) notify(response, `${name} ${id}`);
    if (number % 7 === 0) {
      pushed++;
      notify(push.get(session!)!, `${name} GET`);
    }
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 8));
    if (number % 5 === 0) notify(response, `${name} ${id}`);
    event(response, { id, result: { content: [], number } });
    response.end();
  });
  const port = await listen(server);
  return closeable({
    url: `http://127.0.0.1:${port}/mcp`,
    pushes: push,
    get pushed() {
      return pushed;
    },
    close: () => stop(server),
  });
}

/** One client: a session, its GET stream, and calls with the ids 0 to 99. */
async function work(client: StreamClient, name: string, book: Ledger): Promise<void> {
  let next = 0;
  const calls = async () => {
    for (let id = next++; id < CALLS; id = next++) {
      const number = book.next(name);
      const params = { name: "x", arguments: { number } };
      for (const message of await client.post({ id, method: "tools/call", params }))
        if (message.method !== undefined) book.arrived(message.params!.data as number, `${name} ${id}`);
        else book.arrived((message.result as { number: number }).number, message.id === id ? name : "nobody");
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, calls));
}

test("ST-12 50 clients reuse the ids 0 to 19: each response on its own stream, once, and nothing on another", async () => {
  const book = ledger();
  const server = await use(numbering(book));
  const proxy = await use(front(server.url, [sessions(), sseRelay()]));
  const pushed: Came[][] = [];
  const clients = await Promise.all(
    Array.from({ length: CLIENTS }, async (_, i) => {
      const client = await use(streamClient(`${proxy.url}/mcp`));
      await client.begin(`client ${i}`);
      pushed[i] = (await client.open()).messages;
      return client;
    }),
  );
  await vi.waitFor(() => expect(server.pushes.size).toBe(CLIENTS), { timeout: 5000 });
  await Promise.all(clients.map((client, i) => work(client, `client ${i}`, book)));
  await vi.waitFor(() => expect(pushed.flat().length).toBeGreaterThanOrEqual(server.pushed), { timeout: 5000 });
  pushed.forEach((messages, i) => {
    // A response there would be one too many.
    for (const { params, result } of messages)
      book.arrived((params?.data ?? (result as { number: number }).number) as number, `client ${i} GET`);
  });
  book.assertBalanced();
  expect(book.balance().sent).toBeGreaterThan(CLIENTS * CALLS);
}, 30_000);

const SESSION = "content-type: application/json\r\nmcp-session-id: s-1\r\n";
const RESULT = '{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"raw","version":"1"}}';

/** A server with one session, whose GET stream stays open. */
async function listening() {
  const made = await scripted((request) => {
    if (request.method === "GET") return SSE_HEAD;
    const isNotification = methodOf(request)?.startsWith("notifications/");
    if (request.method === "DELETE" || isNotification) return "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";
    const more = methodOf(request) === "initialize" ? [RESULT, SESSION.slice(32)] : ["{}", ""];
    return jsonAnswer(`{"jsonrpc":"2.0","id":${idOf(request)},"result":${more[0]}}`, "200 OK", more[1]);
  });
  await use(made.server);
  return made;
}

describe("SE-06 a second GET for one session", () => {
  test("100 times: the one before ends, the last one hears, the server notices nothing", async () => {
    const server = await listening();
    const proxy = await use(front(server.server.url, standard()));
    const opener = await use(rawClient(proxy.port));
    opener.send(post(call(0, "initialize", '{"protocolVersion":"2025-11-25","capabilities":{}}')));
    const { headers } = await opener.receiveResponse();
    const fields = `accept: text/event-stream\r\nmcp-protocol-version: 2025-11-25\r\nmcp-session-id: ${String(headers["mcp-session-id"])}\r\n`;
    let before: Awaited<ReturnType<typeof rawClient>> | undefined;
    for (let n = 0; n < 100; n++) {
      const next = await use(rawClient(proxy.port));
      next.send(plain("GET", "/mcp", fields));
      await next.receive(/id: g\.[\w.]+-\d+\ndata: \n\n/);
      // The last chunk: a clean end, after which nothing is missing.
      await before?.receive(/\r\n0\r\n\r\n$/);
      before = next;
    }
    expect(server.seen.filter((line) => line.startsWith("GET"))).toHaveLength(1);
    const upstream = await server.server.connection();
    upstream.send(chunk('data: {"jsonrpc":"2.0","method":"notifications/tools/list_changed"}\n\n'));
    await within(before!.receive(/list_changed/), "the notification on the last stream");
    opener.send(post(call(1, "ping"), "/mcp", `content-type: application/json\r\n${fields}`));
    expect((await opener.receiveResponse()).status).toBe(200);
  });
});
