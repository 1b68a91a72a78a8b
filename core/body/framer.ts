/**
 * Finds the messages in an event stream that a hook wants to see. Everything else passes in the bytes it came in: an event
 * is parsed only when its bytes could hold such a message, and those are found by native search over the whole chunk.
 */
import { ProxyError } from "../errors.ts";
import type { Awaitable, Message } from "../types.ts";
import { indexOfAscii } from "./search.ts";
import { asBuffer, eventEnd, firstLine, joinChunks, parseEvent, writeEvent } from "./sse.ts";
import type { MessageReader } from "./reader.ts";
import { writeMessage } from "./message.ts";

/** Any key may be written with escapes (`"\u006dethod"`), so such an event is always read. */
const ESCAPE = "\\u00";
const BLANK_LINE = "\n\n";
const LF = 0x0a;
const CR = 0x0d;

export class SseFramer {
  readonly #reader: MessageReader;
  readonly #needles: readonly string[];
  readonly #limit: number;
  readonly #texts: readonly string[] | undefined;
  #rest: Uint8Array[] = [];
  #restBytes = 0;
  /** A CR was seen: events may end in any of the three ways from here on. */
  #anyLineEnd = false;
  /** The first event is over. */
  #begun = false;
  /** An event had an id: a stream that ends early can be resumed (2025-11-25 servers do so on purpose). */
  resumable = false;
  /** The stream ended, but not with a blank line: what is written behind it needs one first. */
  unfinished = false;
  /** The response stands in that last event, which only a careless client reads. */
  endsOpen = false;

