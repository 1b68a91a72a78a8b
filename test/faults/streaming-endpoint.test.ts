/** HTTP+SSE servers: where they say that messages are to be posted, how they write their stream, and how they lose it. */
import { describe, expect, test } from "vitest";
import { gate, rawClient, rawServer } from "../_harness/peers.ts";
import { testScope } from "../_harness/scope.ts";
import { type Scripted, idOf, methodOf } from "../_harness/scripted.ts";
import { ACCEPTED, type SsePeerOptions, ssePeer } from "../_harness/sse-peer.ts";
import { call, front, jsonAnswer, plain, post } from "../_harness/wire.ts";
import { asking } from "./asking.ts";

const use = testScope();
const INITIALIZE = call(
  1,
  "initialize",
  '{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}',
);
const FIELDS = ["accept: application/json, text/event-stream"];

/** A proxy in front of a scripted server, and how it is asked. */
async function proxyTo(options: SsePeerOptions, server: object = {}) {
  const peer = await ssePeer(options);
  await use(peer.server);
  const proxy = await use(front(peer.url, [], { url: peer.url, transport: "sse", ...server }));
  const ask = asking(use, proxy.port);
  const send = (body: string, session?: string, method?: string) =>
    ask({ method, body, fields: [...FIELDS, ...(session === undefined ? [] : [`mcp-session-id: ${session}`])] });
  return { peer, proxy, send, initialize: () => send(INITIALIZE) };
}

function errorOf({ status, body }: { status: number; body: string }) {
  const { error } = JSON.parse(body) as { error: { code: number; message: string; data: { code: string } } };
  return { status, code: error.data.code, message: error.message };
}

describe("ST-13 an endpoint event that names", () => {
  test.each<[string, (port: number) => string, string]>([
    ["a path", () => "/messages?s=0", "/messages?s=0"],
    ["a path relative to the stream's", () => "messages?s=0", "/messages?s=0"],
    ["a query", () => "?s=0", "/sse?s=0"],
    ["the same origin", (port) => `http://127.0.0.1:${port}/deep/er?s=0#x`, "/deep/er?s=0"],
    ["a path that goes up", () => "/a/../messages?s=0", "/messages?s=0"],
    ["characters that no request line may have", () => "/mess ages/é?s=0&x=a b", "/mess%20ages/%C3%A9?s=0&x=a%20b"],
  ])("%s: messages are posted there, and nothing of the client's session goes along", async (_, endpoint, target) => {
    const { peer, initialize, send } = await proxyTo({
      opening: (_number, port) => `event: endpoint\ndata: ${endpoint(port)}\n\n`,
    });
    const { status, headers, body } = await initialize();
    expect({ status, type: headers["content-type"] }).toEqual({ status: 200, type: "application/json" });
    expect(JSON.parse(body)).toMatchObject({ id: 1, result: { protocolVersion: "2024-11-05" } });
    const session = headers["mcp-session-id"]!;
    expect(session).toMatch(/^[\w-]{22,}$/);
    expect((await send(call(9), session)).body).toBe('{"jsonrpc":"2.0","id":9,"result":{}}');
    expect(peer.requests.map((request) => `${request.method} ${request.target}`)).toEqual([
      "GET /sse",
      `POST ${target}`,
      `POST ${target}`,
    ]);
    for (const sent of peer.requests) expect(JSON.stringify(sent)).not.toContain(session);
    for (const sent of peer.requests) expect(sent.headers["mcp-session-id"]).toBeUndefined();
  });

  test.each<[string, (port: number, stranger: number) => string]>([
    ["another port", (_, stranger) => `http://127.0.0.1:${stranger}/messages`],
    ["another host", (port) => `http://localhost:${port}/messages`],
    ["another scheme", (port) => `https://127.0.0.1:${port}/messages`],
    ["a host alone", (_, stranger) => `//127.0.0.1:${stranger}/messages`],
    ["a host behind backslashes", (_, stranger) => `/\\127.0.0.1:${stranger}/messages`],
    ["a host behind a tab", (_, stranger) => `/\t/127.0.0.1:${stranger}/messages`],
    ["a script", () => "javascript:alert(1)"],
    ["a file", () => "file:///etc/passwd"],
    ["data", () => "data:text/plain,x"],
    ["a user", (port) => `http://someone@127.0.0.1:${port}/messages`],
    ["a user that looks like a host", (port, stranger) => `http://127.0.0.1:${port}@127.0.0.1:${stranger}/messages`],
    ["no URL", () => "http://[::1"],
    ["5 KB", () => `/messages?${"x".repeat(5000)}`],
  ])("%s: the connection is given up, with the reason, and nobody is asked", async (_, endpoint) => {
    const stranger = await use(rawServer());
    const { peer, initialize } = await proxyTo({
      opening: (_number, port) => `event: endpoint\ndata: ${endpoint(port, stranger.port)}\n\n`,
    });
    const answer = await initialize();
    expect(errorOf(answer)).toMatchObject({ status: 502, code: "UPSTREAM_INVALID" });
    expect(errorOf(answer).message).toMatch(/^Server 'one' .* Its endpoint event .*\.$/);
    expect(answer.body).not.toContain(String(stranger.port));
    expect(answer.headers["mcp-session-id"]).toBeUndefined();
    await peer.streams[0]!.connection.ended;
    expect([stranger.connections.length, peer.seen]).toEqual([0, ["GET"]]);
  });

  test("another one later: the first counts", async () => {
    const { peer, initialize, send } = await proxyTo({
      opening: () =>
        "event: endpoint\ndata: /messages?s=0\n\nevent: endpoint\ndata: http://evil.invalid/\n\nevent: endpoint\ndata: /other\n\n",
    });
    const session = (await initialize()).headers["mcp-session-id"];
    peer.streams[0]!.write("event: endpoint\ndata: /third\n\n");
    expect((await send(call(), session)).status).toBe(200);
    expect(new Set(peer.requests.slice(1).map(({ target }) => target))).toEqual(new Set(["/messages?s=0"]));
  });
});

