/**
 * Answers out of the bytes of a connection (RFC 9112). Strict: whatever two readers could read in two ways is refused, since
 * the proxy would relay one reading and its client might see the other.
 */
import { ChunkReader } from "../../http1/chunks.ts";
import { InvalidMessage } from "../../http1/fields.ts";
import { CHUNKED, UNTIL_CLOSE, checkStart, parseHead } from "./head.ts";

/** Largest head, in bytes. */
const MAX_HEAD = 64 * 1024;
/** Interim answers (1xx) before the final one. */
const MAX_INTERIM = 100;
const HEAD_END = Buffer.from("\r\n\r\n");
const LF = 0x0a;
const CR = 0x0d;

const IDLE = 0;
const HEAD = 1;
const LENGTH = 2;
const CHUNKS = 3;
const CLOSE = 4;

/** Told what arrives, in order. It may call `stop()` at any time. */
export interface ResponseHandler {
  /** The final head. @param headers name, value, name, value …; names in lower case */
  head(status: number, headers: string[]): void;
  /** A piece of the body, whose memory is the receiver's. */
  data(bytes: Buffer): void;
  /** The answer is whole. @param excess bytes came after it that nobody asked for */
  end(excess: boolean): void;
}

/** Reads one answer after the other. */
export class ResponseParser {
  /** Whether the server lets the connection be used again; known with the head. */
  keepAlive = false;
  /** How long it keeps an idle connection, in milliseconds, where it says so. */
  keepAliveFor: number | undefined;
  readonly #handler: ResponseHandler;
  readonly #chunks = new ChunkReader();
  #state = IDLE;
  #method = "";
  #interim = 0;
  /** A head that is not whole. */
  #held: Buffer | undefined;
  /** Bytes of the body that are still to come. */
  #left = 0;
  /** One function for all answers of the connection. */
  readonly #data = (bytes: Buffer): boolean => {
    this.#handler.data(bytes);
    return this.#state !== IDLE;
  };

  constructor(handler: ResponseHandler) {
    this.#handler = handler;
  }

  /** A request went out. @param method its method: it decides about the body of the answer */
  begin(method: string): void {
    this.#state = HEAD;
    this.#method = method;
    this.#interim = 0;
  }

  /** Nothing of the answer counts any more. */
  stop(): void {
    this.#state = IDLE;
    this.#held = undefined;
  }

  /** @param input from the connection; belongs to the parser from here on @throws InvalidMessage */
  write(input: Buffer): void {
    if (this.#state === HEAD) this.#readHead(input);
    else this.#readBody(input, 0);
  }

  /** The server sends nothing more. @returns whether that is a proper end of the answer */
  finish(): boolean {
    if (this.#state !== CLOSE) return false;
    this.#end(false);
    return true;
  }

  #readHead(input: Buffer): void {
    const bytes = this.#held ? Buffer.concat([this.#held, input]) : input;
    const known = bytes.length - input.length;
    this.#held = undefined;
    let at = 0;
    for (;;) {
      const end = bytes.indexOf(HEAD_END, Math.max(at, known - 3));
      if ((end === -1 ? bytes.length : end) - at > MAX_HEAD) throw new InvalidMessage("a head that is too large");
      if (end === -1) return this.#hold(bytes, at, known);
      const head = parseHead(bytes.toString("latin1", at, end + 2));
      at = end + 4;
      if (head.status >= 200) {
        this.keepAlive = head.keepAlive;
        this.keepAliveFor = head.keepAliveFor;
        this.#handler.head(head.status, head.headers);
        return this.#beginBody(head.status, head.length, bytes, at);
      }
      // Nobody asked for another protocol.
      if (head.status === 101) throw new InvalidMessage("an upgrade");
      if (++this.#interim > MAX_INTERIM) throw new InvalidMessage("too many interim answers");
    }
  }

  /** A head that is not whole must look like one so far: nobody waits for the end of something else. */
  #hold(bytes: Buffer, at: number, known: number): void {
    checkStart(bytes.toString("latin1", at, at + 13));
    for (let lf = bytes.indexOf(LF, Math.max(at, known)); lf !== -1; lf = bytes.indexOf(LF, lf + 1))
      if (bytes[lf - 1] !== CR) throw new InvalidMessage("a line end without CR");
    this.#held = bytes.subarray(at);
  }

  /** RFC 9112 §6.3. */
  #beginBody(status: number, length: number, bytes: Buffer, at: number): void {
    if (this.#state === IDLE) return;
    const isTunnel = this.#method === "CONNECT" && status < 300;
    if (status === 204 || status === 304 || this.#method === "HEAD" || isTunnel || length === 0)
      return this.#end(at < bytes.length);
    if (length === CHUNKED) {
      this.#state = CHUNKS;
      this.#chunks.begin();
    } else if (length === UNTIL_CLOSE) {
      this.#state = CLOSE;
      this.keepAlive = false;
    } else {
      this.#state = LENGTH;
      this.#left = length;
    }
    if (at < bytes.length) this.#readBody(bytes, at);
  }

  #readBody(bytes: Buffer, start: number): void {
    if (this.#state === LENGTH) {
      const end = start + this.#left;
      if (end > bytes.length) {
        this.#left = end - bytes.length;
        return this.#handler.data(start === 0 ? bytes : bytes.subarray(start));
      }
      if (this.#data(bytes.subarray(start, end))) this.#end(end < bytes.length);
    } else if (this.#state === CHUNKS) {
      const end = this.#chunks.read(bytes, start, this.#data);
      if (this.#chunks.done && this.#state === CHUNKS) this.#end(end < bytes.length);
    } else if (this.#state === CLOSE) this.#handler.data(start === 0 ? bytes : bytes.subarray(start));
  }

  #end(excess: boolean): void {
    this.#state = IDLE;
    this.#handler.end(excess);
  }
}
