import { framing, standard } from "../_harness/plugins.ts";
import { describe, expect, test } from "vitest";
import { startNaiveRelay } from "../_harness/naive-relay.ts";
import { gate, rawClient, rawServer } from "../_harness/peers.ts";
import { testScope } from "../_harness/scope.ts";
import { SSE_HEAD, call, chunk, front, jsonAnswer, plain, post } from "../_harness/wire.ts";

/** The response: a stream that ended without one would be completed with an error where hooks read it. */
const LAST = 'data: {"jsonrpc":"2.0","id":1,"result":{}}\n\n';
const use = testScope();

test("a head is not held back with the part of an event that came with it", async () => {
  const barrier = gate();
  const server = await use(
    rawServer(async (connection) => {
      await connection.receiveRequest();
      connection.send(SSE_HEAD + chunk("data: on"));
      await barrier.promise;
      connection.send(chunk("e\n\n"));
    }),
  );
  const client = await use(rawClient((await use(front(server.url, [framing()]))).port));
  client.send(plain("GET"));
  await client.receive(/\r\n\r\n/);
  barrier.open();
  await client.receive(/data: one\n\n/);
});

/** On loopback a relayed byte takes a few milliseconds; this is what the founding case allows. */
const PROMPT_MS = 250;
const REQUESTS = [
  ["POST", post(call())],
  ["GET", plain("GET")],
] as const;
const STACKS = [
  ["the bare core", () => []],
  ["standard()", () => [standard()]],
] as const;

/** An event stream that stops behind its head, and again behind its first event. */
async function steppedStream() {
  const [first, second] = [gate(), gate()];
  let sentAt = 0;
  const server = await use(
    rawServer(async (connection) => {
      const { target } = await connection.receiveRequest();
      if (target === "/other") return void connection.send(jsonAnswer("{}"));
      sentAt = performance.now();
      connection.send(SSE_HEAD);
      await first.promise;
      sentAt = performance.now();
      connection.send(chunk("data: 1\n\n"));
      await second.promise;
      connection.send(chunk(LAST) + chunk(""));
    }),
  );
  return { server, first, second, sentAt: () => sentAt };
}

describe.each(STACKS)("an event stream through %s", (_stack, plugins) => {
  test.each(REQUESTS)(
    "%s: head and first event arrive while the server holds back what follows",
    async (_method, request) => {
      const { server, first, second, sentAt } = await steppedStream();
      const { port } = await use(front(server.url, plugins()));
      const client = await use(rawClient(port));
      client.send(request);
      await client.receive(/\r\n\r\n/);
      expect(performance.now() - sentAt()).toBeLessThan(PROMPT_MS);
      expect(client.response()).toMatchObject({
        status: 200,
        body: "",
        headers: { "content-type": "text/event-stream" },
      });
      first.open();
      await client.receive(/data: 1\n\n/);
      expect(performance.now() - sentAt()).toBeLessThan(PROMPT_MS);
      expect(second.isOpen).toBe(false);
      second.open();
      await client.receive(/0\r\n\r\n$/);
      expect(client.response()).toMatchObject({ body: `data: 1\n\n${LAST}`, complete: true });
    },
  );

  test("a plain JSON answer keeps its status, media type, length and bytes", async () => {
    const body = `{"jsonrpc":"2.0", "id":1,"result":{"text":"hé"}}`;
    const type = "application/json; charset=utf-8";
    const server = await use(
      rawServer(async (connection) => {
        await connection.receiveRequest();
        connection.send(
          `HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
        );
      }),
    );
    const client = await use(rawClient((await use(front(server.url, plugins()))).port));
    client.send(post(call()));
    const answer = await client.receiveResponse();
    expect(answer).toMatchObject({ status: 200, body, headers: { "content-type": type } });
    expect(answer.headers["content-length"]).toBe(String(Buffer.byteLength(body)));
  });

  test("a chunked JSON answer that comes in two pieces arrives whole and ends well", async () => {
    const second = gate();
    const server = await use(
      rawServer(async (connection) => {
        await connection.receiveRequest();
        connection.send(
          `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n${chunk('{"a":')}`,
        );
        await second.promise;
        connection.send(chunk("1}") + chunk(""));
      }),
    );
    const client = await use(rawClient((await use(front(server.url, plugins()))).port));
    client.send(post(call()));
    await client.receive(/\{"a":/);
    second.open();
    await client.receive(/0\r\n\r\n$/);
    expect(client.response()).toMatchObject({ body: '{"a":1}', complete: true });
  });
});

describe("the founding failure", () => {
  test.each(REQUESTS)("%s: the naive relay delivers neither head nor first event in time", async (_method, request) => {
    const { server, first, second } = await steppedStream();
    const relay = await use(
      startNaiveRelay([
        ["/mcp", `${server.url}/mcp`],
        ["/", server.url],
      ]),
    );
    const [client, other] = [await use(rawClient(relay.port)), await use(rawClient(relay.port))];
    client.send(request);
    await (await server.connection(0)).receive(() => true);
    first.open();
    // A whole exchange on the same path stands in for a sleep: there was time to relay head and event.
    other.send(plain("GET", "/other"));
    expect((await other.receiveResponse()).body).toBe("{}");
    expect(client.received).toBe("");
    second.open();
    expect((await client.receiveResponse()).body).toBe(`data: 1\n\n${LAST}`);
  });
});
