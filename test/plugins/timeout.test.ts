import { describe, expect, test } from "vitest";
import { standard, timeout } from "../_harness/plugins.ts";
import { type RawConnection, rawClient, rawServer, within } from "../_harness/peers.ts";
import { idOf, methodOf, scripted } from "../_harness/scripted.ts";
import { testScope } from "../_harness/scope.ts";
import { SSE_HEAD, call, chunk, front, plain, post } from "../_harness/wire.ts";

const use = testScope();
const SESSION = "content-type: application/json\r\nmcp-session-id: s-1\r\nmcp-protocol-version: 2025-11-25\r\n";
const tool = (name: string, id: number | string = 1) => call(id, "tools/call", JSON.stringify({ name }));

/** A server that takes its time for every request, notifications excepted; `streams` sends the head of a stream at once. */
async function silent(streams = false) {
  const script = await scripted((request) => {
    if (methodOf(request)?.startsWith("notifications/")) return "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";
    return streams ? SSE_HEAD : "hang";
  });
  await use(script.server);
  return script;
}

async function clientOf(url: string, plugins: unknown, server: object = {}) {
  return use(rawClient((await use(front(url, plugins, server))).port));
}

describe("limits", () => {
  const OPTIONS = {
    methods: { "tools/call": 400, "resources/*": 80 },
    tools: { quick_: 60, "fast_*": { headers: 60 } },
  };

  test.each([
    ["a tool by pattern", tool("fast_one"), 60],
    ["its method, where no tool fits", tool("other"), 400],
    ["a method by pattern", call(1, "resources/read"), 80],
    ["the server's own, where nothing fits", call(1, "prompts/get"), 200],
  ])("%s", async (_what, body, limit) => {
    const { server } = await silent();
    const client = await clientOf(server.url, [timeout(OPTIONS)], { timeouts: { headers: 200, call: 5000 } });
    const before = performance.now();
    client.send(post(body));
    const answer = await client.receiveResponse();
    expect([answer.status, answer.body]).toEqual([504, expect.stringContaining("UPSTREAM_TIMEOUT")]);
    expect(performance.now() - before).toBeGreaterThan(limit - 20);
    expect(performance.now() - before).toBeLessThan(limit + 800);
  });

  test("a number is the longest silence of an event stream too: each piece begins it anew", async () => {
    const { server } = await silent(true);
    const client = await clientOf(server.url, [timeout({ tools: { slow: 300 } })]);
    client.send(post(tool("slow")));
    const connection = await server.connection();
    for (let i = 0; i < 3; i++) {
      await new Promise((resolve) => setTimeout(resolve, 150));
      connection.send(chunk(`data: ${i}\n\n`));
    }
    await client.receive(/data: 2/);
    const before = performance.now();
    await within(client.ended, "the cut");
    expect(performance.now() - before).toBeGreaterThan(200);
    expect(client.response().complete).toBe(false);
  });

  test("total is for all of an answer, however lively it is; with an error for what is pending", async () => {
    const { server } = await silent(true);
    const client = await clientOf(server.url, [
      standard().filter((p) => p.name !== "timeout"),
      timeout({ total: 400 }),
    ]);
    client.send(post(tool("slow"), "/mcp", SESSION));
    const connection = await server.connection();
    await client.receive(/\r\n\r\n/);
    const handle = setInterval(() => connection.send(chunk("data: {}\n\n")), 50);
    const before = performance.now();
    await within(client.ended, "the cut").finally(() => clearInterval(handle));
    expect(performance.now() - before).toBeLessThan(1400);
    expect(client.received).toMatch(/"id":1,"error":[^\n]*UPSTREAM_TIMEOUT/);
  });

  test("a stream that only listens has no end", async () => {
    const { server } = await silent(true);
    const { port } = await use(front(server.url, [timeout({ total: 100 })]));
    const [get, listen] = [await use(rawClient(port)), await use(rawClient(port))];
    get.send(plain("GET"));
    listen.send(post(call(1, "subscriptions/listen")));
    await get.receive(/\r\n\r\n/);
    await listen.receive(/\r\n\r\n/);
    // Time is the subject: several limits go by.
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect(server.connections.map(({ socket }) => socket.destroyed)).toEqual([false, false]);
  });
});