describe("ST-13 a stream of HTTP+SSE", () => {
  const spelled: [string, (text: string) => Buffer[]][] = [
    ["with LF", (text) => [Buffer.from(text)]],
    ["with CRLF", (text) => [Buffer.from(text.replaceAll("\n", "\r\n"))]],
    ["with CR", (text) => [Buffer.from(text.replaceAll("\n", "\r"))]],
    ["byte by byte", (text) => [...Buffer.from(text)].map((byte) => Buffer.from([byte]))],
    [
      "byte by byte with CRLF",
      (text) => [...Buffer.from(text.replaceAll("\n", "\r\n"))].map((byte) => Buffer.from([byte])),
    ],
  ];
  test.each(spelled)("%s: BOM, comments, fields and events that mean nothing, data in lines", async (_, spell) => {
    const write = (text: string, to: (bytes: Buffer) => void) => spell(text).forEach(to);
    const { peer, initialize, send } = await proxyTo({
      opening: () => "",
      post(request, stream) {
        if (methodOf(request) !== "tools/list") return undefined;
        const noise =
          ": ping\n\nevent: ping\ndata: {}\n\nid: 7\nretry: 10\nevent:message\ndata\n\ndata: not JSON\n\nfoo: bar\n\n";
        const data = `data:{"jsonrpc":"2.0",\ndata: "id":${idOf(request)},\nid: 4\ndata: "result":{"text":"å😀\\n"}}`;
        write(`${noise}${data}\n\n`, stream.write);
        return ACCEPTED;
      },
    });
    const initialized = initialize();
    await expect.poll(() => peer.streams.length).toBe(1);
    write("\uFEFFevent: endpoint\ndata: /messages?s=0\n\n", peer.streams[0]!.write);
    const session = (await initialized).headers["mcp-session-id"];
    const { body } = await send(call('"x\\u0001"'), session);
    expect(JSON.parse(body)).toEqual({ jsonrpc: "2.0", id: "x\u0001", result: { text: "å😀\n" } });
  });

  test.each<[string, Scripted, number, string]>([
    ["405", "HTTP/1.1 405 No\r\ncontent-length: 0\r\n\r\n", 502, "UPSTREAM_INVALID"],
    ["404", jsonAnswer("{}", "404 Not Found"), 502, "UPSTREAM_INVALID"],
    ["JSON", jsonAnswer("{}"), 502, "UPSTREAM_INVALID"],
    [
      "a redirect elsewhere",
      "HTTP/1.1 302 Found\r\nlocation: http://evil.invalid/\r\ncontent-length: 0\r\n\r\n",
      502,
      "UPSTREAM_REDIRECT",
    ],
    ["a reset", "reset", 502, "UPSTREAM_BROKE"],
    ["nothing", "hang", 504, "UPSTREAM_TIMEOUT"],
    ["401", jsonAnswer("{}", "401 Unauthorized"), 502, "UPSTREAM_UNAUTHORIZED"],
  ])("that is %s instead: initialize is refused, and says why", async (_, instead, status, code) => {
    const { peer, initialize } = await proxyTo({ get: () => instead }, { timeouts: { headers: 100 } });
    expect(errorOf(await initialize())).toMatchObject({ status, code });
    expect(peer.seen).toEqual(["GET"]);
  });

  test.each<[string, string]>([
    ["says nothing", ""],
    ["says something else", "event: message\ndata: {}\n\n: ping\n\n"],
    ["does not end its first event", "event: endpoint\ndata: /messages?s=0\n"],
  ])("that %s in place of an endpoint is given up in time", async (_, opening) => {
    const { peer, initialize } = await proxyTo({ opening: () => opening }, { timeouts: { headers: 100 } });
    expect(errorOf(await initialize())).toMatchObject({ status: 504, code: "UPSTREAM_TIMEOUT" });
    await peer.streams[0]!.connection.ended;
  });

  test("that ends before its endpoint, three times: then the server is left alone for a moment", async () => {
    const { peer, initialize } = await proxyTo({ get: () => "reset" });
    for (let i = 0; i < 3; i++) expect(errorOf(await initialize()).code).toBe("UPSTREAM_BROKE");
    const { headers, ...answer } = await initialize();
    expect(errorOf(answer)).toMatchObject({ status: 503, code: "SERVER_SUSPENDED" });
    expect(headers["retry-after"]).toBe("1");
    expect(peer.seen).toHaveLength(3);
  });

  test("that holds an event beyond maxMessageBytes is cut", async () => {
    const { peer, initialize, send } = await proxyTo(
      { post: (request) => (methodOf(request) === "tools/list" ? ACCEPTED : undefined) },
      { maxMessageBytes: 10_000 },
    );
    const session = (await initialize()).headers["mcp-session-id"];
    const answer = send(call(), session);
    await expect.poll(() => peer.seen.length).toBe(3);
    for (let i = 0; i < 3; i++) peer.streams[0]!.write(`data: ${"x".repeat(4000)}`);
    expect(errorOf(await answer)).toMatchObject({ status: 502, code: "UPSTREAM_TOO_LARGE" });
    await peer.streams[0]!.connection.ended;
  });
});