  /**
   * @param reader what to do with a message
   * @param limit largest event that is held in memory, in bytes
   * @param texts responses without any of them need not be read
   */
  constructor(reader: MessageReader, limit: number, texts?: readonly string[]) {
    this.#reader = reader;
    this.#limit = limit;
    this.#texts = texts;
    const { notification, response } = reader.wants;
    this.#needles = [
      ESCAPE,
      // Requests and responses have an id, notifications do not: progress events need no second look. Without the leading
      // quote, which is in every line of JSON many times, the search is four times as fast.
      'id"',
      ...(notification ? ['"method"'] : []),
      // A result without an id is invalid, and no reason to let one past the hooks; an error may have none (2025-11-25).
      ...(response ? ['result"', 'error"'] : []),
    ];
  }

  /** @returns a promise while a hook is at work; nothing may be written until it settles */
  write(chunk: Uint8Array, out: (bytes: Uint8Array) => void): Awaitable<void> {
    if (chunk.length === 0) return;
    const end = this.#lastEnd(chunk);
    if (end === -1) return this.#keep(chunk);
    const whole = this.#rest.length > 0 ? joinChunks([...this.#rest, chunk.subarray(0, end)]) : chunk.subarray(0, end);
    this.#rest = [];
    this.#restBytes = 0;
    const events = asBuffer(whole);
    if (!this.resumable) this.resumable = hasId(events);
    const result = this.#events(events, 0, out);
    const keep = () => (end < chunk.length ? this.#keep(chunk.subarray(end)) : undefined);
    return result instanceof Promise ? result.then(keep) : keep();
  }

  /** The stream ended well. What follows the last blank line is no event, but a careless client may read it as one. */
  end(out: (bytes: Uint8Array) => void): Awaitable<void> {
    if (this.#rest.length === 0) return;
    this.unfinished = true;
    const rest = asBuffer(joinChunks(this.#rest));
    this.#rest = [];
    const { responded } = this.#reader;
    const note = () => void (this.endsOpen = this.#reader.responded && !responded);
    const result = this.#events(rest, 0, out);
    return result instanceof Promise ? result.then(note) : note();
  }

  #keep(chunk: Uint8Array): void {
    this.#rest.push(chunk);
    this.#restBytes += chunk.length;
    if (this.#restBytes > this.#limit) throw this.#tooLarge();
  }

  #tooLarge(): ProxyError {
    return new ProxyError("UPSTREAM_TOO_LARGE", { detail: `an event of more than ${this.#limit} bytes` });
  }

  #lastEnd(chunk: Uint8Array): number {
    if (!this.#anyLineEnd && chunk.includes(CR)) this.#anyLineEnd = true;
    if (!this.#anyLineEnd) {
      const blank = asBuffer(chunk).lastIndexOf(BLANK_LINE);
      if (blank !== -1) return blank + 2;
      return chunk[0] === LF && this.#rest.at(-1)?.at(-1) === LF ? 1 : -1;
    }
    const before = this.#rest.at(-1)?.at(-1);
    let last = -1;
    for (let end = eventEnd(chunk, firstLine(chunk, before)); end !== -1; end = eventEnd(chunk, end)) last = end;
    return last;
  }

  #events(bytes: Buffer, from: number, out: (bytes: Uint8Array) => void): Awaitable<void> {
    let raw = from;
    let at = from;
    const hits = this.#needles.map(() => -2);
    while (at < bytes.length) {
      const hit = this.#nextHit(bytes, at, hits);
      if (hit === -1) break;
      const [start, end] = this.#eventAround(bytes, at, hit);
      let result: Awaitable<Uint8Array | undefined>;
      try {
        result = this.#event(bytes.subarray(start, end), start === 0 && !this.#begun);
      } catch (error) {
        // Where the chunks were cut must not decide what still arrives.
        if (start > raw) out(bytes.subarray(raw, start));
        throw error;
      }
      this.#begun = true;
      if (result instanceof Promise) {
        if (start > raw) out(bytes.subarray(raw, start));
        return result.then((changed) => {
          out(changed ?? bytes.subarray(start, end));
          return this.#events(bytes, end, out);
        });
      }
      if (result) {
        if (start > raw) out(bytes.subarray(raw, start));
        out(result);
        raw = end;
      }
      at = end;
    }
    this.#begun = true;
    if (raw < bytes.length) out(bytes.subarray(raw));
  }

  /** The next place where an interesting event may be. `hits` remembers each needle's last find: -2 not searched, -1 no more. */
  #nextHit(bytes: Buffer, from: number, hits: number[]): number {
    let nearest = -1;
    for (let i = 0; i < hits.length; i++) {
      if (hits[i] !== -1 && hits[i]! < from) hits[i] = indexOfAscii(bytes, this.#needles[i]!, from);
      if (hits[i] !== -1 && (nearest === -1 || hits[i]! < nearest)) nearest = hits[i]!;
    }
    return nearest;
  }

  #eventAround(bytes: Buffer, from: number, hit: number): [start: number, end: number] {
    if (!this.#anyLineEnd) {
      const blankBefore = bytes.lastIndexOf(BLANK_LINE, hit);
      const blankAfter = indexOfAscii(bytes, BLANK_LINE, hit);
      return [
        blankBefore + 2 > from && blankBefore !== -1 ? blankBefore + 2 : from,
        blankAfter === -1 ? bytes.length : blankAfter + 2,
      ];
    }
    for (let start = from; ;) {
      const end = eventEnd(bytes, start);
      if (end === -1) return [start, bytes.length];
      if (end > hit) return [start, end];
      start = end;
    }
  }

  /** @returns the bytes to send instead, or nothing to send the same */
  #event(bytes: Buffer, isFirst: boolean): Awaitable<Uint8Array | undefined> {
    if (bytes.length > this.#limit) throw this.#tooLarge();
    // What does not end may not be whole, and what is no message is no answer: those are read to the end.
    const reads = this.#reader.wants.response && !(this.#texts && !mayHold(bytes, this.#texts));
    if (!reads && !this.unfinished && !mayHoldMethod(bytes) && !namesType(bytes)) {
      this.#reader.responded ||= holdsResponse(bytes);
      return undefined;
    }
    const { data, event, others } = parseEvent(bytes.toString(), isFirst);
    // Clients dispatch only `message` events as JSON-RPC; `endpoint` and others are not messages.
    if (data === undefined || event !== "message") return undefined;
    const result = this.#reader.read(data);
    const write = (messages: readonly Message[] | undefined) => messages && this.#write(messages, others);
    return result instanceof Promise ? result.then(write) : write(result);
  }

  #write(messages: readonly Message[], others: string[]): Uint8Array {
    // A dropped message still moves the client's last event id.
    if (messages.length === 0)
      return Buffer.from(others.some((line) => /^(?:id|retry)/.test(line)) ? writeEvent(undefined, others) : "");
    return Buffer.from(
      messages
        .map((message, i) => writeEvent(writeMessage(message, this.#reader.idText(message)), i === 0 ? others : []))
        .join(""),
    );
  }
}

/** Whether one of these events has an id line. */
export function hasId(events: Buffer): boolean {
  const text = events.subarray(0, 6).toString();
  return (
    indexOfAscii(events, "\nid:", 0) !== -1 ||
    indexOfAscii(events, "\rid:", 0) !== -1 ||
    text.startsWith("id:") ||
    text.startsWith("\uFEFFid:")
  );
}

/** Whether these events may have a `method` key. Without one they are at most responses, and where no hook wants those, even large ones are not parsed. */
export function mayHoldMethod(events: Buffer): boolean {
  return indexOfAscii(events, '"method"', 0) !== -1 || indexOfAscii(events, ESCAPE, 0) !== -1;
}

/** Whether these bytes may hold one of these texts, escaped or not. */
export function mayHold(bytes: Buffer, texts: readonly string[]): boolean {
  return [ESCAPE, ...texts].some((text) => indexOfAscii(bytes, text, 0) !== -1);
}

/** Whether these events, which have no `method` key and name no type, answer a request: without an id nobody knows which. */
export function holdsResponse(events: Buffer): boolean {
  if (indexOfAscii(events, 'id"', 0) === -1) return false;
  return onDataLine(events, '"result"') || onDataLine(events, '"error"');
}

/** Found by native search, as a response may be large; comments do not count. */
function onDataLine(events: Buffer, needle: string): boolean {
  for (let hit = events.indexOf(needle, 0, "latin1"); hit !== -1; hit = events.indexOf(needle, hit + 1, "latin1")) {
    const lf = events.lastIndexOf(LF, hit);
    const cr = events.subarray(lf + 1, hit).lastIndexOf(CR);
    const line = events.toString("utf8", lf + cr + 2, Math.min(hit, lf + cr + 10));
    if (/^\uFEFF?data:/.test(line)) return true;
  }
  return false;
}

/** Whether one of these events may be of another type than `message`. */
export function namesType(events: Buffer): boolean {
  for (let at = indexOfAscii(events, "event", 0); at !== -1; at = indexOfAscii(events, "event", at + 1)) {
    const before = at === 0 ? LF : events[at - 1];
    // Behind a byte order mark the first line begins too.
    const begins = before === LF || before === CR || (at === 3 && before === 0xbf);
    if (begins && !/^event(?:: ?message)?[\r\n]/.test(events.toString("latin1", at, at + 16))) return true;
  }
  return false;
}
