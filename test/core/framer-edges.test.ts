import { describe, expect, test } from "vitest";
import { collect, sse } from "../../core/body/body.ts";
import { SseFramer } from "../../core/body/framer.ts";
import { MessageReader, type ShowMessage } from "../../core/body/reader.ts";
import type { Frame } from "../../core/types.ts";
import { readEvents } from "./sse-reference.ts";

const ALL = { request: true, notification: true, response: true };
const event = (length: number) => {
  const frame = (text: string) => `data: {"jsonrpc":"2.0","id":1,"result":"${text}"}\n\n`;
  return frame("x".repeat(length - frame("").length));
};

/** Writes chunks to a framer of its own. `out` has what it let through before it failed. */
function write(
  chunks: readonly string[],
  { limit = 1e6, show = () => undefined }: { limit?: number; show?: ShowMessage } = {},
) {
  const framer = new SseFramer(new MessageReader(ALL, show), limit);
  const result = { framer, out: "", error: undefined as unknown };
  try {
    for (const chunk of chunks)
      void framer.write(Buffer.from(chunk), (bytes) => (result.out += Buffer.from(bytes).toString()));
    void framer.end((bytes) => (result.out += Buffer.from(bytes).toString()));
  } catch (error) {
    result.error = error;
  }
  return result;
}
const cuts: [string, (text: string) => string[]][] = [
  ["one chunk", (text) => [text]],
  ["two chunks", (text) => [text.slice(0, 90), text.slice(90)]],
  ["single bytes", (text) => [...text]],
];

describe.each(cuts)("the limit for one event, in %s", (_, cut) => {
  test("lets an event of that size pass", () => {
    expect(write(cut(event(100)), { limit: 100 })).toMatchObject({ out: event(100), error: undefined });
  });

  test("fails one byte more, and what stood before it is out", () => {
    const { out, error } = write(cut(event(80) + event(101)), { limit: 100 });
    expect(error).toMatchObject({ code: "UPSTREAM_TOO_LARGE" });
    expect(out).toBe(event(80));
  });

  test("fails a line that never ends", () => {
    expect(write(cut(`data: ${"x".repeat(100)}`), { limit: 100 }).error).toMatchObject({ code: "UPSTREAM_TOO_LARGE" });
  });
});

describe("a message that no hook may let pass", () => {
  test.each(cuts)("takes nothing with it that came before, in %s", (_, cut) => {
    const { out, error } = write(cut(`: hello\n\n${event(80)}data: {"id" broken\n\n${event(90)}`));
    expect(error).toMatchObject({ code: "UPSTREAM_INVALID" });
    expect(out).toBe(`: hello\n\n${event(80)}`);
  });

  test("that is a response is none for the client: it still needs an answer", () => {
    const reader = new MessageReader(ALL, () => {
      throw new Error("the hook failed");
    });
    expect(() => reader.read('{"jsonrpc":"2.0","id":1,"result":{}}')).toThrow("the hook failed");
    expect(reader.responded).toBe(false);
  });

  test("that is a response stays none when the hook fails later", async () => {
    const reader = new MessageReader(ALL, () => Promise.reject(new Error("the hook failed")));
    await expect(reader.read('{"jsonrpc":"2.0","id":1,"result":{}}')).rejects.toThrow("the hook failed");
    expect(reader.responded).toBe(false);
  });
});

describe("a stream that can be resumed", () => {
  test.each([
    ["LF", "data: a\nid: 1\n\n"],
    ["CRLF", "data: a\r\nid: 1\r\n\r\n"],
    ["CR", "data: a\rid: 1\r\r"],
    ["an id first", "id: 1\ndata:\n\n"],
    ["an id after a byte order mark", "\uFEFFid: 1\ndata:\n\n"],
  ])("is known by its ids: %s", (_, text) => {
    expect(write([text]).framer.resumable).toBe(true);
    expect(write([...text]).framer.resumable).toBe(true);
  });

  test("is not taken for one because a message speaks of ids", () => {
    expect(write(['data: {"id":1,"result":"\\nid: 1"}\n\n']).framer.resumable).toBe(false);
  });
});

test("holding a large event with CRLF in small pieces takes linear time", () => {
  const time = (kilobytes: number): number => {
    const piece = Buffer.from("x".repeat(64));
    const framer = new SseFramer(new MessageReader(ALL, () => undefined), 1e9);
    const from = performance.now();
    void framer.write(Buffer.from("data: \r\n"), () => {});
    for (let i = 0; i < kilobytes * 16; i++) void framer.write(piece, () => {});
    return performance.now() - from;
  };
  time(100);
  // Looking at all of it again with every piece took seconds.
  expect(time(2000)).toBeLessThan(200);
});

describe("frames that a plugin writes", () => {
  const written = async (frame: Frame): Promise<Buffer> => {
    async function* frames(): AsyncGenerator<Frame> {
      yield frame;
    }
    return Buffer.from(await collect(sse(frames())));
  };
  const message = { jsonrpc: "2.0", method: "m", params: { text: "a\nb\rc\0d\u2028e\u2029f\r\n\r\ndata: x" } } as const;

  test.each(["\n", "\r", "\r\n", "\n\n", "\0", "\u2028", "\ndata: {}\n\n", "\r\revent: x\r\r"])(
    "make one event with %j in every field",
    async (bad) => {
      const bytes = await written({ id: `7${bad}`, comment: `c${bad}data: no`, retry: 5, message });
      const { events } = readEvents(bytes);
      expect(events).toHaveLength(1);
      expect(JSON.parse(events[0]!.data)).toEqual(message);
      expect(events[0]!.lastEventId).toBe(`7${bad.replace(/[\r\n\0]/g, "")}`);
    },
  );

  test.each(["\n", "\r\n\r\n", "\0", "\rdata: x\r\r"])("keep %j inside the event type", async (bad) => {
    const { events } = readEvents(await written({ event: `up${bad}date`, message }));
    expect(events).toMatchObject([{ type: `up${bad.replace(/[\r\n\0]/g, "")}date`, data: JSON.stringify(message) }]);
  });

  test("with a comment only dispatch nothing", async () => {
    expect(readEvents(await written({ comment: "a\r\ndata: b\n\ndata: c" })).events).toEqual([]);
  });

  test.each([
    [-1, "0"],
    [1.9, "1"],
    [Number.NaN, undefined],
    [Number.POSITIVE_INFINITY, undefined],
  ])("write retry %d as %s", async (retry, expected) => {
    expect(/^retry: (.*)$/m.exec((await written({ retry, message })).toString())?.[1]).toBe(expected);
  });
});
