import { gzipSync } from "node:zlib";
import { beforeAll, describe, expect, test } from "vitest";
import { newHost } from "../_harness/elsewhere.ts";
import { type RawConnection, gate, rawClient, rawServer, within } from "../_harness/peers.ts";
import { framing, onMessage, standard } from "../_harness/plugins.ts";
import { testScope } from "../_harness/scope.ts";
import { rss } from "../_harness/vitals.ts";
import { call, chunk, front, jsonAnswer, post } from "../_harness/wire.ts";

const use = testScope();
// Memory that earlier files left free would hide what is held.
beforeAll(newHost);
const MB = 1e6;
const LIMIT = 64 * 1024;
const STACKS = [
  ["the bare core", () => []],
  ["standard()", () => [standard()]],
] as const;
const HEAD = "POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";

describe.each(STACKS)("RL-04 a body over the limit of %s,", (_, plugins) => {
  async function setUp(limit = LIMIT) {
    const server = await use(rawServer());
    const proxy = await use(front(server.url, plugins(), { maxRequestBytes: limit }));
    return { server, proxy, client: await use(rawClient(proxy.port)) };
  }

  test("by its length: 413 before a byte of it, and the connection closes", async () => {
    const { server, client } = await setUp();
    client.send(`${HEAD}content-length: ${LIMIT + 1}\r\n\r\n`);
    const answer = await client.receiveResponse();
    expect(answer).toMatchObject({ status: 413, headers: { connection: "close" } });
    expect(JSON.parse(answer.body)).toMatchObject({ error: { data: { code: "BODY_TOO_LARGE" } } });
    await within(client.ended, "the end of the connection");
    expect(server.connections).toHaveLength(0);
  });

  test("in chunks without an end: 413 while the client is still sending, and what it goes on to send is not kept", async () => {
    const { server, client, proxy } = await setUp();
    const before = await rss(proxy.pid);
    client.send(`${HEAD}transfer-encoding: chunked\r\n\r\n`);
    const piece = chunk("x".repeat(LIMIT / 2));
    for (let i = 0; i < 3; i++) client.send(piece);
    const answer = await client.receiveResponse();
    expect(answer).toMatchObject({ status: 413, headers: { connection: "close" } });
    let sent = 0;
    const fill = () => {
      while (!client.socket.destroyed && sent < 80 * MB) {
        sent += piece.length;
        if (!client.socket.write(piece)) return;
      }
    };
    client.socket.on("drain", fill);
    fill();
    await within(client.ended, "the end of the connection", { timeout: 8000 });
    expect((await rss(proxy.pid)) - before).toBeLessThan(32 * MB);
    expect(server.connections).toHaveLength(0);
  });

  test("one byte at a time: 413 with the first one too many", async () => {
    const { server, client } = await setUp(40);
    client.send(`${HEAD}transfer-encoding: chunked\r\n\r\n`);
    for (let i = 0; i < 40; i++) {
      client.send(chunk("{"));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(client.received).toBe("");
    client.send(chunk("{"));
    expect(await client.receiveResponse()).toMatchObject({ status: 413, headers: { connection: "close" } });
    await within(client.ended, "the end of the connection");
    expect(server.connections).toHaveLength(0);
  });

  test.each(["gzip", "deflate", "br", "gzip, gzip", "identity, gzip"])(
    "in the coding %s: 415 before anything is decoded",
    async (coding) => {
      const { server, client } = await setUp();
      const body = gzipSync(Buffer.alloc(MB));
      client.send(`${HEAD}content-encoding: ${coding}\r\ncontent-length: ${body.length}\r\n\r\n`);
      client.send(body);
      expect((await client.receiveResponse()).status).toBe(415);
      expect(server.connections).toHaveLength(0);
    },
  );
});

describe("RL-06 an answer that grows", () => {
  /** 300 MB of zeros are 291 KB; these are 64 MB. */
  const BOMB = gzipSync(Buffer.alloc(64 * MB), { level: 9 });
  /** An answer that is never over. */
  const coded = (type: string, coding: string, body: Buffer) => [
    `HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\ncontent-encoding: ${coding}\r\ncontent-length: 999999999\r\n\r\n`,
    body,
  ];
  const READERS = [
    ["that nobody reads", () => []],
    ["that hooks look through for requests", () => [framing()]],
    ["that hooks read", () => [onMessage("down", "response", "pass")]],
  ] as const;

  async function answerOf(pieces: (string | Buffer)[], plugins: unknown) {
    let asked = "";
    const server = await use(
      rawServer(async (connection) => {
        asked = (await connection.receiveRequest()).headers["accept-encoding"] ?? "";
        for (const piece of pieces) connection.send(piece);
      }),
    );
    const proxy = await use(front(server.url, plugins));
    const before = await rss(proxy.pid);
    const client = await use(rawClient(proxy.port));
    let bytes = 0;
    client.socket.on("data", (data) => (bytes += data.length));
    client.send(post(call(7)));
    await client.receive(/\r\n\r\n/, { timeout: 5000 });
    const { status } = client.response();
    if (status === 200) await within(client.ended, "the cut", { timeout: 5000 });
    else await client.receive(/\}$/);
    await within((await server.connection()).closed, "the release");
    expect(asked).toBe("identity");
    expect((await rss(proxy.pid)) - before).toBeLessThan(48 * MB);
    return { ...client.response(), received: bytes };
  }

  describe.each(READERS)("%s:", (_, plugins) => {
    test.each(["text/event-stream", "application/json"])(
      "a gzip bomb as %s is given up long before its size, and the caller can tell",
      async (type) => {
        const { status, complete, received, body } = await answerOf(coded(type, "gzip", BOMB), plugins());
        expect(received).toBeLessThan(20 * MB);
        if (status === 200) expect(complete).toBe(false);
        else expect(status).toBe(502);
        if (plugins().length > 0 && (type === "text/event-stream" || status === 502))
          expect(body).toMatch(/"id":7,"error":.*"UPSTREAM_(?:INVALID|TOO_LARGE)"/);
      },
    );

    test.each([Array(10).fill("gzip").join(", "), "gzip, br", "compress", "zstd"])(
      "the codings %s are refused, and nothing is decoded",
      async (coding) => {
        let body = gzipSync('data: {"jsonrpc":"2.0","id":7,"result":{}}\n\n');
        for (let i = 1; i < 10; i++) body = gzipSync(body);
        const answer = await answerOf(coded("text/event-stream", coding, body), plugins());
        expect(answer).toMatchObject({ status: 502, complete: true });
        expect(JSON.parse(answer.body)).toMatchObject({ id: 7, error: { data: { code: "UPSTREAM_INVALID" } } });
      },
    );
  });

  test("interim answers without an end: an error with the id at once, and the server is let go", async () => {
    const server = await use(rawServer(endless("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")));
    const { port } = await use(front(server.url));
    const client = await use(rawClient(port));
    client.send(post(call(7)));
    const answer = await client.receiveResponse();
    expect(answer).toMatchObject({ status: 502, interim: [] });
    expect(JSON.parse(answer.body)).toMatchObject({ id: 7, error: { data: { code: "UPSTREAM_INVALID" } } });
    await within((await server.connection()).closed, "the release");
  });

  test("a head without an end: the same", async () => {
    const server = await use(rawServer(endless(`x-a: ${"a".repeat(1000)}\r\n`, "HTTP/1.1 200 OK\r\n")));
    const { port } = await use(front(server.url));
    const client = await use(rawClient(port));
    client.send(post(call(7)));
    expect((await client.receiveResponse()).status).toBe(502);
    await within((await server.connection()).closed, "the release");
  });

  test("interim answers one by one: the limit for the head counts on", async () => {
    const over = gate();
    const server = await use(
      rawServer(async (connection) => {
        await connection.receiveRequest();
        while (!connection.socket.destroyed) {
          connection.send("HTTP/1.1 100 Continue\r\n\r\n");
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
        over.open();
      }),
    );
    const { port } = await use(front(server.url, [], { timeouts: { headers: 200 } }));
    const client = await use(rawClient(port));
    client.send(post(call(7)));
    expect((await client.receiveResponse()).status).toBe(504);
    await within(over.promise, "the release");
  });

  test("a few interim answers are passed over", async () => {
    const server = await use(
      rawServer(async (connection) => {
        await connection.receiveRequest();
        connection.send("HTTP/1.1 100 Continue\r\n\r\n".repeat(3) + jsonAnswer("{}"));
      }),
    );
    const client = await use(rawClient((await use(front(server.url))).port));
    client.send(post(call(7)));
    expect(await client.receiveResponse()).toMatchObject({ status: 200, body: "{}" });
  });
});

/** The same text again and again, until the other side has had enough. */
function endless(text: string, first = "") {
  return async (connection: RawConnection) => {
    await connection.receiveRequest();
    connection.send(first);
    const fill = () => {
      while (!connection.socket.destroyed && connection.socket.write(text));
    };
    connection.socket.on("drain", fill);
    fill();
  };
}
