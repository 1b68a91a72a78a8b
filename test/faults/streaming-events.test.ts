import { createBrotliCompress, createDeflate, createGzip, constants, gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { type RawConnection, gate, rawClient, rawServer, within } from "../_harness/peers.ts";
import { framing, standard } from "../_harness/plugins.ts";
import { testScope } from "../_harness/scope.ts";
import { SSE_HEAD, call, chunk, front, plain, post } from "../_harness/wire.ts";

const use = testScope();
/** What the case allows between two writes, of the server and of the proxy; one event in ten may meet a busy machine. */
const PROMPT_MS = 50;
/** No single one may be later than this. */
const LATE_MS = 250;
/** The response: a stream that ended without one would be completed with an error where hooks read it. */
const LAST = 'data: {"jsonrpc":"2.0","id":1,"result":{}}\n\n';
const REQUESTS = [
  ["POST", post(call())],
  ["GET", plain("GET")],
] as const;
const STACKS = [
  ["the bare core", () => []],
  ["standard()", () => [standard()]],
  ["a hook that reads", () => [framing()]],
] as const;
const CODERS = {
  gzip: () => createGzip({ flush: constants.Z_SYNC_FLUSH }),
  deflate: () => createDeflate({ flush: constants.Z_SYNC_FLUSH }),
  br: () => createBrotliCompress({ flush: constants.BROTLI_OPERATION_FLUSH }),
};

/** Sends one event after the other, each when the client has the one before. @returns how long each took, in milliseconds, sorted */
async function steps(count: number, send: (event: string) => unknown, receive: (event: string) => Promise<unknown>) {
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const event = `data: {"jsonrpc":"2.0","method":"step","params":{"i":${i}}}\n\n`;
    const sentAt = performance.now();
    await send(event);
    await receive(event);
    times.push(performance.now() - sentAt);
  }
  return times.sort((a, b) => a - b);
}

function expectPrompt(times: readonly number[]): void {
  expect(times[Math.floor(times.length * 0.9) - 1]).toBeLessThan(PROMPT_MS);
  expect(times.at(-1)).toBeLessThan(LATE_MS);
}

/** A server that sends this head and hands its connection over. */
async function streamServer(head = SSE_HEAD) {
  return use(
    rawServer(async (connection) => {
      await connection.receiveRequest();
      connection.send(head);
    }),
  );
}

describe.each(STACKS)("ST-01 an event stream through %s", (_stack, plugins) => {
  test.each(REQUESTS)("%s: the head and each event arrive while the server holds back the next", async (_, request) => {
    const server = await streamServer();
    const client = await use(rawClient((await use(front(server.url, plugins()))).port));
    client.send(request);
    await client.receive(/\r\n\r\n/);
    expect(client.response()).toMatchObject({ status: 200, headers: { "content-type": "text/event-stream" } });
    expect(client.response().headers).not.toHaveProperty("content-length");
    const upstream = await server.connection();
    const times = await steps(
      10,
      (event) => upstream.send(chunk(event)),
      (event) => client.receive((pending) => pending.includes(event)),
    );
    expectPrompt(times);
    upstream.send(chunk(LAST) + chunk(""));
    await client.receive(/0\r\n\r\n$/);
    expect(client.response()).toMatchObject({ complete: true });
    expect(client.response().body.match(/"step"/g)).toHaveLength(10);
  });

  test.each(Object.keys(CODERS) as (keyof typeof CODERS)[])(
    "%s with a flush behind each event: they arrive as text, one by one, and no coding is left",
    async (coding) => {
      const server = await streamServer(
        SSE_HEAD.replace("\r\n\r\n", `\r\ncontent-encoding: ${coding}\r\netag: "coded"\r\n\r\n`),
      );
      const client = await use(rawClient((await use(front(server.url, plugins()))).port));
      client.send(post(call()));
      await client.receive(/\r\n\r\n/);
      const { send, end } = coded(coding, await server.connection());
      const times = await steps(10, send, (event) => client.receive((pending) => pending.includes(event)));
      expectPrompt(times);
      await send(LAST);
      await end();
      await client.receive(/0\r\n\r\n$/);
      const { headers, body, complete } = client.response();
      expect(headers).toMatchObject({ "content-type": "text/event-stream" });
      expect(headers).not.toHaveProperty("content-encoding");
      expect(headers).not.toHaveProperty("etag");
      expect(complete).toBe(true);
      expect(body.match(/"step"/g)).toHaveLength(10);
      expect(body.endsWith(LAST)).toBe(true);
    },
  );
});

