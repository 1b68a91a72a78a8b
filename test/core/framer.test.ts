import { describe, expect, test } from "vitest";
import { SseFramer } from "../../core/body/framer.ts";
import { kindOf } from "../../core/body/message.ts";
import { MessageReader, type ShowMessage } from "../../core/body/reader.ts";
import type { Kind, Message } from "../../core/types.ts";
import { type Random, random, withSeeds, withSeedsAsync } from "./random.ts";
import { messagesOf, parsed, randomChunks, randomStream, readEvents } from "./sse-reference.ts";

type Wants = Record<Kind, boolean>;
const ALL: Wants = { request: true, notification: true, response: true };
const wantsOf = (rnd: Random): Wants => ({
  request: rnd.chance(0.6),
  notification: rnd.chance(0.6),
  response: rnd.chance(0.6),
});

/** Everything a framer lets out. */
function run(chunks: readonly Uint8Array[], show: ShowMessage, wants = ALL, limit = 1e6): Buffer {
  const framer = new SseFramer(new MessageReader(wants, show), limit);
  const out: Uint8Array[] = [];
  for (const chunk of chunks) void framer.write(chunk, (bytes) => out.push(bytes));
  void framer.end((bytes) => out.push(bytes));
  return Buffer.concat(out);
}

/** The same with waits, one write after the other as the pipe does it. */
async function runAsync(chunks: readonly Uint8Array[], show: ShowMessage, wants = ALL): Promise<Buffer> {
  const framer = new SseFramer(new MessageReader(wants, show), 1e6);
  const out: Uint8Array[] = [];
  for (const chunk of chunks) await framer.write(chunk, (bytes) => out.push(bytes));
  await framer.end((bytes) => out.push(bytes));
  return Buffer.concat(out);
}

/** A stream that a reader of messages can take: one with a broken message is refused, and tested elsewhere. */
function stream(rnd: Random): Buffer {
  for (;;) {
    const bytes = randomStream(rnd);
    if (
      readEvents(bytes, { careless: true }).events.every(
        ({ data, type }) => type !== "message" || !data.includes('"') || parsed(data).length > 0,
      )
    )
      return bytes;
  }
}

/** A hook that drops some messages, changes some, doubles some. Decides by what the message says, so it can run again. */
function change(message: Message): Message[] | undefined {
  const mark = { ...message, seen: true } as Message;
  if (message.id === 4) return [];
  if (message.id === 7) return [mark, { jsonrpc: "2.0", method: "added" }];
  return kindOf(message) === "notification" || message.id === 5 || message.id === "r" ? [mark] : undefined;
}

/** What a client should get: each message of the input that is wanted, changed. */
function expected(bytes: Buffer, wants: Wants): unknown[] {
  return messagesOf(readEvents(bytes, { careless: true }).events).flatMap((message) => {
    const kind = kindOf(message);
    return (kind && wants[kind] && change(message)) || [message];
  });
}

describe("a random stream in random chunks", () => {
  test("passes byte for byte when no hook changes anything", () => {
    withSeeds(3000, (rnd) => {
      const bytes = stream(rnd);
      const out = run(randomChunks(rnd, bytes), () => undefined, wantsOf(rnd));
      expect(out.toString("latin1")).toBe(bytes.toString("latin1"));
    });
  });

  test("is shown to hooks as a client reads it: every wanted message, once, in order", () => {
    withSeeds(3000, (rnd) => {
      const bytes = stream(rnd);
      const wants = wantsOf(rnd);
      const shown: Message[] = [];
      run(randomChunks(rnd, bytes), (message) => void shown.push(message), wants);
      const read = messagesOf(readEvents(bytes, { careless: true }).events);
      expect(shown).toEqual(read.filter((message) => wants[kindOf(message)!]));
    });
  });

  test("reads for a client as the hooks left it, with the last event id that the server gave", () => {
    withSeeds(3000, (rnd) => {
      const bytes = stream(rnd);
      const wants = wantsOf(rnd);
      const out = run(randomChunks(rnd, bytes), change, wants);
      const after = readEvents(out, { careless: true });
      expect(messagesOf(after.events)).toEqual(expected(bytes, wants));
      const before = readEvents(bytes, { careless: true });
      expect(after.lastEventId).toBe(before.lastEventId);
      const others = (events: typeof before.events) => events.filter(({ type }) => type !== "message");
      expect(others(after.events)).toEqual(others(before.events));
    });
  });

  test("keeps its order when hooks take their time, each its own", async () => {
    await withSeedsAsync(300, async (rnd) => {
      const bytes = stream(rnd);
      const wants = wantsOf(rnd);
      const pace = random(rnd.int(1e6));
      const out = await runAsync(
        randomChunks(rnd, bytes),
        async (message) => {
          for (let turns = pace.int(4); turns > 0; turns--) await Promise.resolve();
          return change(message);
        },
        wants,
      );
      expect(messagesOf(readEvents(out, { careless: true }).events)).toEqual(expected(bytes, wants));
    });
  });
});

const response = '{"jsonrpc":"2.0","id":1,"result":{}}';

describe("what a client takes for a message is shown", () => {
  test.each([
    ["with an empty event type", `event:\ndata: ${response}\n\n`],
    ["with an event field that has no colon", `event: ping\nevent\ndata: ${response}\n\n`],
    ["whose last event type is message", `event: ping\nevent: message\ndata: ${response}\n\n`],
    ["after a byte order mark", `\uFEFFdata: ${response}\n\n`],
    ["without a blank line behind it", `data: ${response}`],
    ["an error without an id", 'data: {"jsonrpc":"2.0","error":{"code":1,"message":""}}\n\n'],
  ])("one %s", (_, text) => {
    const shown: Message[] = [];
    run([Buffer.from(text)], (message) => void shown.push(message));
    expect(shown).toHaveLength(1);
  });

  test("and one of another type is not, nor one behind a byte order mark inside the stream", () => {
    const shown: Message[] = [];
    run(
      [Buffer.from(`event: endpoint\ndata: ${response}\n\n\uFEFFdata: ${response}\n\n`)],
      (message) => void shown.push(message),
    );
    expect(shown).toEqual([]);
  });

  test("a changed message keeps an id that a number cannot hold", () => {
    const out = run([Buffer.from('data: {"jsonrpc":"2.0","id":9007199254740993,"result":{}}\n\n')], (message) => [
      { ...message, result: { a: 1 } },
    ]);
    // The hook made a new object, so the text of the old one is not known: documented, and why hooks change in place.
    expect(out.toString()).toContain('"result":{"a":1}');
    const inPlace = run([Buffer.from('data: {"jsonrpc":"2.0","id":9007199254740993,"result":{}}\n\n')], (message) => {
      message.result = { a: 1 };
      return [message];
    });
    expect(inPlace.toString()).toBe('data: {"jsonrpc":"2.0","id":9007199254740993,"result":{"a":1}}\n\n');
  });
});