describe("ST-13 a message that is posted", () => {
  test.each(["200 OK", "201 Created", "202 Accepted", "204 No Content"])(
    "is taken with %s, whatever the body says",
    async (line) => {
      const body = line.startsWith("204") ? "" : "Accepted";
      const { initialize, send } = await proxyTo({
        post(request, stream) {
          stream.message(`{"jsonrpc":"2.0","id":${idOf(request)},"result":{}}`);
          const length = line.startsWith("204") ? "" : `content-length: ${body.length}\r\n`;
          return `HTTP/1.1 ${line}\r\n${length}\r\n${body}`;
        },
      });
      const session = (await initialize()).headers["mcp-session-id"];
      expect((await send(call(3), session)).body).toBe('{"jsonrpc":"2.0","id":3,"result":{}}');
    },
  );

  test("and refused with 500 or 429 fails alone: the others and the session go on", async () => {
    const slow = gate();
    const { peer, initialize, send } = await proxyTo({
      async post(request, stream) {
        const method = methodOf(request);
        if (method === "prompts/list") return jsonAnswer('{"no":1}', "500 Internal Server Error");
        if (method === "resources/list") return jsonAnswer("{}", "429 Too Many Requests", "retry-after: 7\r\n");
        if (method !== "tools/call") return undefined;
        void slow.promise.then(() => stream.message(`{"jsonrpc":"2.0","id":${idOf(request)},"result":{"late":1}}`));
        return ACCEPTED;
      },
    });
    const session = (await initialize()).headers["mcp-session-id"];
    const pending = send(call(4, "tools/call"), session);
    await expect.poll(() => peer.seen).toContain("POST tools/call");
    expect((await send(call(5, "prompts/list"), session)).status).toBe(500);
    const limited = await send(call(6, "resources/list"), session);
    expect([limited.status, limited.headers["retry-after"]]).toEqual([429, "7"]);
    slow.open();
    expect((await pending).body).toContain('"late":1');
    expect((await send(call(7), session)).status).toBe(200);
  });

  test.each(["404 Not Found", "410 Gone"])(
    "and refused with %s: the session is lost, and nothing more is sent to it",
    async (line) => {
      const { peer, initialize, send } = await proxyTo({
        post: (request) =>
          methodOf(request) === "tools/call"
            ? ACCEPTED
            : methodOf(request) === "prompts/list"
              ? jsonAnswer("{}", line)
              : undefined,
      });
      const session = (await initialize()).headers["mcp-session-id"];
      const pending = send(call(4, "tools/call"), session);
      await expect.poll(() => peer.seen).toContain("POST tools/call");
      expect((await send(call(5, "prompts/list"), session)).status).toBe(404);
      expect(errorOf(await pending)).toMatchObject({ status: 502, code: "UPSTREAM_BROKE" });
      const before = peer.seen.length;
      expect(errorOf(await send(call(6), session))).toMatchObject({ status: 404, code: "SESSION_NOT_FOUND" });
      expect(peer.seen).toHaveLength(before);
      await peer.streams[0]!.connection.ended;
    },
  );
});