/** Writes through a coder to a connection, in chunks, a flush after each piece. */
function coded(coding: keyof typeof CODERS, connection: RawConnection) {
  const coder = CODERS[coding]();
  coder.on("data", (bytes: Buffer) => {
    connection.send(Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from("\r\n")]));
  });
  return {
    send: (text: string) => new Promise<void>((resolve) => coder.write(text, () => resolve())),
    end: () =>
      new Promise<void>((resolve) => {
        coder.on("end", () => {
          connection.send(chunk(""));
          resolve();
        });
        coder.end();
      }),
  };
}

test("ST-01 codings that nobody asked for, ready-made: a JSON answer, an empty one, and identity by name", async () => {
  const text = '{"jsonrpc":"2.0","id":1,"result":{"text":"hé"}}';
  const body = gzipSync(text);
  const answers = [
    [`content-encoding: gzip\r\ncontent-length: ${body.length}`, body, text],
    ["content-encoding: x-gzip\r\ncontent-length: 0", Buffer.alloc(0), ""],
    ["content-encoding: identity\r\ncontent-length: 2", Buffer.from("{}"), "{}"],
  ] as const;
  let next = 0;
  const server = await use(
    rawServer(async (connection) => {
      for await (const _ of connection.requests()) {
        const [fields, bytes] = answers[next++]!;
        connection.send(`HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n${fields}\r\n\r\n`);
        connection.send(bytes);
      }
    }),
  );
  const client = await use(rawClient((await use(front(server.url))).port));
  for (const [, , wanted] of answers) {
    client.send(post(call()));
    const answer = await client.receiveResponse();
    expect(answer).toMatchObject({ status: 200, body: wanted });
    expect(answer.headers).not.toHaveProperty("content-encoding");
  }
});

test("ST-01 a coded stream that breaks gives what came before, its error, and a cut; one that lies is broken too", async () => {
  const event = 'data: {"jsonrpc":"2.0","method":"n"}\n\n';
  const whole = gzipSync(event.repeat(50));
  const faults: [Buffer, (connection: RawConnection) => void][] = [
    [whole, (connection) => connection.reset()],
    [whole.subarray(0, -12), (connection) => void connection.send(chunk(""))],
    [Buffer.from("this is no gzip"), (connection) => void connection.send(chunk(""))],
  ];
  for (const [bytes, fault] of faults) {
    const seen = gate();
    const server = await use(
      rawServer(async (connection) => {
        await connection.receiveRequest();
        connection.send(SSE_HEAD.replace("\r\n\r\n", "\r\ncontent-encoding: gzip\r\n\r\n"));
        connection.send(Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from("\r\n")]));
        await seen.promise;
        fault(connection);
      }),
    );
    const client = await use(rawClient((await use(front(server.url, [framing()]))).port));
    client.send(post(call()));
    await client.receive(bytes.length === whole.length ? /"method":"n"/ : /\r\n\r\n/);
    seen.open();
    await within(client.ended, "the cut");
    const { body, complete } = client.response();
    expect(complete).toBe(false);
    expect(body).toMatch(
      /^(?:data: \{"jsonrpc":"2\.0","method":"n"\}\n\n)*data: .*"id":1,"error".*UPSTREAM_BROKE.*\n\n$/,
    );
    if (bytes.length === whole.length) expect(body.startsWith(event.repeat(50))).toBe(true);
  }
});
