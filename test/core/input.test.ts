import { standard } from "../_harness/plugins.ts";
import { describe, expect, test } from "vitest";
import { rawClient, rawServer } from "../_harness/peers.ts";
import { testScope } from "../_harness/scope.ts";
import { call, chunk, front, jsonAnswer, post } from "../_harness/wire.ts";

const use = testScope();
const LIMIT = 1000;

/** A server that answers everything, and a proxy with a small limit before it. */
async function setUp(plugins: unknown = []) {
  const server = await use(
    rawServer(async (connection) => {
      for await (const _request of connection.requests()) connection.send(jsonAnswer('"reached"'));
    }),
  );
  const { port } = await use(front(server.url, plugins, { maxRequestBytes: LIMIT }));
  const client = await use(rawClient(port));
  return { server, port, client };
}

describe("a body that is too large", () => {
  test("more than the limit: HTTP 413, and the server is never called", async () => {
    const { server, client } = await setUp();
    client.send(post(call(1, "m", `{"a":"${"x".repeat(LIMIT)}"}`)));
    const answer = await client.receiveResponse();
    expect(answer).toMatchObject({ status: 413, headers: { "content-type": "application/json" } });
    expect(JSON.parse(answer.body)).toMatchObject({ jsonrpc: "2.0", id: null, error: { code: -31_413 } });
    expect(server.connections).toHaveLength(0);
  });

  test("too many bytes in chunks: 413 while the client is still sending, and no second request on that connection", async () => {
    const { server, client } = await setUp([standard()]);
    client.send(
      "POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
    );
    client.send(chunk("x".repeat(LIMIT / 2)));
    client.send(chunk("x".repeat(LIMIT)));
    const answer = await client.receiveResponse();
    expect(answer).toMatchObject({ status: 413 });
    // The rest of the body is not waited for, so the connection must be given up.
    expect(answer.headers.connection).toBe("close");
    expect(server.connections).toHaveLength(0);
  });

  test("a content-length beyond the limit: 413 before a byte of the body", async () => {
    const { server, client } = await setUp();
    client.send(
      `POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${LIMIT + 1}\r\n\r\n`,
    );
    expect((await client.receiveResponse()).status).toBe(413);
    expect(server.connections).toHaveLength(0);
  });
});

test("exactly the limit reaches the server", async () => {
  const { client } = await setUp();
  client.send(post(call(1, "m", `{"a":"${"x".repeat(LIMIT - call(1, "m", '{"a":""}').length)}"}`)));
  expect((await client.receiveResponse()).body).toBe('"reached"');
});
