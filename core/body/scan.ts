/**
 * One pass over a posted body. It accepts exactly RFC 8259 in UTF-8, and refuses what lets two parsers read two messages
 * out of the same bytes: duplicate keys, keys of the envelope that differ in case only, batches, great depth.
 * `JSON.parse` would keep the last duplicate and round a large id in silence.
 */
import type { Outline } from "../types.ts";
import { Keys, fold, isPlain, plainKey } from "./keys.ts";
import { asBuffer } from "./sse.ts";

/** What the envelope says, found without building an object. */
export type Scan = Outline;

/** Why a body is refused. */
export class ScanError extends Error {
  readonly code: "PARSE_ERROR" | "INVALID_REQUEST";
  constructor(code: "PARSE_ERROR" | "INVALID_REQUEST", message: string) {
    super(message);
    this.code = code;
  }
}

/** Deepest nesting of arrays and objects. */
export const MAX_DEPTH = 128;
/** Levels where keys are compared ignoring case: the message and its `params`. Some parsers (Go's) match `Method` to `method`. */
const ENVELOPE_DEPTH = 2;
const ENVELOPE = ["jsonrpc", "id", "method", "params", "result", "error"] as const;
type Member = (typeof ENVELOPE)[number];
type Span = [from: number, to: number];

/** What plugins decide by. A server whose parser ignores case would take `NAME` for `name`, and run what nobody has seen. */
const PARAMETERS: readonly string[] = ["name", "arguments", "uri", "taskId", "_meta"];
const FOLDED: ReadonlySet<string> = new Set(PARAMETERS.map(fold));

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * @param bytes one JSON text
 * @throws ScanError
 */
export function scan(bytes: Uint8Array): Scan {
  return new Scanner(bytes).message();
}

