/** Reads an event stream (WHATWG HTML §9.2.6) for its messages, as bytes: what they say is the reader's affair. */
import { ProxyError } from "../errors.ts";
import { asBuffer } from "./sse.ts";

const LF = 0x0a;
const CR = 0x0d;
const SPACE = Buffer.from(" ");
const NOTHING = Buffer.alloc(0);

export class EventReader {
  /** Of the last whole event that had one: where the stream can be resumed. */
  lastId: string | undefined;
  /** What the server asks to wait before a new connection, in milliseconds. */
  retry: number | undefined;
  readonly #limit: number;
  readonly #onMessage: (data: Buffer) => void;
  readonly #onOther: ((type: string, data: Buffer) => void) | undefined;
  /** The line that has not ended yet. */
  #line: Buffer[] = [];
  #data: Buffer[] = [];
  #type = "";
  #id: string | undefined;
  /** Bytes of the event so far. */
  #size = 0;
  /** A LF that comes now belongs to the line end before. */
  #afterCr = false;
  #begun = false;

  /**
   * @param limit of one event, in bytes
   * @param onMessage gets the data of each `message` event on one line: in JSON a line end is white space
   * @param onOther the same of events of other types
   */
  constructor(limit: number, onMessage: (data: Buffer) => void, onOther?: (type: string, data: Buffer) => void) {
    this.#limit = limit;
    this.#onMessage = onMessage;
    this.#onOther = onOther;
  }

  /** @throws ProxyError `UPSTREAM_TOO_LARGE` */
  write(chunk: Uint8Array): void {
    const bytes = asBuffer(chunk);
    let at = this.#afterCr && bytes[0] === LF ? 1 : 0;
    if (bytes.length > 0) this.#afterCr = false;
    let lf = bytes.indexOf(LF, at);
    let cr = bytes.indexOf(CR, at);
    while (lf !== -1 || cr !== -1) {
      const end = cr === -1 || (lf !== -1 && lf < cr) ? lf : cr;
      this.#keep(bytes.subarray(at, end));
      this.#endLine();
      at = end + 1;
      if (end === cr) {
        if (at === bytes.length) this.#afterCr = true;
        else if (bytes[at] === LF) at++;
        cr = bytes.indexOf(CR, at);
      }
      if (lf !== -1 && lf < at) lf = bytes.indexOf(LF, at);
    }
    this.#keep(bytes.subarray(at));
  }

  #keep(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#size += bytes.length;
    if (this.#size > this.#limit)
      throw new ProxyError("UPSTREAM_TOO_LARGE", { detail: `an event of more than ${this.#limit} bytes` });
    this.#line.push(bytes);
  }

  #endLine(): void {
    let line = this.#line.length > 1 ? Buffer.concat(this.#line) : (this.#line[0] ?? NOTHING);
    this.#line = [];
    if (!this.#begun) line = withoutMark(line);
    this.#begun = true;
    if (line.length === 0) return this.#dispatch();
    const colon = line.indexOf(":");
    const name = line.toString("latin1", 0, Math.min(colon === -1 ? line.length : colon, 6));
    const from = colon === -1 ? line.length : colon + (line[colon + 1] === 0x20 ? 2 : 1);
    const value = line.subarray(from);
    if (name === "data") this.#data.push(value);
    else if (name === "event") this.#type = value.toString();
    else if (name === "id" && !value.includes(0)) this.#id = value.toString();
    else if (name === "retry" && /^\d{1,9}$/.test(value.toString("latin1", 0, 10))) this.retry = Number(value);
  }

  #dispatch(): void {
    const data = this.#data;
    const type = this.#type || "message";
    if (this.#id !== undefined) this.lastId = this.#id;
    this.#data = [];
    this.#type = "";
    this.#size = 0;
    if (data.length === 0) return;
    const whole = data.length === 1 ? data[0]! : Buffer.concat(data.flatMap((line) => [line, SPACE]));
    if (type !== "message") this.#onOther?.(type, whole);
    // MCP 2025-11-25, Transports: an event with an id and empty data only says where to resume.
    else if (whole.length > 0) this.#onMessage(whole);
  }
}

/** One JSON text on one line. */
export function onOneLine(json: Uint8Array): Buffer {
  const text = withoutMark(asBuffer(json));
  if (!text.includes(LF) && !text.includes(CR)) return text;
  const line = Buffer.from(text);
  for (let at = 0; at < line.length; at++) if (line[at] === LF || line[at] === CR) line[at] = 0x20;
  return line;
}

/** Without a byte order mark. */
function withoutMark(bytes: Buffer): Buffer {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes;
}
