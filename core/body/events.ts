/** For plugins that keep event streams: the bytes of an answer event by event, and an answer from events that come by themselves. */
import { ProxyError } from "../errors.ts";
import { HeaderList } from "../headers.ts";
import type { Answer } from "../types.ts";
import { type AnyBody, BytesBody, type Source, StreamBody, onePiece } from "./body.ts";
import { indexOfAscii } from "./search.ts";
import { asBuffer, eventEnd, firstLine, joinChunks } from "./sse.ts";

const CR = 0x0d;
const LF = 0x0a;
const BLANK_LINE = "\n\n";
const NOTHING = new Uint8Array();

/** The bytes of an answer's body, to be started once. The answer can then not be sent on; make a new one. */
export function sourceOf(answer: Pick<Answer, "body">): Source {
  const body = answer.body as AnyBody;
  if (body.kind === "stream") return body.source;
  return onePiece(body.kind === "bytes" ? body.bytes : NOTHING);
}

/** An answer whose body comes from a source. @param headers as they are to be sent */
export function fromSource(source: Source, headers: HeadersInit, status = 200): Answer {
  return { status, headers: HeaderList.from(headers), body: new StreamBody(source) };
}

/** An event stream that is whole. @param bytes its events, each with a blank line behind it */
export function events(bytes: Uint8Array): Answer {
  return fromSource(onePiece(bytes), { "content-type": "text/event-stream" });
}

/**
 * The whole body of an answer, where all of it is here already: most answers are like that, and need no one to follow them.
 * The answer then has it as bytes, and can still be sent on.
 */
export function wholeBody(answer: Answer): Uint8Array | undefined {
  const body = answer.body as AnyBody;
  if (body.kind === "empty") return NOTHING;
  if (body.kind === "bytes") return body.bytes;
  const bytes = body.source.whole?.();
  if (bytes !== undefined) answer.body = new BytesBody(bytes);
  return bytes;
}

/** Cuts the bytes of a stream into its events, each with the blank line that ends it. A byte order mark at the start is left out. */
export class EventSplitter {
  readonly #limit: number;
  #rest: Uint8Array[] = [];
  #restBytes = 0;
  #begun = false;
  /** A CR was seen: events may end in any of the three ways from here on. */
  #anyLineEnd = false;

  /** @param limit largest event, in bytes */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** @param out takes one event; its bytes belong to the chunk @throws ProxyError `UPSTREAM_TOO_LARGE` */
  write(chunk: Uint8Array, out: (event: Buffer) => void): void {
    if (chunk.length === 0) return;
    if (!this.#anyLineEnd && chunk.includes(CR)) this.#anyLineEnd = true;
    // Pieces of a large event are looked at once, and joined once.
    if (!this.#hasEnd(chunk)) return this.#keep(chunk);
    const bytes = asBuffer(this.#restBytes > 0 ? joinChunks([...this.#rest, chunk]) : chunk);
    let at = this.#begun ? 0 : markOf(bytes);
    this.#begun ||= bytes.length > 3;
    for (let end = this.#end(bytes, at); end !== -1; end = this.#end(bytes, at)) {
      if (end - at > this.#limit) throw this.#tooLarge();
      out(bytes.subarray(at, end));
      at = end;
    }
    this.#rest = [];
    this.#restBytes = 0;
    if (at < bytes.length) this.#keep(bytes.subarray(at));
  }

  /** Whether the next event begins in a chunk that was here before. */
  get isOpen(): boolean {
    return this.#restBytes > 0;
  }

  /** What came after the last blank line: no event, though a careless client may read it as one. */
  get rest(): Buffer {
    return asBuffer(this.#rest.length > 0 ? joinChunks(this.#rest) : NOTHING);
  }

  #hasEnd(chunk: Uint8Array): boolean {
    const before = this.#rest.at(-1)?.at(-1);
    if (this.#anyLineEnd) return eventEnd(chunk, firstLine(chunk, before)) !== -1;
    const startsBlank = chunk[0] === LF && (before === LF || before === undefined);
    return startsBlank || indexOfAscii(asBuffer(chunk), BLANK_LINE, 0) !== -1;
  }

  #end(bytes: Buffer, from: number): number {
    if (this.#anyLineEnd) return eventEnd(bytes, from);
    // A blank line of its own, behind an event that has ended.
    if (bytes[from] === LF) return from + 1;
    const blank = indexOfAscii(bytes, BLANK_LINE, from);
    return blank === -1 ? -1 : blank + 2;
  }

  #keep(chunk: Uint8Array): void {
    this.#rest.push(chunk);
    this.#restBytes += chunk.length;
    if (this.#restBytes > this.#limit) throw this.#tooLarge();
  }

  #tooLarge(): ProxyError {
    return new ProxyError("UPSTREAM_TOO_LARGE", { detail: `an event of more than ${this.#limit} bytes` });
  }
}

/** Length of a byte order mark at the start. */
function markOf(bytes: Buffer): number {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
}
