/**
 * Where some members of a message stand in its bytes, so that an id can be exchanged without taking the message apart:
 * numbers beyond 2^53 and the order of keys stay, and a large result is not parsed.
 */
import { indexOfAscii } from "./search.ts";
import { plainKey } from "./keys.ts";

/** Members to look for: `true` for a value, an object for what is inside of one. */
export interface Wanted {
  readonly [key: string]: true | Wanted;
}

/** From the first byte of a value to the one behind it. */
export type Span = readonly [from: number, to: number];

/** Values found, by their path: `params.progressToken`. */
export type Members = ReadonlyMap<string, Span>;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const COMMA = 0x2c;
const COLON = 0x3a;

/** Messages from this size on are looked at by their beginning and end first: as a rule the id stands there. */
const LARGE = 64 * 1024;
const EDGE = 128;
const ID_AT_START = /^\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(\d+)\s*,/;
/** What stands right before the last brace is a member of the message itself. */
const ID_AT_END = /,\s*"id"\s*:\s*(\d+)\s*\}\s*$/;

/**
 * @param bytes one JSON object; that its brackets and strings match is all that is checked
 * @returns `undefined` when it is no object. Of a key that stands there twice the last one counts, as for `JSON.parse`
 */
export function findMembers(bytes: Buffer, wanted: Wanted): Members | undefined {
  const walker = new Walker(bytes);
  walker.space();
  try {
    if (bytes[walker.at] !== OPEN_OBJECT || !walker.object(wanted, "")) return undefined;
  } catch {
    // A key with an escape that JSON does not know.
    return undefined;
  }
  walker.space();
  return walker.at === bytes.length ? walker.found : undefined;
}

/** The places of the elements of an array, as of a batch; `undefined` when it is none. */
export function findElements(bytes: Buffer): readonly Span[] | undefined {
  const walker = new Walker(bytes);
  walker.space();
  if (bytes[walker.at] !== OPEN_ARRAY) return undefined;
  const elements = walker.array();
  walker.space();
  return elements && walker.at === bytes.length ? elements : undefined;
}

/** The members of one object, in their order; `undefined` when it is none. */
export function findShallow(bytes: Buffer): (readonly [key: string, value: Span])[] | undefined {
  const walker = new Walker(bytes);
  walker.space();
  if (bytes[walker.at] !== OPEN_OBJECT) return undefined;
  const members: (readonly [string, Span])[] = [];
  try {
    if (!walker.object({}, "", (key, span) => members.push([key, span]))) return undefined;
  } catch {
    // A key with an escape that JSON does not know.
    return undefined;
  }
  walker.space();
  return walker.at === bytes.length ? members : undefined;
}

/**
 * Where the numeric id of a large response stands, found at its edges. Only for a text without a `method` key; a message with
 * two ids is no message.
 */
export function findLargeId(bytes: Buffer): Span | undefined {
  if (bytes.length < LARGE || indexOfAscii(bytes, '"method"', 0) !== -1) return undefined;
  const start = ID_AT_START.exec(bytes.toString("latin1", 0, EDGE));
  if (start) return digits(start, 0);
  const end = ID_AT_END.exec(bytes.toString("latin1", bytes.length - EDGE));
  return end ? digits(end, bytes.length - EDGE) : undefined;
}

/** The same bytes with other values in some places, in pieces: what stays is not copied. */
export function replaceSpans(bytes: Buffer, edits: readonly (readonly [Span, string])[]): Buffer[] {
  const pieces: Buffer[] = [];
  let at = 0;
  for (const [[from, to], text] of edits.toSorted((a, b) => a[0][0] - b[0][0])) {
    pieces.push(bytes.subarray(at, from), Buffer.from(text));
    at = to;
  }
  pieces.push(bytes.subarray(at));
  return pieces;
}

function digits(match: RegExpExecArray, offset: number): Span {
  const from = offset + match.index + match[0].lastIndexOf(match[1]!);
  return [from, from + match[1]!.length];
}

class Walker {
  at = 0;
  readonly found = new Map<string, Span>();
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  space(): void {
    let byte = this.#bytes[this.at];
    while (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) byte = this.#bytes[++this.at];
  }

  /** @param each takes every member @returns false when it does not end, or is no object */
  object(wanted: Wanted, path: string, each?: (key: string, span: Span) => void): boolean {
    this.at++;
    this.space();
    if (this.#bytes[this.at] === CLOSE_OBJECT) return Boolean(++this.at);
    for (;;) {
      const keyFrom = this.at;
      if (this.#bytes[keyFrom] !== QUOTE || !this.#string()) return false;
      const key = plainKey(this.#bytes, keyFrom, this.at);
      this.space();
      if (this.#bytes[this.at++] !== COLON) return false;
      this.space();
      const from = this.at;
      const inner = Object.hasOwn(wanted, key) ? wanted[key] : undefined;
      const isObject = typeof inner === "object" && this.#bytes[from] === OPEN_OBJECT;
      if (!(isObject ? this.object(inner, `${path}${key}.`) : this.#skip())) return false;
      if (inner !== undefined) this.found.set(path + key, [from, this.at]);
      each?.(key, [from, this.at]);
      this.space();
      const byte = this.#bytes[this.at++];
      if (byte === CLOSE_OBJECT) return true;
      if (byte !== COMMA) return false;
      this.space();
    }
  }

  array(): Span[] | undefined {
    const elements: Span[] = [];
    this.at++;
    this.space();
    while (this.#bytes[this.at] !== CLOSE_ARRAY) {
      const from = this.at;
      if (!this.#skip()) return undefined;
      elements.push([from, this.at]);
      this.space();
      if (this.#bytes[this.at] === COMMA) {
        this.at++;
        this.space();
      } else if (this.#bytes[this.at] !== CLOSE_ARRAY) return undefined;
    }
    this.at++;
    return elements;
  }

  /** Passes over a value, whatever is in it. */
  #skip(): boolean {
    const bytes = this.#bytes;
    let depth = 0;
    for (const from = this.at; this.at < bytes.length;) {
      const byte = bytes[this.at];
      if (byte === QUOTE) {
        if (!this.#string()) return false;
        if (depth === 0) return true;
      } else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
        depth++;
        this.at++;
      } else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
        if (depth === 0) return this.at > from;
        this.at++;
        if (--depth === 0) return true;
      } else if (depth === 0 && (byte === COMMA || isBlank(byte!))) return this.at > from;
      else this.at++;
    }
    return false;
  }

  /** Passes over a string: long ones are searched by the runtime. */
  #string(): boolean {
    const bytes = this.#bytes;
    for (let end = bytes.indexOf(QUOTE, this.at + 1); end !== -1; end = bytes.indexOf(QUOTE, end + 1)) {
      let escapes = end;
      while (bytes[escapes - 1] === BACKSLASH) escapes--;
      if ((end - escapes) % 2 === 1) continue;
      this.at = end + 1;
      return true;
    }
    return false;
  }
}

function isBlank(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}