describe("ST-13 a stream that is lost", () => {
  test.each(["end", "fin", "reset"] as const)(
    "by %s: what is under way fails, later requests find no session, and a new one opens",
    async (how) => {
      const { peer, initialize, send } = await proxyTo({
        post: (request) => (methodOf(request) === "tools/call" ? ACCEPTED : undefined),
      });
      const session = (await initialize()).headers["mcp-session-id"];
      const pending = [4, 5].map((id) => send(call(id, "tools/call"), session));
      await expect.poll(() => peer.seen.filter((one) => one === "POST tools/call")).toHaveLength(2);
      if (how === "end") peer.streams[0]!.end();
      else peer.streams[0]!.connection[how]();
      for (const answer of pending)
        expect(errorOf(await answer)).toMatchObject({ status: 502, code: "UPSTREAM_BROKE" });
      const before = peer.seen.length;
      expect(errorOf(await send(call(6), session))).toMatchObject({ status: 404, code: "SESSION_NOT_FOUND" });
      expect(peer.seen).toHaveLength(before);
      const again = (await initialize()).headers["mcp-session-id"];
      expect(again).not.toBe(session);
      expect((await send(call(7), again)).status).toBe(200);
    },
  );

  test("by DELETE: the server sees the end of its connection, and hears what was cancelled", async () => {
    const { peer, proxy, initialize, send } = await proxyTo({
      post: (request) => (methodOf(request) === "tools/call" ? ACCEPTED : undefined),
    });
    const session = (await initialize()).headers["mcp-session-id"]!;
    const pending = send(call(4, "tools/call"), session);
    await expect.poll(() => peer.seen).toContain("POST tools/call");
    expect((await send("", session, "DELETE")).status).toBe(200);
    expect(errorOf(await pending).code).toBe("SESSION_NOT_FOUND");
    await peer.streams[0]!.connection.ended;
    await expect.poll(() => peer.seen).toContain("POST notifications/cancelled");
    expect(errorOf(await send("", session, "DELETE")).status).toBe(404);
    expect(errorOf(await send(call(5)))).toMatchObject({ status: 400, code: "SESSION_REQUIRED" });
    expect(proxy.port).toBeGreaterThan(0);
  });

  test("by nobody: a client that leaves in the middle of initialize leaves no connection behind", async () => {
    const { peer, proxy } = await proxyTo({ post: () => ACCEPTED });
    const client = await use(rawClient(proxy.port));
    client.send(post(INITIALIZE));
    await expect.poll(() => peer.seen).toEqual(["GET", "POST initialize"]);
    client.reset();
    await peer.streams[0]!.connection.ended;
  });

  test("before it began: a client that leaves while the endpoint is awaited", async () => {
    const { peer, proxy } = await proxyTo({ opening: () => "" });
    const client = await use(rawClient(proxy.port));
    client.send(post(INITIALIZE));
    await expect.poll(() => peer.seen).toEqual(["GET"]);
    client.reset();
    await peer.streams[0]!.connection.ended;
  });
});

