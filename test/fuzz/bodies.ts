/** Bodies of answers: event streams and JSON, valid and damaged. */
import { mutate } from "../core/json-texts.ts";
import type { Random } from "../core/random.ts";
import { type Posted, asideText, responseText } from "./messages.ts";

const OTHER_LINES = [
  ": comment",
  ":",
  ': {"jsonrpc":"2.0","id":7,"result":{}}',
  "retry: 100",
  "retry",
  "id: 1",
  "id",
  "id:",
  "id:x\0y",
  "event: message",
  "event:",
  "event",
  "event: ping",
  "event: endpoint",
  "foo: bar",
  "identity: 1",
  ":data: no",
  " data: no",
  "data : no",
];

/** An event stream that answers a request, as a rule. `undefined`: one that a GET opened. */
export function streamBody(rnd: Random, request: Posted | undefined): Buffer {
  const ends = rnd.pick([["\n"], ["\n"], ["\r\n"], ["\r"], ["\n", "\r\n", "\r"]]);
  const line = (text: string) => text + rnd.pick(ends);
  const none: Posted = request ?? { text: "", id: "0", method: "ping" };
  const texts = Array.from({ length: rnd.int(rnd.pick([1, 3, 8])) }, () => asideText(rnd, none));
  if (request?.id !== undefined && rnd.chance(0.8))
    texts.splice(rnd.int(texts.length + 1), 0, responseText(rnd, request));
  let stream = rnd.chance(0.1) ? "\uFEFF" : "";
  for (const text of texts) {
    const mark = rnd.chance(0.03) ? "\uFEFF" : "";
    const lines = text.split(/\r\n|\r|\n/).map((data, i) => `data:${rnd.pick(["", " "])}${i === 0 ? mark : ""}${data}`);
    while (rnd.chance(0.25)) lines.splice(rnd.int(lines.length + 1), 0, rnd.pick(OTHER_LINES));
    stream += lines.map(line).join("") + line("");
    while (rnd.chance(0.1)) stream += line("");
    if (rnd.chance(0.05)) stream += line(rnd.pick(OTHER_LINES)) + line("");
  }
  // Now and then the last blank line is missing, or more than that.
  if (rnd.chance(0.1)) stream = stream.replace(/[\r\n]+$/, rnd.pick(["", "\n", "\r"]));
  const bytes = Buffer.from(stream);
  if (rnd.chance(0.05) && bytes.length > 0) bytes[rnd.int(bytes.length)] = rnd.int(256);
  return bytes;
}

export function jsonBody(rnd: Random, request: Posted | undefined): Buffer {
  const text = responseText(rnd, request ?? { text: "", id: "0", method: "ping" });
  const way = rnd.int(12);
  if (way === 0) return Buffer.from(mutate(rnd, text));
  if (way === 1) return Buffer.from(`\uFEFF${text}`);
  if (way === 2) return Buffer.from(`[${text},${text}]`);
  if (way === 3) return Buffer.from(rnd.pick(["", "<html>", "null", "[]", "{}", '"\uD800"']));
  if (way === 4) return Buffer.from(text.replace("{", `{"pad":"${"x".repeat(rnd.int(100_000))}",`));
  return Buffer.from(text);
}
