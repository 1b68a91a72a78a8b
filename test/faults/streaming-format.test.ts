import { describe, expect, test } from "vitest";
import { type RawClient, rawClient, rawServer } from "../_harness/peers.ts";
import { framing, onMessage, standard, streaming } from "../_harness/plugins.ts";
import { testScope } from "../_harness/scope.ts";
import { SSE_HEAD, front, plain } from "../_harness/wire.ts";
import { random } from "../core/random.ts";
import { messagesOf, randomStream, readEvents } from "../core/sse-reference.ts";

const use = testScope();
const SEEDS = 60;
const NOTE = '{"jsonrpc":"2.0","method":"n","params":{"text":"é😀\u2028"}}';

/** What the event stream format allows and few servers write. */
const CORPUS: readonly [string, string][] = [
  ["LF", `data: ${NOTE}\n\ndata: ${NOTE}\n\n`],
  ["CR", `data: ${NOTE}\r\rdata: ${NOTE}\r\r`],
  ["CRLF", `data: ${NOTE}\r\n\r\ndata: ${NOTE}\r\n\r\n`],
  ["every line end in one event", `event: message\rdata: ${NOTE}\r\nid: 1\n\r\n`],
  ["a byte order mark", `\uFEFFdata: ${NOTE}\n\n`],
  ["a byte order mark that is not at the start", `data: ${NOTE}\n\n\uFEFFdata: ${NOTE}\n\n`],
  ["several data lines", 'data: {"jsonrpc":"2.0",\ndata: "method":\ndata:"n"}\n\n'],
  ["data lines with an empty one", 'data: {"jsonrpc":"2.0",\ndata\ndata: "method":"n"}\n\n'],
  ["no colon", `data\n\ndata: ${NOTE}\nid\n\n`],
  ["no space, two spaces", `data:${NOTE}\n\ndata:  ${NOTE}\n\n`],
  ["a comment inside of an event", `event: message\n: comment\ndata: ${NOTE}\n:\n\n`],
  ["only comments", ": a\n\n:\n\n"],
  ["no blank line at the end", `data: ${NOTE}\n\ndata: ${NOTE}`],
  ["no line end at all", `data: ${NOTE}`],
  ["other types", `event: ping\ndata: ${NOTE}\n\nevent: endpoint\ndata: /messages\n\nevent\ndata: ${NOTE}\n\n`],
  ["ids, retry and unknown fields", `id: 1\nretry: 10\nfoo: bar\ndata: ${NOTE}\n\nid: a\0b\ndata: ${NOTE}\n\n`],
  ["data that is no JSON", "data: hello\n\ndata: 1\n\n"],
  ["blank lines", `\n\n\r\n\r\rdata: ${NOTE}\n\n\n\n`],
  ["nothing", ""],
];
/** A stream that hooks can read: one with a message that is no JSON is cut where they look. */
const SEEDED = Array.from({ length: SEEDS }, (_, i): [string, Buffer] => [
  `seed ${i + 1}`,
  randomStream(random(i + 1)),
]);
const ALL: readonly [string, Buffer][] = [
  ...CORPUS.map(([name, text]): [string, Buffer] => [name, Buffer.from(text)]),
  ...SEEDED.filter(([, bytes]) => !bytes.includes("not JSON")),
];

const CUTS = ["whole", "in single bytes"] as const;

/** Answers each request with the stream that its `x-case` names, in pieces that are written in turns of their own. */
async function corpusServer(pieces: (bytes: Buffer) => Buffer[]) {
  return use(
    rawServer(async (connection) => {
      for await (const { headers } of connection.requests()) {
        connection.send(SSE_HEAD);
        for (const piece of pieces(ALL[Number(headers["x-case"])]![1])) {
          connection.send(Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from("\r\n")]));
          await new Promise((resolve) => setImmediate(resolve));
        }
        connection.send("0\r\n\r\n");
      }
    }),
  );
}

/** The body that a client gets of each stream of the corpus. */
async function bodies(port: number): Promise<Buffer[]> {
  const client: RawClient = await use(rawClient(port));
  const got: Buffer[] = [];
  for (let i = 0; i < ALL.length; i++) {
    client.send(plain("GET", "/mcp", `x-case: ${i}\r\n`));
    const answer = await client.receiveResponse();
    expect(answer).toMatchObject({ status: 200, complete: true });
    got.push(answer.bytes);
  }
  return got;
}

