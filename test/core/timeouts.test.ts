import { describe, expect, test } from "vitest";
import { gate, rawClient, rawServer, within } from "../_harness/peers.ts";
import { testScope } from "../_harness/scope.ts";
import { SSE_HEAD, call, chunk, front, jsonAnswer, plain, post } from "../_harness/wire.ts";

const use = testScope();
/** Far above each limit of these tests, far below the defaults. */
const SLACK_MS = 500;
const CHUNKED_JSON = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";

async function elapsed<T>(run: () => Promise<T>): Promise<[T, number]> {
  const before = performance.now();
  const value = await run();
  return [value, performance.now() - before];
}

/** A server that answers with `text` and then waits for ever. */
async function stuckServer(text = "") {
  return use(
    rawServer(async (connection) => {
      await connection.receiveRequest();
      connection.send(text);
    }),
  );
}

describe("time limits towards a server", () => {
  test("connect covers TLS set-up: a server that never answers the handshake is 504 UPSTREAM_CONNECT_TIMEOUT", async () => {
    const server = await use(rawServer());
    const { port } = await use(front(server.url.replace("http:", "https:"), [], { timeouts: { connect: 120 } }));
    const client = await use(rawClient(port));
    client.send(post(call('"c"')));
    const [answer, ms] = await elapsed(() => client.receiveResponse());
    expect(answer.status).toBe(504);
    expect(answer.body).toContain('"id":"c",');
    expect(answer.body).toContain("UPSTREAM_CONNECT_TIMEOUT");
    expect(ms).toBeGreaterThan(100);
    expect(ms).toBeLessThan(120 + SLACK_MS);
  });

  test("headers holds for every method but tools/call, which has its own limit", async () => {
    const server = await stuckServer();
    const { port } = await use(front(server.url, [], { timeouts: { headers: 100, call: 400 } }));
    for (const [request, limit] of [
      [post(call()), 100],
      [plain("GET"), 100],
      [post(call(1, "tools/call")), 400],
    ] as const) {
      const client = await use(rawClient(port));
      client.send(request);
      const [answer, ms] = await elapsed(() => client.receiveResponse());
      expect(answer.status).toBe(504);
      expect(answer.body).toContain("UPSTREAM_TIMEOUT");
      expect(ms).toBeGreaterThan(limit - 20);
      expect(ms).toBeLessThan(limit + (limit === 100 ? 250 : SLACK_MS));
    }
    // The request is given up, not only its answer.
    for (const connection of server.connections) await within(connection.closed, "the release");
  });

  test("0 is no limit", async () => {
    const server = await stuckServer();
    const { port } = await use(front(server.url, [], { timeouts: { headers: 0, call: 60 } }));
    const [waiting, limited] = [await use(rawClient(port)), await use(rawClient(port))];
    waiting.send(post(call()));
    // A limit of its own, passed on the same proxy, stands in for a sleep.
    limited.send(post(call(1, "tools/call")));
    expect((await limited.receiveResponse()).status).toBe(504);
    expect(waiting.received).toBe("");
    (await server.connection(0)).send(jsonAnswer("{}"));
    expect((await waiting.receiveResponse()).body).toBe("{}");
  });

  test("body cuts an answer that stops in the middle, but not an event stream", async () => {
    const json = await stuckServer(CHUNKED_JSON + chunk('{"a":'));
    const stream = await stuckServer(SSE_HEAD + chunk("data: 1\n\n"));
    const timeouts = { body: 100 };
    const client = await use(rawClient((await use(front(json.url, [], { timeouts }))).port));
    const listener = await use(rawClient((await use(front(stream.url, [], { timeouts }))).port));
    listener.send(plain("GET"));
    await listener.receive(/data: 1/);
    client.send(post(call()));
    await client.receive(/\{"a":/);
    const [, ms] = await elapsed(() => within(client.ended, "the cut"));
    expect(client.response()).toMatchObject({ status: 200, complete: false });
    expect(ms).toBeLessThan(100 + SLACK_MS);
    (await stream.connection()).send(chunk("data: 2\n\n"));
    await listener.receive(/data: 2/);
  });

  test("body begins anew with every piece", async () => {
    const server = await stuckServer(CHUNKED_JSON + chunk("["));
    const client = await use(rawClient((await use(front(server.url, [], { timeouts: { body: 150 } }))).port));
    client.send(post(call()));
    const [, ms] = await elapsed(async () => {
      for (let i = 0; i < 4; i++) {
        await client.receive(/[[,]/);
        await new Promise((resolve) => setTimeout(resolve, 75));
        (await server.connection()).send(chunk(","));
      }
    });
    // Time is the subject: together the pauses are longer than the limit.
    expect(ms).toBeGreaterThan(290);
    await client.receive(/,/);
    (await server.connection()).send(chunk("]") + chunk(""));
    await client.receive(/0\r\n\r\n$/);
    expect(client.response().complete).toBe(true);
  });

  test("body still holds after the client made a pause", async () => {
    const sent = gate();
    const server = await use(
      rawServer(async (connection) => {
        await connection.receiveRequest();
        connection.send(CHUNKED_JSON);
        while (connection.send(chunk("x".repeat(65_536))));
        sent.open();
      }),
    );
    const client = await use(rawClient((await use(front(server.url, [], { timeouts: { body: 500 } }))).port));
    client.send(post(call()));
    await client.receive(/\r\n\r\n/);
    client.pause();
    await sent.promise;
    for (let i = 0; i < 60; i++) (await server.connection()).send(chunk("x".repeat(262_144)));
    await new Promise((resolve) => setTimeout(resolve, 1200));
    // The limit is for the server: a client that reads slowly is none of its fault.
    expect((await server.connection()).socket.destroyed).toBe(false);
    client.resume();
    await within(client.ended, "the cut of a server that went silent");
    expect(client.response().complete).toBe(false);
  });

  test("stream cuts a silent event stream where it is set", async () => {
    const server = await stuckServer(SSE_HEAD + chunk("data: 1\n\n"));
    const client = await use(rawClient((await use(front(server.url, [], { timeouts: { stream: 100 } }))).port));
    client.send(plain("GET"));
    await client.receive(/data: 1/);
    const [, ms] = await elapsed(() => within(client.ended, "the cut"));
    expect(ms).toBeLessThan(100 + SLACK_MS);
    expect(client.response().complete).toBe(false);
    await within((await server.connection()).closed, "the release");
  });
});
