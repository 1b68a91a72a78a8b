/** The event stream format (WHATWG HTML §9.2.5–9.2.6): where events end, what one says, how one is written. */
import type { Frame } from "../types.ts";
import { writeMessage } from "./message.ts";

const LF = 0x0a;
const CR = 0x0d;

/** A `Buffer` over the same memory: its `indexOf` is native, which is what makes framing affordable. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Joins chunks; one chunk is returned as it is. */
export function joinChunks(chunks: readonly Uint8Array[]): Uint8Array {
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
}

/**
 * The offset behind the first event that ends at or after `from`, for any mix of LF, CR and CRLF; -1 when none ends.
 * A CRLF that is split between two chunks leaves its LF to the next event, as an empty line that means nothing.
 */
export function eventEnd(bytes: Uint8Array, from: number): number {
  let lineStart = from;
  for (let at = from; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte !== LF && byte !== CR) continue;
    const next = byte === CR && bytes[at + 1] === LF ? at + 2 : at + 1;
    if (at === lineStart) return next;
    lineStart = next;
    at = next - 1;
  }
  return -1;
}

/** Where the first whole line of a chunk begins, by the byte before the chunk; that byte is missing at the start of an event. */
export function firstLine(chunk: Uint8Array, before: number | undefined): number {
  if (before === CR) return chunk[0] === LF ? 1 : 0;
  if (before === undefined || before === LF) return 0;
  let at = 0;
  while (at < chunk.length && chunk[at] !== LF && chunk[at] !== CR) at++;
  return chunk[at] === CR && chunk[at + 1] === LF ? at + 2 : at + 1;
}

/** Whether the last event is a whole one. */
export function endsWithBlankLine(bytes: Buffer): boolean {
  return /(?:\n\n|\r\r|\r\n\r\n|\n\r\n?|\r\n\r)$/.test(bytes.toString("latin1", bytes.length - 4));
}

/** One event, taken apart. `data` is `undefined` when the event has no data line: clients then dispatch nothing. */
export interface ParsedEvent {
  data: string | undefined;
  /** `message` where the event names no type, or an empty one. */
  event: string;
  /** Every line but the data lines, as they stood, without their ends. */
  others: string[];
}

/**
 * @param text one event
 * @param isFirst of its stream: a byte order mark at its start is passed over, as clients do
 */
export function parseEvent(text: string, isFirst: boolean): ParsedEvent {
  const data: string[] = [];
  const others: string[] = [];
  let event = "";
  const lines = (isFirst && text.charCodeAt(0) === 0xfeff ? text.slice(1) : text).split(/\r\n|\r|\n/);
  for (const line of lines) {
    if (line === "") continue;
    const colon = line.indexOf(":");
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (field === "data") data.push(value);
    else others.push(line);
    if (field === "event") event = value;
  }
  return { data: data.length > 0 ? data.join("\n") : undefined, event: event || "message", others };
}

/** Writes an event from its data, which must have no line break, and its other lines. */
export function writeEvent(data: string | undefined, others: readonly string[] = []): string {
  return [...others, ...(data === undefined ? [] : [`data: ${data}`]), "", ""].join("\n");
}

/** Writes a frame. Line breaks and NUL cannot leave the field they stand in. */
export function writeFrame(frame: Frame): string {
  const lines: string[] = [];
  for (const line of frame.comment?.split(/\r\n|\r|\n/) ?? []) lines.push(`: ${line}`);
  if (frame.event !== undefined) lines.push(`event: ${fieldValue(frame.event)}`);
  if (frame.id !== undefined) lines.push(`id: ${fieldValue(frame.id)}`);
  if (frame.retry !== undefined && Number.isFinite(frame.retry))
    lines.push(`retry: ${Math.max(0, Math.trunc(frame.retry))}`);
  return writeEvent(frame.message && writeMessage(frame.message), lines);
}

function fieldValue(text: string): string {
  // oxlint-disable-next-line no-control-regex -- WHATWG HTML §9.2.6: an id with NUL is ignored, line breaks end the field
  return text.replace(/[\0\r\n]/g, "");
}