describe.each(CUTS)("ST-09 streams of every shape, %s,", (cut) => {
  const pieces = (bytes: Buffer) =>
    cut === "whole" ? (bytes.length > 0 ? [bytes] : []) : Array.from(bytes, (_, i) => bytes.subarray(i, i + 1));

  test("pass the bare core byte for byte", async () => {
    const got = await bodies((await use(front((await corpusServer(pieces)).url))).port);
    const wrong = ALL.filter(([, bytes], i) => !got[i]!.equals(bytes)).map(([name]) => name);
    expect(wrong).toEqual([]);
  });

  test.each([
    ["a hook that reads and changes nothing", () => [framing()]],
    ["standard()", () => [standard()]],
  ])("read the same behind %s, and are the same bytes but for an end that was missing", async (_, plugins) => {
    const got = await bodies((await use(front((await corpusServer(pieces)).url, plugins()))).port);
    for (const [i, [name, bytes]] of ALL.entries()) {
      const read = (stream: Buffer) => readEvents(stream, { careless: true });
      expect({ name, ...read(got[i]!) }).toEqual({ name, ...read(bytes) });
      expect({ name, begins: got[i]!.subarray(0, bytes.length).equals(bytes) }).toEqual({ name, begins: true });
      expect(got[i]!.subarray(bytes.length).toString()).toMatch(/^[\r\n]*$/);
    }
  });

  test("read, behind a hook that changes every notification, as a browser reads what was sent", async () => {
    const changing = onMessage("down", "notification", { change: { params: { changed: true } } });
    const got = await bodies((await use(front((await corpusServer(pieces)).url, [changing]))).port);
    for (const [i, [name, bytes]] of ALL.entries()) {
      // What follows the last blank line is no event, but some clients dispatch it.
      const before = readEvents(bytes, { careless: true });
      const after = readEvents(got[i]!, { careless: true });
      const wanted = messagesOf(before.events).map((message) =>
        message.method !== undefined && message.id === undefined ? { ...message, params: { changed: true } } : message,
      );
      expect({ name, messages: messagesOf(after.events), id: after.lastEventId }).toEqual({
        name,
        messages: wanted,
        id: before.lastEventId,
      });
      const others = (events: typeof before.events) => events.filter(({ type }) => type !== "message");
      expect({ name, others: others(after.events) }).toEqual({ name, others: others(before.events) });
    }
  });
});

describe("ST-10 characters that end lines elsewhere", () => {
  const BAD = ["\n", "\r", "\r\n", "\n\n", "\0", "\u2028", "\u2029", "\u0085", "\ndata: {}\n\n", "\r\revent: x\r\r"];
  const clean = (text: string) => text.replace(/[\r\n\0]/g, "");

  async function answerOf(port: number): Promise<Buffer> {
    const client = await use(rawClient(port));
    client.send(plain("GET"));
    return (await client.receiveResponse()).bytes;
  }

  test.each(BAD)("%j in every field of a frame that a plugin writes: one event, the same payload", async (bad) => {
    const message = { jsonrpc: "2.0", method: "m", params: { text: `a${bad}b` } } as const;
    const server = await use(rawServer());
    const plugin = streaming({ id: `7${bad}`, event: `up${bad}date`, comment: `c${bad}data: no`, retry: 5, message });
    const { events } = readEvents(await answerOf((await use(front(server.url, [plugin]))).port));
    expect(events).toEqual([
      { type: `up${clean(bad)}date`, data: JSON.stringify(message), lastEventId: `7${clean(bad)}` },
    ]);
  });

  test.each(["\u2028", "\u2029", "\u0085", "\0"])(
    "%j in the fields and the data of an event that a hook changes: one event, nothing but the change",
    async (bad) => {
      const text = `: c${bad}\nid: 7${bad}\nevent: message\ndata: {"jsonrpc":"2.0","id":1,"method":"m","params":{"text":${JSON.stringify(`a${bad}\r\n\n\rb`)}}}\n\n`;
      const server = await use(
        rawServer(async (connection) => {
          await connection.receiveRequest();
          connection.send(
            `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
          );
        }),
      );
      const changing = onMessage("down", "request", { change: { method: "changed" } });
      const { events, lastEventId } = readEvents(await answerOf((await use(front(server.url, [changing]))).port));
      expect(events).toHaveLength(1);
      expect(JSON.parse(events[0]!.data)).toEqual({
        jsonrpc: "2.0",
        id: 1,
        method: "changed",
        params: { text: `a${bad}\r\n\n\rb` },
      });
      expect(lastEventId).toBe(readEvents(Buffer.from(text)).lastEventId);
    },
  );
});
