import { describe, expect, test } from "vitest";
import { type RawClient, type RawConnection, rawClient, rawServer, within } from "../_harness/peers.ts";
import { framing, sseRelay, standard } from "../_harness/plugins.ts";
import { otherRuntime } from "../_harness/runtimes.ts";
import { testScope } from "../_harness/scope.ts";
import { silence } from "../_harness/silence.ts";
import { SSE_HEAD, chunk, front, plain } from "../_harness/wire.ts";

const use = testScope();
const COMMENT = ": keep-alive\n\n";

/** A server that sends its head, and then what the test makes it send. */
async function streamServer() {
  return use(
    rawServer(async (connection) => {
      await connection.receiveRequest();
      connection.send(SSE_HEAD);
    }),
  );
}

/** A client that listens to it through the given plugins. */
async function listening(plugins: unknown) {
  const server = await streamServer();
  const client = await use(rawClient((await use(front(server.url, plugins))).port));
  client.send(plain("GET"));
  await client.receive(/\r\n\r\n/);
  return { client, upstream: await server.connection() };
}

describe("ST-05 silent streams", () => {
  // Bun's own server ends answers after 10 s of silence; elsewhere the limits that could strike are those that are set here.
  const ms = otherRuntime === "bun" ? 12_000 : 2500;

  test(
    "stay open when every limit for other answers has passed, and deliver what comes then",
    { timeout: ms + 10_000 },
    async () => {
      const timeouts = { connect: 300, headers: 300, call: 300, body: 300 };
      await silence(use, ms, { timeouts }, [
        ["the bare core", [], 0],
        ["a hook that reads", [framing()], 0],
        ["standard()", [standard()], 0],
        ["comments every 400 ms", [sseRelay({ keepAlive: 400 })], Math.floor(ms / 400 / 2)],
      ]);
    },
  );
});

describe("ST-06 keep-alive comments", () => {
  test("come while the stream is silent, and stop with it", async () => {
    const { client, upstream } = await listening([sseRelay({ keepAlive: 40 })]);
    for (let i = 0; i < 3; i++) await client.receive(/: keep-alive\n\n/);
    upstream.send(chunk("data: 1\n\n") + chunk(""));
    await client.receive(/0\r\n\r\n$/);
    expect(client.response().body).toMatch(/^(: keep-alive\n\n){3,}data: 1\n\n$/);
  });

  // Every way to end a line, cut in three at every place: a comment inside of an event would tear it.
  test.each([
    ["CRLF", "event: m\r\ndata: 1\r\ndata: 2\r\n\r\n"],
    ["LF", "event: m\ndata: 1\ndata: 2\n\n"],
    ["CR", "event: m\rdata: 1\rdata: 2\r\r"],
  ])("never stand inside an event with %s, in however many pieces it comes", async (_ends, event) => {
    const server = await streamServer();
    const { port } = await use(front(server.url, [sseRelay({ keepAlive: 10 })]));
    const pairs: { client: RawClient; upstream: RawConnection; pieces: string[] }[] = [];
    for (let cut = 1; cut < event.length - 1; cut++) {
      const second = cut + 1 + ((cut * 7) % (event.length - cut - 1));
      const client = await use(rawClient(port));
      client.send(plain("GET"));
      await client.receive(/\r\n\r\n/);
      const upstream = await server.connection(cut - 1);
      pairs.push({ client, upstream, pieces: [event.slice(0, cut), event.slice(cut, second), event.slice(second)] });
    }
    const witness = await listening([sseRelay({ keepAlive: 10 })]);
    for (let i = 0; i < 3; i++) {
      for (const { upstream, pieces } of pairs) upstream.send(chunk(pieces[i]!));
      // Comments that somebody else gets show that they were due meanwhile.
      for (let n = 0; n < 8; n++) await witness.client.receive(/: keep-alive\n\n/);
    }
    for (const { client } of pairs) {
      await client.receive((pending) => pending.endsWith(`${COMMENT}\r\n`) && client.response().body.includes(event));
      expect(client.response().body.replaceAll(COMMENT, "")).toBe(event);
      expect(client.response().body).toContain(event);
    }
  });

  test.each([0, Number.NaN, -1, Number.POSITIVE_INFINITY, 1e12])(
    "with an interval of %s there are none, not even of a timer that overflowed",
    async (keepAlive) => {
      const { client, upstream } = await listening([sseRelay({ keepAlive })]);
      const witness = await listening([sseRelay({ keepAlive: 10 })]);
      for (let i = 0; i < 10; i++) await witness.client.receive(/: keep-alive\n\n/);
      upstream.send(chunk("data: 1\n\n") + chunk(""));
      await client.receive(/0\r\n\r\n$/);
      expect(client.response().body).toBe("data: 1\n\n");
    },
  );

  test("a client that leaves while something waits for it ends them too: nothing is written any more", async () => {
    const server = await use(
      rawServer(async (connection) => {
        await connection.receiveRequest();
        connection.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n");
        const piece = `data: ${"x".repeat(65_000)}\n\n`;
        const fill = () => {
          while (!connection.socket.destroyed && connection.send(piece));
        };
        connection.socket.on("drain", fill);
        fill();
      }),
    );
    const { port } = await use(front(server.url, [sseRelay({ keepAlive: 10 })]));
    const witness = await listening([sseRelay({ keepAlive: 10 })]);
    for (const how of ["reset", "fin", "close"] as const) {
      const client = await use(rawClient(port));
      client.send(plain("GET"));
      await client.receive(/data/);
      client.pause();
      for (let i = 0; i < 5; i++) await witness.client.receive(/: keep-alive\n\n/);
      await client[how]();
      const connection = await server.connection(server.connections.length - 1);
      if (how === "fin") client.resume();
      await within(connection.closed, "the release");
      for (let i = 0; i < 3; i++) await witness.client.receive(/: keep-alive\n\n/);
    }
  });
});
