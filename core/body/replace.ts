/** Texts in a body replaced by others while it flows: what a session-less call's ids are put back with. */
import type { Body } from "../types.ts";
import { type AnyBody, BytesBody, type Source, StreamBody } from "./body.ts";
import { asBuffer, joinChunks } from "./sse.ts";

/** A text and what stands in its place. */
export interface Replacement {
  /** ASCII. */
  readonly from: string;
  readonly to: string;
}

const EMPTY = new Uint8Array();

/** The same body with texts replaced. Holds back no byte that cannot be the beginning of one. */
export function replaceTexts(body: Body, replacements: readonly Replacement[]): Body {
  const any = body as AnyBody;
  if (any.kind === "empty" || replacements.length === 0) return body;
  if (any.kind === "bytes") return new BytesBody(replaceAll(any.bytes, replacements));
  return new StreamBody(replaced(any.source, replacements));
}

function replaced(source: Source, replacements: readonly Replacement[]): Source {
  let held: Uint8Array = EMPTY;
  return {
    start: (receiver) =>
      source.start({
        data(chunk) {
          const bytes = held.length > 0 ? joinChunks([held, chunk]) : chunk;
          const end = bytes.length - openTail(bytes, replacements);
          held = bytes.subarray(end);
          if (end > 0) receiver.data(replaceAll(bytes.subarray(0, end), replacements));
        },
        end() {
          if (held.length > 0) receiver.data(held);
          receiver.end();
        },
        fail: (error) => receiver.fail(error),
      }),
    pause: () => source.pause(),
    resume: () => source.resume(),
    abort: () => source.abort(),
    whole() {
      const bytes = source.whole?.();
      return bytes && replaceAll(bytes, replacements);
    },
  };
}

function replaceAll(bytes: Uint8Array, replacements: readonly Replacement[]): Uint8Array {
  return replacements.reduce(replaceOne, bytes);
}

function replaceOne(bytes: Uint8Array, { from, to }: Replacement): Uint8Array {
  const buffer = asBuffer(bytes);
  let hit = buffer.indexOf(from, 0, "latin1");
  if (hit === -1) return bytes;
  const pieces: Uint8Array[] = [];
  const put = Buffer.from(to);
  let at = 0;
  for (; hit !== -1; hit = buffer.indexOf(from, at, "latin1")) {
    pieces.push(buffer.subarray(at, hit), put);
    at = hit + from.length;
  }
  pieces.push(buffer.subarray(at));
  return joinChunks(pieces);
}

/** How many bytes at the end may be the beginning of a text. */
function openTail(bytes: Uint8Array, replacements: readonly Replacement[]): number {
  const buffer = asBuffer(bytes);
  let longest = 0;
  for (const { from } of replacements) {
    const tail = buffer.toString("latin1", Math.max(0, buffer.length - from.length + 1));
    // A text that is no beginning may still end with one.
    for (let at = tail.indexOf(from[0]!); at !== -1; at = tail.indexOf(from[0]!, at + 1))
      if (from.startsWith(tail.slice(at))) longest = Math.max(longest, tail.length - at);
  }
  return longest;
}
