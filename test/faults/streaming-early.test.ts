import { describe, expect, test } from "vitest";
import { rawClient, rawServer, within } from "../_harness/peers.ts";
import { apiKeys, standard } from "../_harness/plugins.ts";
import { testScope } from "../_harness/scope.ts";
import { SSE_HEAD, call, chunk, front, jsonAnswer, post } from "../_harness/wire.ts";

const use = testScope();
/** Larger than what the buffers of a connection take at once. */
const LARGE = post(call(1, "tools/call", `{"text":"${"x".repeat(12_000_000)}"}`));
const ROOM = { maxRequestBytes: 20_000_000 };
const ANSWERS = [
  ["413", jsonAnswer('{"error":"too large"}', "413 Content Too Large"), 413, '{"error":"too large"}'],
  ["400 with close", jsonAnswer("{}", "400 Bad Request", "connection: close\r\n"), 400, "{}"],
  [
    "an event stream",
    SSE_HEAD + chunk('data: {"jsonrpc":"2.0","id":1,"result":{}}\n\n') + chunk(""),
    200,
    'data: {"jsonrpc":"2.0","id":1,"result":{}}\n\n',
  ],
] as const;
/** `sessions` would ask the server something first. */
const withoutSessions = () => standard().filter(({ name }) => name !== "sessions");
const WAYS = [
  ["reads no further", "stay"],
  ["closes", "fin"],
  ["reads the rest", "read"],
] as const;

describe.each(WAYS)("ST-14 a server that answers before it has read the request, and %s", (_, way) => {
  test.each(ANSWERS)(
    "%s: the answer is relayed, and the next call has a connection of its own",
    async (_, answer, status, body) => {
      const server = await use(
        rawServer(
          async (connection) => {
            if (connection.index > 0) {
              await connection.receiveRequest();
              return void connection.send(jsonAnswer('{"next":true}'));
            }
            await connection.receive(/\r\n\r\n/);
            if (way !== "read") connection.pause();
            connection.send(answer);
            if (way === "fin") connection.fin();
            if (way !== "read") return;
            await connection.receive((pending) => pending.endsWith('x"}}'), { timeout: 5000 });
            await connection.receiveRequest();
            connection.send(jsonAnswer('{"next":true}'));
          },
          { allowHalfOpen: true },
        ),
      );
      const { port } = await use(front(server.url, withoutSessions(), ROOM));
      const client = await use(rawClient(port));
      client.send(LARGE);
      expect(await client.receiveResponse()).toMatchObject({ status, body });
      const next = client.socket.destroyed || (await isOver(client.ended)) ? await use(rawClient(port)) : client;
      next.send(post(call(2)));
      expect(await next.receiveResponse()).toMatchObject({ status: 200, body: '{"next":true}' });
      // Never a second request behind one that was not all sent.
      if (way !== "read") expect(server.connections).toHaveLength(2);
      expect(server.connections[0]!.received.match(/POST \/mcp/g)).toHaveLength(1);
      if (server.connections.length > 1) {
        server.connections[0]!.resume();
        await within(server.connections[0]!.ended, "the end of the first connection");
      }
    },
  );
});

test("ST-14 a server that answers and resets before it has read the request: one answer, or an error with the id", async () => {
  const server = await use(
    rawServer(async (connection) => {
      await connection.receive(/\r\n\r\n/);
      if (connection.index > 0) return void connection.send(jsonAnswer('{"next":true}'));
      connection.send(jsonAnswer("{}", "413 Content Too Large"));
      connection.reset();
    }),
  );
  const { port } = await use(front(server.url, [], ROOM));
  const client = await use(rawClient(port));
  client.send(LARGE);
  const answer = await client.receiveResponse();
  expect([413, 502]).toContain(answer.status);
  if (answer.status === 502)
    expect(JSON.parse(answer.body)).toMatchObject({ id: 1, error: { data: { code: "UPSTREAM_BROKE" } } });
  const next = await use(rawClient(port));
  next.send(post(call(2)));
  expect((await next.receiveResponse()).body).toBe('{"next":true}');
});

describe("ST-14 the proxy answers before it has read the request:", () => {
  const HEADS: [string, string, number][] = [
    ["too long by its length", "content-type: application/json\r\ncontent-length: 99999999\r\n", 413],
    ["a body that is not JSON", "content-type: text/plain\r\ncontent-length: 1000\r\n", 415],
    ["nobody known is asking", "content-type: application/json\r\ncontent-length: 1000\r\nx-anonymous: 1\r\n", 401],
  ];
  test.each(HEADS)("%s: the answer comes at once, and what is behind it is no request", async (_, head, status) => {
    const server = await use(
      rawServer(async (connection) => {
        await connection.receiveRequest();
        connection.send(jsonAnswer("{}"));
      }),
    );
    const key = "a-key-of-24-characters-xx";
    const plugins = status === 401 ? [apiKeys({ keys: { one: key } })] : [];
    const { port } = await use(front(server.url, plugins));
    const client = await use(rawClient(port));
    client.send(`POST /mcp HTTP/1.1\r\nhost: localhost\r\n${head}\r\n`);
    const answer = await client.receiveResponse();
    expect(answer.status).toBe(status);
    // The rest of the announced body; a proxy that does not wait for it says so, and closes.
    client.send(post(call(3)));
    if (answer.headers.connection === "close") await within(client.ended, "the end of the connection");
    const next = await use(rawClient(port));
    next.send(post(call(4), "/mcp", `content-type: application/json\r\nauthorization: Bearer ${key}\r\n`));
    expect(await next.receiveResponse()).toMatchObject({ status: 200, body: "{}" });
  });
});

async function isOver(ended: Promise<unknown>): Promise<boolean> {
  return Promise.race([ended.then(() => true), new Promise<boolean>((resolve) => setImmediate(() => resolve(false)))]);
}