class Scanner {
  #at = 0;
  #ascii = true;
  /** The member at hand is `params`. */
  #inParams = false;
  readonly #bytes: Uint8Array;
  readonly #spans: { [Key in Member]?: Span } = {};

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  message(): Scan {
    this.#space();
    const first = this.#bytes[this.#at];
    if (first === 0x5b) throw this.#batchOrBroken();
    this.#value(1);
    this.#space();
    if (this.#at < this.#bytes.length) throw this.#broken("something follows the message");
    if (!this.#ascii) this.#checkUtf8();
    if (first !== 0x7b) throw new ScanError("INVALID_REQUEST", "It is not an object.");
    return this.#envelope();
  }

  #envelope(): Scan {
    const { id, method, result, error, jsonrpc } = this.#spans;
    if (!jsonrpc || jsonrpc[1] - jsonrpc[0] !== 5 || this.#text(jsonrpc) !== '"2.0"')
      throw invalid('`jsonrpc` must be "2.0".');
    const idText = id && this.#text(id);
    if (idText !== undefined && !/^["\d-]/.test(idText) && idText !== "null")
      throw invalid("`id` must be a string or a number.");
    if (method) {
      if (result || error) throw invalid("`method` stands beside `result` or `error`.");
      const name: unknown = JSON.parse(this.#text(method));
      if (typeof name !== "string" || name === "") throw invalid("`method` must be a non-empty string.");
      if (idText === "null") throw invalid("`id` of a request must not be null.");
      return { kind: idText === undefined ? "notification" : "request", idText, method: name };
    }
    if (!result === !error) throw invalid("It needs `method`, or either `result` or `error`.");
    if (result && idText === undefined) throw invalid("A response needs `id`.");
    return { kind: "response", idText, method: undefined };
  }

  #value(depth: number): void {
    const byte = this.#bytes[this.#at];
    if (byte === QUOTE) this.#string();
    else if (byte === 0x7b) this.#object(depth);
    else if (byte === 0x5b) this.#array(depth);
    else if (byte === 0x74) this.#literal("true");
    else if (byte === 0x66) this.#literal("false");
    else if (byte === 0x6e) this.#literal("null");
    else this.#number();
  }

  #object(depth: number): void {
    if (depth > MAX_DEPTH) throw invalid(`It is nested deeper than ${MAX_DEPTH} levels.`);
    const keys = new Keys(this.#bytes, depth <= ENVELOPE_DEPTH);
    this.#at++;
    this.#space();
    if (this.#bytes[this.#at] === 0x7d) return void this.#at++;
    for (;;) {
      const keyFrom = this.#at;
      if (this.#bytes[keyFrom] !== QUOTE) throw this.#broken("a key was expected");
      this.#string();
      const keyTo = this.#at;
      if (!keys.add(keyFrom, keyTo))
        throw invalid(`The key ${this.#text([keyFrom, Math.min(keyTo, keyFrom + 64)])} stands twice in one object.`);
      this.#space();
      if (this.#bytes[this.#at++] !== 0x3a) throw this.#broken("a colon was expected");
      this.#space();
      const from = this.#at;
      if (depth === 1) {
        const key = plainKey(this.#bytes, keyFrom, keyTo);
        this.#inParams = key === "params";
        this.#value(2);
        this.#member(key, from);
      } else {
        if (depth === 2 && this.#inParams && !isPlain(this.#bytes, keyFrom, keyTo)) this.#parameter(keyFrom, keyTo);
        this.#value(depth + 1);
      }
      this.#space();
      const byte = this.#bytes[this.#at++];
      if (byte === 0x7d) return;
      if (byte !== 0x2c) throw this.#broken("a comma or } was expected");
      this.#space();
    }
  }

  #member(key: string, from: number): void {
    const known = ENVELOPE.includes(key as Member);
    if (!known && ENVELOPE.includes(fold(key) as Member))
      throw invalid(`The key ${JSON.stringify(key)} must be written in lower case.`);
    if (known) this.#spans[key as Member] = [from, this.#at];
  }

  #parameter(from: number, to: number): void {
    const key = plainKey(this.#bytes, from, to);
    if (FOLDED.has(fold(key)) && !PARAMETERS.includes(key))
      throw invalid(`The key ${JSON.stringify(key)} of params is written in another case.`);
  }

  #array(depth: number): void {
    if (depth > MAX_DEPTH) throw invalid(`It is nested deeper than ${MAX_DEPTH} levels.`);
    this.#at++;
    this.#space();
    if (this.#bytes[this.#at] === 0x5d) return void this.#at++;
    for (;;) {
      this.#value(depth + 1);
      this.#space();
      const byte = this.#bytes[this.#at++];
      if (byte === 0x5d) return;
      if (byte !== 0x2c) throw this.#broken("a comma or ] was expected");
      this.#space();
    }
  }

  /** Passes over a string. */
  #string(): void {
    const bytes = this.#bytes;
    let at = this.#at + 1;
    for (;;) {
      const byte = bytes[at++];
      if (byte === QUOTE) break;
      if (byte === undefined || byte < 0x20) throw this.#broken("a string does not end, or has a control character");
      if (byte === BACKSLASH) at = this.#escape(at);
      else if (byte >= 0x80) this.#ascii = false;
    }
    this.#at = at;
  }

  #escape(at: number): number {
    const byte = this.#bytes[at];
    if (byte !== undefined && '"\\/bfnrt'.includes(String.fromCharCode(byte))) return at + 1;
    const hex = String.fromCharCode(...this.#bytes.subarray(at + 1, at + 5));
    if (byte !== 0x75 || !/^[\da-fA-F]{4}$/.test(hex)) throw this.#broken("a string has an invalid escape");
    return at + 5;
  }

  #literal(word: string): void {
    for (let i = 0; i < word.length; i++)
      if (this.#bytes[this.#at + i] !== word.charCodeAt(i)) throw this.#broken("a value was expected");
    this.#at += word.length;
  }

  #number(): void {
    const from = this.#at;
    let byte = this.#bytes[this.#at];
    while (
      byte !== undefined &&
      (isDigit(byte) || byte === 0x2d || byte === 0x2b || byte === 0x2e || byte === 0x65 || byte === 0x45)
    ) {
      byte = this.#bytes[++this.#at];
    }
    if (from === this.#at) throw this.#broken("a value was expected");
    // A run of digits needs no second look; the grammar decides about the rest.
    if (this.#at - from === 1 && isDigit(this.#bytes[from]!)) return;
    if (!/^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/.test(this.#text([from, this.#at])))
      throw this.#broken("a number is malformed");
  }

  #space(): void {
    const bytes = this.#bytes;
    let byte = bytes[this.#at];
    while (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) byte = bytes[++this.#at];
  }

  #text([from, to]: Span): string {
    return asBuffer(this.#bytes).toString("utf8", from, to);
  }

  #checkUtf8(): void {
    try {
      strict.decode(this.#bytes);
    } catch {
      throw this.#broken("it is not UTF-8");
    }
  }

  #batchOrBroken(): ScanError {
    this.#value(1);
    return invalid("JSON-RPC batches are not accepted: MCP removed them in 2025-06-18. Post one message at a time.");
  }

  #broken(why: string): ScanError {
    return new ScanError("PARSE_ERROR", `At byte ${this.#at}: ${why}.`);
  }
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

function invalid(why: string): ScanError {
  return new ScanError("INVALID_REQUEST", why);
}