describe("a legacy server", () => {
  const isCancel = ({ body }: { body: string }) => body.includes("notifications/cancelled");

  test.each([
    ["before the head", false, { timeouts: { call: 80 } }],
    ["within the stream", true, { timeouts: { stream: 80 } }],
  ])("is told, in the right session, that a call timed out %s", async (_when, streams, limits) => {
    const { server, requests } = await silent(streams);
    const client = await clientOf(server.url, [timeout()], limits);
    client.send(post(tool("slow", '"mine"'), "/mcp", `${SESSION}authorization: Bearer secret\r\n`));
    await expect.poll(() => requests.filter(isCancel)).toHaveLength(1);
    const { headers, body } = requests.find(isCancel)!;
    expect(JSON.parse(body)).toEqual({
      jsonrpc: "2.0",
      method: "notifications/cancelled",
      params: { requestId: "mine", reason: "The request timed out." },
    });
    expect(headers).toMatchObject({ "mcp-session-id": "s-1", "mcp-protocol-version": "2025-11-25" });
    expect(headers).not.toHaveProperty("authorization");
  });

  test.each([
    ["initialize", call(1, "initialize", '{"protocolVersion":"2025-11-25"}'), {}],
    ["an id that loses digits", tool("slow", "12345678901234567890"), {}],
    ["a call, where that is switched off", tool("slow"), { cancel: false }],
  ])("is not told of %s", async (_what, body, options) => {
    const { server, requests } = await silent();
    const client = await clientOf(server.url, [timeout(options)], { timeouts: { call: 60, headers: 60 } });
    client.send(post(body, "/mcp", SESSION));
    expect((await client.receiveResponse()).status).toBe(504);
    client.send(post(tool("slow", 2), "/mcp", SESSION));
    await client.receiveResponse();
    expect(requests.filter(isCancel).filter((one) => !one.body.includes('"requestId":2'))).toEqual([]);
  });

  test("is not told when the client left: that is the client's affair", async () => {
    const { server, requests } = await silent();
    const client = await clientOf(server.url, [timeout()], { timeouts: { call: 100 } });
    client.send(post(tool("slow"), "/mcp", SESSION));
    const connection = await server.connection();
    await connection.receive(/./).catch(() => {});
    client.reset();
    await within(connection.closed, "the release");
    expect(requests.filter(isCancel)).toEqual([]);
  });
});

test("a modern server is told by the end of the connection alone", async () => {
  const { server, requests } = await silent();
  const client = await clientOf(server.url, [timeout()], { timeouts: { call: 60 } });
  const meta =
    '"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}';
  const headers =
    "content-type: application/json\r\nmcp-protocol-version: 2026-07-28\r\nmcp-method: tools/call\r\nmcp-name: slow\r\n";
  client.send(post(call(1, "tools/call", `{"name":"slow",${meta}}`), "/mcp", headers));
  expect((await client.receiveResponse()).status).toBe(504);
  await within((await server.connection()).closed, "the release");
  expect(requests.map(idOf)).toEqual(["1"]);
});

describe("heartbeats", () => {
  const BEAT = chunk(": ping\n\n");
  const OPTIONS = { shortestHeartbeat: 20, missedHeartbeats: 4 };

  async function beating(plugins: unknown, request: string, beats: number, ms: number) {
    const upstream = await use(
      rawServer(async (connection: RawConnection) => {
        await connection.receiveRequest();
        connection.send(SSE_HEAD);
        for (let i = 0; i < beats; i++) {
          await new Promise((resolve) => setTimeout(resolve, ms));
          connection.send(BEAT);
        }
      }),
    );
    const client = await clientOf(upstream.url, plugins);
    client.send(request);
    for (let i = 0; i < beats; i++) await client.receive(/: ping\n\n/);
    return { client, connection: await upstream.connection() };
  }

  test("four missed ones end the stream, with an error for what is pending", async () => {
    const plugins = [standard().filter((p) => p.name !== "timeout"), timeout(OPTIONS)];
    const { client, connection } = await beating(plugins, post(tool("slow"), "/mcp", SESSION), 6, 100);
    const before = performance.now();
    await client.receive(/"id":1,"error":[^\n]*UPSTREAM_SILENT/, { timeout: 5000 });
    expect(performance.now() - before).toBeGreaterThan(300);
    await within(connection.closed, "the release");
    expect(client.response().complete).toBe(false);
  });

  test("a server that never sent any may be silent", async () => {
    const { client, connection } = await beating([timeout(OPTIONS)], plain("GET"), 0, 0);
    await client.receive(/\r\n\r\n/);
    connection.send(chunk("data: 1\n\n"));
    await client.receive(/data: 1/);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(connection.socket.destroyed).toBe(false);
  });

  test("comments that come in a burst are none", async () => {
    const { connection } = await beating([timeout({ shortestHeartbeat: 200 })], plain("GET"), 10, 20);
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect(connection.socket.destroyed).toBe(false);
  });
});

test.each([
  [{ methods: { "tools/call": -1 } }, /methods\["tools\/call"\]\.headers must be a number/],
  [{ tools: { a: { heads: 1 } } }, /tools\["a"\]\.heads: limits are headers, body, stream, total/],
  [{ tools: { a: "1s" } }, /tools\["a"\] must be a number of milliseconds/],
  [{ total: Number.NaN }, /total must be a number/],
])("refuses %o", (options, message) => {
  expect(() => timeout(options as never)).toThrow(message);
});
