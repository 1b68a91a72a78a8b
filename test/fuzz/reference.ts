/**
 * What should arrive, from what was sent: the event stream parser of WHATWG HTML and `JSON.parse`, and nothing of the code
 * that is tested.
 */
import { refusedOnPurpose } from "../core/json-texts.ts";
import { type ReferenceEvent, readEvents } from "../core/sse-reference.ts";
import type { Message } from "../../core/types.ts";

/** What a client is told: a message, or an event that is none. */
export interface Item {
  /** Of an event stream. */
  event?: ReferenceEvent;
  /** The event's data, or the whole of a JSON body. */
  text: string;
  message?: Message;
  kind?: "request" | "notification" | "response";
  /** The id as written; `undefined` where there is none, or where it stands in a batch. */
  id?: string;
  /** It is not JSON, or could be read as two things: a proxy that must read it gives up here, one that need not passes it on. */
  broken: boolean;
  /** Two parsers could read it in two ways: what hooks saw is written anew. */
  ambiguous: boolean;
}

/** @param careless the last event counts although it does not end */
export function itemsOfStream(bytes: Buffer, careless: boolean): Item[] {
  return readEvents(bytes, { careless }).events.flatMap((event) =>
    event.type === "message"
      ? itemsOf(event.data, event)
      : [{ event, text: event.data, broken: false, ambiguous: false }],
  );
}

/** @param text one JSON text */
export function itemsOf(text: string, event?: ReferenceEvent): Item[] {
  const bare = text.replace(/^\uFEFF/, "");
  const base = { event, text, broken: false, ambiguous: bare !== text };
  let json: unknown;
  try {
    json = JSON.parse(bare);
  } catch {
    return [{ ...base, broken: true }];
  }
  if (Array.isArray(json)) {
    const parts = json.map((one) => itemOf(one, { ...base, text: JSON.stringify(one), ambiguous: true }));
    // Of a batch with one broken message nothing passes.
    return parts.some(({ broken }) => broken) ? [{ ...base, broken: true }] : parts;
  }
  const item = itemOf(json, base);
  if (item.message) item.id = idOf(bare);
  if (item.kind) item.ambiguous ||= refusedOnPurpose(bare);
  return [item];
}

function itemOf(json: unknown, base: Omit<Item, "message">): Item {
  if (typeof json !== "object" || json === null || Array.isArray(json)) return { ...base };
  // A key of the envelope in another case is what some clients read, and no hook has seen.
  if (Object.keys(json).some((key) => !ENVELOPE.has(key) && ENVELOPE.has(key.toLowerCase())))
    return { ...base, broken: true };
  const message = json as Message;
  const answers = message.result !== undefined || message.error !== undefined;
  if (message.method === undefined) return answers ? { ...base, message, kind: "response" } : { ...base, message };
  if (answers || typeof message.method !== "string") return { ...base, message, broken: answers };
  return { ...base, message, kind: message.id === undefined ? "notification" : "request" };
}

const ENVELOPE = new Set(["jsonrpc", "id", "method", "params", "result", "error"]);

/** The source text of the member `id` of an object: the last one, as `JSON.parse` takes it. */
export function idOf(text: string): string | undefined {
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[{}[\]:,]|[^\s{}[\]:,"]+/g) ?? [];
  let depth = 0;
  let found: string | undefined;
  for (const [i, token] of tokens.entries()) {
    if (token === "{" || token === "[") depth++;
    else if (token === "}" || token === "]") depth--;
    else if (depth === 1 && token.startsWith('"') && tokens[i + 1] === ":" && JSON.parse(token) === "id")
      found = tokens[i + 2];
  }
  return found;
}
