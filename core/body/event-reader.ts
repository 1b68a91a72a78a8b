/** Takes the events out of a stream that is read here, piece by piece. */
import { ProxyError } from "../errors.ts";
import { asBuffer, eventEnd, joinChunks, lastEventEnd, parseEvent } from "./sse.ts";

const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const BOM = Buffer.from("\uFEFF");

/** @param data without line breaks; it may be a part of the chunk that was written */
export type OnEvent = (event: string, data: Buffer) => void;

export class EventReader {
  readonly #limit: number;
  readonly #onEvent: OnEvent;
  #rest: Uint8Array[] = [];
  #restBytes = 0;
  /** A CR was seen: lines may end in any of the three ways from here on. */
  #anyLineEnd = false;
  #begun = false;

  /** @param limit largest event, in bytes @param onEvent called for each event that has data */
  constructor(limit: number, onEvent: OnEvent) {
    this.#limit = limit;
    this.#onEvent = onEvent;
  }

  /** @throws ProxyError `UPSTREAM_TOO_LARGE`; nothing may be written after that */
  write(chunk: Uint8Array): void {
    if (!this.#anyLineEnd && chunk.includes(CR)) this.#anyLineEnd = true;
    const end = lastEventEnd(chunk, this.#rest.at(-1)?.at(-1), this.#anyLineEnd);
    if (end === -1) return this.#keep(chunk);
    const whole = asBuffer(joinChunks([...this.#rest, chunk.subarray(0, end)]));
    this.#rest = [];
    this.#restBytes = 0;
    for (let at = 0; at < whole.length;) {
      const to = this.#next(whole, at);
      this.#event(whole.subarray(at, to));
      at = to;
    }
    if (end < chunk.length) this.#keep(chunk.subarray(end));
  }

  #next(whole: Buffer, at: number): number {
    const end = this.#anyLineEnd ? eventEnd(whole, at) : -1;
    if (end !== -1) return end;
    const blank = whole.indexOf("\n\n", at);
    return blank === -1 ? whole.length : blank + 2;
  }

  #keep(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#rest.push(chunk);
    this.#restBytes += chunk.length;
    this.#check(this.#restBytes);
  }

  #check(size: number): void {
    if (size > this.#limit)
      throw new ProxyError("UPSTREAM_TOO_LARGE", { detail: `an event of more than ${this.#limit} bytes` });
  }

  #event(bytes: Buffer): void {
    this.#check(bytes.length);
    const isFirst = !this.#begun;
    this.#begun = true;
    if (this.#anyLineEnd) {
      const { event, data } = parseEvent(bytes.toString(), isFirst);
      if (data !== undefined) this.#onEvent(event, Buffer.from(data.replaceAll("\n", " ")));
      return;
    }
    const data: Buffer[] = [];
    let event = "";
    for (let at = isFirst && bytes.indexOf(BOM) === 0 ? BOM.length : 0; at < bytes.length;) {
      const lf = bytes.indexOf(LF, at);
      const line = bytes.subarray(at, lf === -1 ? bytes.length : lf);
      at += line.length + 1;
      const value = valueOf(line, "data");
      if (value) data.push(value);
      else event = valueOf(line, "event")?.toString() ?? event;
    }
    // Between the parts of a JSON text a line break is a blank like others.
    if (data.length > 0) this.#onEvent(event || "message", data.length === 1 ? data[0]! : Buffer.from(data.join(" ")));
  }
}

/** What a line says about a field; `undefined` when it is another field's. */
function valueOf(line: Buffer, field: string): Buffer | undefined {
  const name = line.toString("latin1", 0, field.length + 1);
  if (name === field) return line.subarray(line.length);
  if (name !== `${field}:`) return undefined;
  return line.subarray(line[name.length] === SPACE ? name.length + 1 : name.length);
}
