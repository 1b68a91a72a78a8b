/** The event stream parser of WHATWG HTML §9.2.6, letter by letter, and a maker of random streams. */
import type { Message } from "../../core/types.ts";
import type { Random } from "./random.ts";

export interface ReferenceEvent {
  type: string;
  data: string;
  lastEventId: string;
}

/**
 * What a browser would dispatch.
 *
 * @param careless dispatches what follows the last blank line too, as some clients do
 */
export function readEvents(
  bytes: Uint8Array,
  { careless = false } = {},
): { events: ReferenceEvent[]; lastEventId: string } {
  // The decoder strips one byte order mark at the start, as the standard asks.
  const lines = new TextDecoder().decode(bytes).split(/\r\n|\n|\r/);
  const tail = lines.pop()!;
  if (careless) lines.push(tail, "");
  const events: ReferenceEvent[] = [];
  let [data, type, id, lastEventId] = ["", "", "", ""];
  for (const line of lines) {
    const colon = line.indexOf(":");
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (line === "") {
      lastEventId = id;
      if (data !== "") events.push({ type: type === "" ? "message" : type, data: data.slice(0, -1), lastEventId });
      [data, type] = ["", ""];
    } else if (field === "event") type = value;
    else if (field === "data") data += `${value}\n`;
    else if (field === "id" && !value.includes("\0")) id = value;
  }
  return { events, lastEventId };
}

/** The JSON-RPC messages among the events that clients take for such. */
export function messagesOf(events: readonly ReferenceEvent[]): Message[] {
  return events.filter(({ type }) => type === "message").flatMap(({ data }) => parsed(data));
}

export function parsed(data: string): Message[] {
  try {
    const json: unknown = JSON.parse(data);
    return [json].flat().filter((value) => typeof value === "object" && value !== null) as Message[];
  } catch {
    return [];
  }
}

const MESSAGES = [
  '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1}}',
  '{"jsonrpc":"2.0","\\u006dethod":"notifications/message"}',
  '{"jsonrpc":"2.0","id":7,"method":"sampling/createMessage"}',
  '{"jsonrpc":"2.0","\\u0069d":"r","\\u006dethod":"roots/list"}',
  '{"jsonrpc":"2.0","id":9007199254740993,"result":{"text":"é😀\u2028 \\"id\\""}}',
  '{"jsonrpc":"2.0","\\u0069d":3,"\\u0072esult":{}}',
  '{"jsonrpc":"2.0","id":4,"error":{"code":-1,"message":"no"}}',
  // 2025-11-25 lets an error stand without an id.
  '{"jsonrpc":"2.0","error":{"code":-1,"message":"no"}}',
  '[{"jsonrpc":"2.0","method":"notifications/a"},{"jsonrpc":"2.0","id":5,"result":{}}]',
  '{"jsonrpc": "2.0",\n "id": 6,\n "result": {}\n}',
  '{"some":"thing else"}',
  "not JSON at all",
];
const OTHERS = [
  ": comment",
  ":",
  "retry: 100",
  "id: 1",
  "id",
  "id:x",
  "event: message",
  "event:",
  "event",
  "event: ping",
  "event: endpoint",
  "foo: bar",
  "identity: 1",
  ":data: no",
];

/** Any stream that a server could send, as bytes. */
export function randomStream(rnd: Random): Buffer {
  const ends = rnd.pick([["\n"], ["\n"], ["\r\n"], ["\r"], ["\n", "\r\n", "\r"]]);
  const line = (text: string) => text + rnd.pick(ends);
  let stream = rnd.chance(0.2) ? "\uFEFF" : "";
  for (let n = rnd.int(8); n >= 0; n--) {
    const dataLines = rnd.chance(0.15) ? [] : rnd.pick(MESSAGES).split("\n");
    const lines = dataLines.map((data) => `data:${rnd.pick(["", " "])}${data}`);
    while (rnd.chance(0.4)) lines.splice(rnd.int(lines.length + 1), 0, rnd.pick(OTHERS));
    stream += lines.map(line).join("") + line("");
    while (rnd.chance(0.15)) stream += line("");
  }
  // Now and then the last blank line is missing, or more than that.
  return Buffer.from(rnd.chance(0.3) ? stream.replace(/[\r\n]+$/, rnd.pick(["", "\n", "\r"])) : stream);
}

/** The same bytes in pieces of any size, empty ones and cuts inside of a character among them. */
export function randomChunks(rnd: Random, bytes: Buffer): Buffer[] {
  const most = rnd.pick([1, 2, 5, 50, 500, 10_000]);
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const size = rnd.chance(0.05) ? 0 : 1 + rnd.int(most);
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
}
