/** Requests and answers that two readers could read in two ways: refused, or one message that everybody reads alike. */
import { describe, expect, test } from "vitest";
import { type ParsedRequest, type RawServer, gate, rawClient, rawServer, within } from "../_harness/peers.ts";
import { framing, standard } from "../_harness/plugins.ts";
import { testScope } from "../_harness/scope.ts";
import { call, chunk, front, jsonAnswer, post } from "../_harness/wire.ts";
import { SMUGGLED } from "./smuggling-corpus.ts";

const use = testScope();
const heads = (text: string) => text.match(/HTTP\/1\.1 \d/g)?.length ?? 0;

/** A server that notes what it is asked, and answers with the id that it read. */
async function echoServer(): Promise<{ server: RawServer; seen: ParsedRequest[] }> {
  const seen: ParsedRequest[] = [];
  const server = await use(
    rawServer(async (connection) => {
      for await (const request of connection.requests()) {
        seen.push(request);
        const { id } = JSON.parse(request.body || '{"id":0}') as { id: number };
        connection.send(jsonAnswer(`{"jsonrpc":"2.0","id":${id},"result":{}}`));
      }
    }),
  );
  return { server, seen };
}

describe("IN-01 a client's request that can be read in two ways", () => {
  test.each(SMUGGLED.map(({ what, ...row }) => [what, row] as const))("%s", async (_what, { request, answer }) => {
    const { server, seen } = await echoServer();
    const { port } = await use(front(server.url, [standard()]));
    const client = await use(rawClient(port));
    // In one write, as a misled reader would be given it.
    client.send(Buffer.concat([Buffer.from(request, "latin1"), Buffer.from(post(call(99)))]));
    const first = await client.receiveResponse();
    const refused = answer !== "same" && (answer !== "either" || first.status >= 400);
    if (refused) {
      if (answer !== "either") expect(answer).toContain(first.status);
      expect(first.headers.connection).toBe("close");
      await within(client.ended, "the end of the connection");
      expect(heads(client.received)).toBe(1);
      expect(seen).toEqual([]);
    } else {
      expect(first).toMatchObject({ status: 200, body: '{"jsonrpc":"2.0","id":1,"result":{}}' });
      if (first.headers.connection !== "close") {
        const { status, body } = await client.receiveResponse();
        expect([status, body]).toEqual([200, '{"jsonrpc":"2.0","id":99,"result":{}}']);
      }
      expect(heads(client.received)).toBe(first.headers.connection === "close" ? 1 : 2);
      expect(seen).toHaveLength(heads(client.received));
    }
    expect(seen.filter(({ rawHeaders }) => JSON.stringify(rawHeaders).includes("smuggled"))).toEqual([]);
    for (const { rawHeaders, body, bytes } of seen) {
      const framing = rawHeaders.filter(([name]) => /^(?:content-length|transfer-encoding|upgrade)$/i.test(name));
      expect(framing).toEqual([["content-length", String(bytes.length)]]);
      expect(body).toMatch(/^\s*\{"jsonrpc"/);
    }
    // Whatever came before: others are served.
    const before = seen.length;
    const other = await use(rawClient(port));
    other.send(post(call(7)));
    expect(await other.receiveResponse()).toMatchObject({ status: 200, body: '{"jsonrpc":"2.0","id":7,"result":{}}' });
    expect(seen).toHaveLength(before + 1);
  });
});

const OK = '{"jsonrpc":"2.0","id":1,"result":{"mine":true}}';
const JSON_LINE = "content-type: application/json\r\n";
const LENGTH = `content-length: ${OK.length}\r\n`;
/** An answer that nobody asked for. */
const POISON = jsonAnswer('{"jsonrpc":"2.0","id":2,"result":{"poison":true}}');

const BAD_ANSWERS: [string, string | Buffer][] = [
  [
    "content-length and transfer-encoding",
    `${JSON_LINE}${LENGTH}transfer-encoding: chunked\r\n\r\n${chunk(OK)}${chunk("")}`,
  ],
  ["two content-lengths", `${JSON_LINE}${LENGTH}content-length: 4\r\n\r\n${OK}`],
  ["two equal content-lengths", `${JSON_LINE}${LENGTH}${LENGTH}\r\n${OK}`],
  ["a list in content-length", `${JSON_LINE}content-length: ${OK.length}, ${OK.length}\r\n\r\n${OK}`],
  ["a sign in content-length", `${JSON_LINE}content-length: +${OK.length}\r\n\r\n${OK}`],
  ["another coding", `${JSON_LINE}transfer-encoding: gzip, chunked\r\n\r\n${chunk(OK)}${chunk("")}`],
  ["transfer-encoding twice", `${JSON_LINE}${"transfer-encoding: chunked\r\n".repeat(2)}\r\n${chunk(OK)}${chunk("")}`],
  ["a folded line", `${JSON_LINE}x-a: 1\r\n b\r\n${LENGTH}\r\n${OK}`],
  ["a space before the colon", `${JSON_LINE}content-length : ${OK.length}\r\n\r\n${OK}`],
  ["a bare LF", `${JSON_LINE}x-a: 1\nx-b: 2\r\n${LENGTH}\r\n${OK}`],
  ["a bare CR", `${JSON_LINE}x-a: 1\rx-b: 2\r\n${LENGTH}\r\n${OK}`],
  ["NUL in a value", `${JSON_LINE}x-a: \0\r\n${LENGTH}\r\n${OK}`],
  ["a head of 100 KB", `${JSON_LINE}x-a: ${"a".repeat(100_000)}\r\n${LENGTH}\r\n${OK}`],
  ["a head of 100 KB that does not end", `${JSON_LINE}${"x-a: 1\r\n".repeat(12_500)}`],
].map(([what, rest]) => [what!, `HTTP/1.1 200 OK\r\n${rest}`]);

describe("IN-01 a server's answer that can be read in two ways", () => {
  test.each<[string, string | Buffer]>([
    ...BAD_ANSWERS,
    ["a status line of garbage", `HELLO ${"x".repeat(50)}\r\n\r\n`],
    ["a status line of garbage that does not end", "220 smtp.example.com ESMTP"],
    ["bytes of another protocol", Buffer.from([0x15, 3, 1, 0, 2, 2, 70])],
    ["HTTP/2.0", `HTTP/2.0 200 OK\r\n${JSON_LINE}${LENGTH}\r\n${OK}`],
    ["a status of four digits", `HTTP/1.1 2000 OK\r\n${JSON_LINE}${LENGTH}\r\n${OK}`],
    [
      "HTTP/1.0 with chunks",
      `HTTP/1.0 200 OK\r\n${JSON_LINE}transfer-encoding: chunked\r\n\r\n${chunk(OK)}${chunk("")}`,
    ],
    [
      "a protocol that nobody asked for",
      "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    ],
    ["interim answers without an end", "HTTP/1.1 103 Early Hints\r\nx-a: 1\r\n\r\n".repeat(200)],
  ])("%s: 502 with the id, and its connection is given up", async (_what, bytes) => {
    const { client, server } = await behind(bytes);
    client.send(post(call(1)));
    const answer = await client.receiveResponse();
    expect(answer.status).toBe(502);
    expect(JSON.parse(answer.body)).toMatchObject({
      id: 1,
      error: { code: -32603, data: { code: "UPSTREAM_INVALID" } },
    });
    await expectNextUncorrupted(client, server);
  });

  test.each<[string, string, string]>([
    ["another answer", jsonAnswer(OK) + POISON, OK],
    [
      "another answer behind the last chunk",
      `HTTP/1.1 200 OK\r\n${JSON_LINE}transfer-encoding: chunked\r\n\r\n${chunk(OK)}${chunk("")}${POISON}`,
      OK,
    ],
    ["more than its length", `${jsonAnswer(OK)}}`, OK],
    ["a body of a 204", `HTTP/1.1 204 No Content\r\n\r\n${POISON}`, ""],
    ["a body of a 304", `HTTP/1.1 304 Not Modified\r\n\r\n${POISON}`, "-"],
  ])("what follows an answer is nobody's: %s", async (_what, bytes, body) => {
    const { client, server } = await behind(bytes);
    client.send(post(call(1)));
    const answer = await client.receiveResponse();
    // A 304 to a POST is none (RFC 9110 §15.4.5): it is refused like every redirect.
    if (body === "-") expect(answer.status).toBe(502);
    else expect(answer.body).toBe(body);
    expect(client.received).not.toContain("poison");
    await expectNextUncorrupted(client, server);
  });

  test("what comes later on an idle connection is nobody's either", async () => {
    const later = gate();
    const { client, server } = await behind(jsonAnswer(OK), later.promise);
    client.send(post(call(1)));
    expect((await client.receiveResponse()).body).toBe(OK);
    later.open();
    await expectNextUncorrupted(client, server);
  });

  test("a bad chunk size in the middle of a framed stream: the pending id gets an error, then a cut", async () => {
    const head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    const { client, server } = await behind(`${head}${chunk(": hello\n\n")}5;\n${POISON}`, undefined, [framing()]);
    client.send(post(call(1)));
    await within(client.ended, "the cut");
    expect(client.response()).toMatchObject({ status: 200, complete: false });
    expect(client.response().body).toMatch(
      /^: hello\n\ndata: \{"jsonrpc":"2\.0","id":1,"error":.*UPSTREAM_BROKE.*\n\n$/,
    );
    await expectNextUncorrupted(await use(rawClient(client.socket.remotePort!)), server);
  });

  /** The first connection says `bytes`, and poison once `later` is there; the others are in order. */
  async function behind(bytes: string | Buffer, later?: Promise<void>, plugins: unknown = [standard()]) {
    const server = await use(
      rawServer(async (connection) => {
        await connection.receiveRequest();
        if (connection.index === 0) {
          connection.send(bytes);
          await later?.then(() => connection.send(POISON));
          return;
        }
        connection.send(jsonAnswer('{"jsonrpc":"2.0","id":2,"result":{"clean":true}}'));
      }),
    );
    return { client: await use(rawClient((await use(front(server.url, plugins))).port)), server };
  }

  async function expectNextUncorrupted(client: Awaited<ReturnType<typeof rawClient>>, server: RawServer) {
    await within((await server.connection(0)).closed, "the proxy to give up the connection");
    client.send(post(call(2)));
    const next = await client.receiveResponse();
    expect([next.status, next.body]).toEqual([200, '{"jsonrpc":"2.0","id":2,"result":{"clean":true}}']);
    expect([server.requests, server.connections.length]).toEqual([2, 2]);
    expect(client.received).not.toContain("poison");
  }
});