test("ST-13 a client that does not read its stream stops the server, and loses nothing when it reads on", async () => {
  const { peer, proxy, initialize } = await proxyTo({});
  const session = (await initialize()).headers["mcp-session-id"]!;
  const client = await use(rawClient(proxy.port));
  client.send(plain("GET", "/mcp", `accept: text/event-stream\r\nmcp-session-id: ${session}\r\n`));
  await client.receive(/\r\n\r\n/);
  client.pause();
  const { connection, message } = peer.streams[0]!;
  const events = 300;
  const big = "x".repeat(100_000);
  for (let i = 0; i < events; i++)
    message(`{"jsonrpc":"2.0","method":"notifications/message","params":{"n":${i},"x":"${big}"}}`);
  let before = -1;
  await expect
    .poll(() => before !== 0 && before === (before = connection.socket.writableLength), {
      interval: 150,
      timeout: 8000,
    })
    .toBe(true);
  expect(connection.socket.writableLength).toBeGreaterThan(5_000_000);
  client.resume();
  // Not `receive()`: it looks through everything with each piece.
  await expect.poll(() => client.received.includes(`"n":${events - 1},`), { interval: 150, timeout: 8000 }).toBe(true);
  expect(client.received.match(/"n":\d+,/g)).toEqual(Array.from({ length: events }, (_, i) => `"n":${i},`));
});

test("ST-13 a handshake that the server refuses is no session", async () => {
  const { peer, initialize } = await proxyTo({
    post(request, stream) {
      stream.message(`{"jsonrpc":"2.0","id":${idOf(request)},"error":{"code":-32602,"message":"no"}}`);
      return ACCEPTED;
    },
  });
  const { status, headers, body } = await initialize();
  expect([status, headers["mcp-session-id"], body]).toEqual([
    200,
    undefined,
    '{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no"}}',
  ]);
  await peer.streams[0]!.connection.ended;
});

test("ST-13 a request of 2026-07-28 is refused as a legacy server would, and the server does not hear of it", async () => {
  const { peer, proxy } = await proxyTo({});
  const envelope =
    '{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}';
  const answer = await asking(
    use,
    proxy.port,
  )({
    body: call('"d"', "server/discover", envelope),
    fields: [...FIELDS, "mcp-protocol-version: 2026-07-28", "mcp-method: server/discover"],
  });
  expect(answer.status).toBe(400);
  expect(JSON.parse(answer.body)).toMatchObject({ id: "d", error: { code: -32_000 } });
  expect(peer.seen).toEqual([]);
});
