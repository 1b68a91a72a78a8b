/** JSON texts for the body scanner, and what it refuses on purpose although `JSON.parse` takes it. */
import type { Random } from "./random.ts";

const SPACE = ["", "", "", " ", "\n", "\t", "\r\n "];
const NUMBERS = ["0", "-0", "1", "1.5", "-12", "9007199254740993", "1e3", "2E-2", "1e999", "0.0"];
const STRINGS = [
  "",
  "a",
  "id",
  "method",
  "\\n",
  '\\"',
  "\\u0041",
  "\\ud83d\\ude00",
  "\\ud800",
  "é",
  "😀",
  "\u2028",
  "\\/",
  "__proto__",
];

/** JSON source text of any value. */
export function valueText(rnd: Random, depth = 0): string {
  const space = () => rnd.pick(SPACE);
  const kind = rnd.int(depth > 4 ? 3 : 6);
  if (kind === 0) return rnd.pick(NUMBERS);
  if (kind === 1) return `"${rnd.pick(STRINGS)}${rnd.pick(STRINGS)}"`;
  if (kind === 2) return rnd.pick(["true", "false", "null"]);
  const size = rnd.chance(0.05) ? 40 : rnd.int(4);
  const many = Array.from({ length: size }, (_, i) => i);
  if (kind === 3) return `[${space()}${many.map(() => valueText(rnd, depth + 1) + space()).join(`,${space()}`)}]`;
  // Numbered, so that a key stands twice only where a mutation wants it.
  return `{${space()}${many.map((i) => `"${rnd.pick(STRINGS)}${i}"${space()}:${space()}${valueText(rnd, depth + 1)}`).join(`${space()},${space()}`)}${space()}}`;
}

/** JSON source text of a valid message. */
export function messageText(rnd: Random): string {
  const id = `"id":${rnd.pick([...NUMBERS, '"a"', '"\\u0061\\n"', '""'])}`;
  const method = `"method":"${rnd.pick(["tools/call", "ping", "notifications/progress", "\\u0070ing", "é"])}"`;
  const error = `"error":{"code":-32601,"message":"no"}`;
  const members = rnd.pick([
    [id, method],
    [id, method, `"params":${valueText(rnd)}`],
    [method, `"params":${valueText(rnd)}`],
    [id, `"result":${valueText(rnd)}`],
    [id, error],
    ['"id":null', error],
    [error],
  ]);
  const all = [...members, '"jsonrpc":"2.0"', ...(rnd.chance(0.3) ? [`"extra":${valueText(rnd)}`] : [])];
  all.sort(() => rnd.int(3) - 1);
  return `${rnd.pick(SPACE)}{${all.map((member) => rnd.pick(SPACE) + member + rnd.pick(SPACE)).join(",")}}${rnd.pick(SPACE)}`;
}

const BITS = [
  '"',
  "\\",
  "{",
  "}",
  "[",
  "]",
  ":",
  ",",
  "0",
  "-",
  ".",
  "e",
  "\0",
  "\n",
  "\u00A0",
  "\uFEFF",
  "null",
  '"id":1,',
  '"jsonrpc":"1.0",',
  '"ID":2,',
  "\\u00",
  "tru",
  "//",
];

/** A text with something cut off, taken out, doubled or put in. */
export function mutate(rnd: Random, text: string): string {
  const at = rnd.int(text.length + 1);
  const to = at + rnd.int(6);
  const way = rnd.int(5);
  if (way === 0) return text.slice(0, at);
  if (way === 1) return text.slice(0, at) + text.slice(to);
  if (way === 2) return text.slice(0, to) + text.slice(at);
  if (way === 3) return text.slice(0, at) + rnd.pick(BITS) + text.slice(at);
  return text.slice(0, at) + rnd.pick(BITS) + text.slice(to);
}

const ENVELOPE = ["jsonrpc", "id", "method", "params", "result", "error"];
const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\]:,]|[^\s{}[\]:,"]+/g;

/** Whether a text that `JSON.parse` takes has to be refused, found in the plainest way there is. */
export function refusedOnPurpose(text: string): boolean {
  const message = JSON.parse(text) as Record<string, unknown>;
  if (typeof message !== "object" || message === null || Array.isArray(message)) return true;
  const open: (Set<string> | "array")[] = [];
  const tokens = text.match(TOKEN)!;
  for (const [i, token] of tokens.entries()) {
    if (token === "}" || token === "]") open.pop();
    if (token === "{") open.push(new Set());
    if (token === "[") open.push("array");
    if (open.length > 128) return true;
    const keys = open.at(-1);
    if (!(keys instanceof Set) || tokens[i + 1] !== ":") continue;
    const name = JSON.parse(token) as string;
    const key = open.length <= 2 ? name.toLowerCase() : name;
    if (keys.has(key)) return true;
    keys.add(key);
    if (open.length > 1) continue;
    if (key !== name && ENVELOPE.includes(key)) return true;
    if (key === "jsonrpc" && tokens[i + 2] !== '"2.0"') return true;
  }
  const { jsonrpc, id, method, result, error } = message;
  if (jsonrpc !== "2.0" || (id !== undefined && id !== null && typeof id !== "string" && typeof id !== "number"))
    return true;
  if (method === undefined)
    return (result === undefined) === (error === undefined) || (result !== undefined && id === undefined);
  return typeof method !== "string" || method === "" || id === null || result !== undefined || error !== undefined;
}
