/** The head of a request (RFC 9112 §3, §5, §6): from its text to its parts and to where its body ends. */
import { ProxyError } from "../../errors.ts";
import { FIELD_LINES, InvalidMessage, keepsAlive, parseFields } from "../../http1/fields.ts";

/** The body says itself where it ends. */
export const CHUNKED = -1;

/** Largest request line, and largest head with it, in bytes. */
const MAX_LINE = 8 * 1024;
export const MAX_HEAD: number = 16 * 1024;
const MAX_FIELDS = 200;

export interface RequestHeadText {
  method: string;
  /** As it stands on the request line. */
  target: string;
  /** name, value, name, value …; names in lower case, repeated fields apart. */
  fields: readonly string[];
  /** Bytes of the body, or {@link CHUNKED}. */
  length: number;
  /** HTTP/1.1, and not 1.0. */
  isModern: boolean;
  /** Whether the client wants to use the connection again. */
  keepAlive: boolean;
}

const HEAD = new RegExp(
  String.raw`^([!#$%&'*+\-.^_\x60|~\dA-Za-z]+) ([\x21-\x7e\x80-\xff]+) HTTP\/(\d)\.(\d)\r\n${FIELD_LINES}$`,
);
const LINE_SO_FAR = /^[!#$%&'*+\-.^_`|~\dA-Za-z]+(?: [\x21-\x7e\x80-\xff]*(?: [\w/.]*\r?)?)?$/;
const LINE = /^[!#$%&'*+\-.^_`|~\dA-Za-z]+ [\x21-\x7e\x80-\xff]+ HTTP\/\d\.\d\r\n/;
const NO_LINE = "There is no request line.";
const HEAD_END = Buffer.from("\r\n\r\n");
const LF = 0x0a;
const CR = 0x0d;

/**
 * @param text the head with the line end of its last line, one character per byte
 * @throws ProxyError `INVALID_HTTP`, `HTTP_VERSION`, `HEAD_TOO_LARGE` or `TARGET_TOO_LONG`
 */
export function parseRequestHead(text: string): RequestHeadText {
  const parts = HEAD.exec(text);
  if (!parts) throw new ProxyError("INVALID_HTTP", { hint: LINE.test(text) ? "A field is malformed." : NO_LINE });
  const method = parts[1]!;
  const target = parts[2]!;
  if (parts[3] !== "1" || (parts[4] !== "0" && parts[4] !== "1")) throw new ProxyError("HTTP_VERSION");
  const isModern = parts[4] === "1";
  const line = method.length + target.length + 12;
  if (line > MAX_LINE) throw new ProxyError("TARGET_TOO_LONG");
  try {
    const { flat, length = 0, isChunked, connection } = parseFields(text, line, isModern);
    if (flat.length > 2 * MAX_FIELDS) throw new ProxyError("HEAD_TOO_LARGE");
    return {
      method,
      target,
      fields: flat,
      length: isChunked ? CHUNKED : length,
      isModern,
      keepAlive: keepsAlive(connection, isModern),
    };
  } catch (cause) {
    throw cause instanceof InvalidMessage
      ? new ProxyError("INVALID_HTTP", { hint: `There is ${cause.message}.` })
      : cause;
  }
}

/** Reads heads from the bytes of a connection. */
export class HeadReader {
  /** A head that is not whole. */
  #held: Buffer | undefined;
  /** Its request line has been looked at. */
  #hasLine = false;

  /** Whether the beginning of a head waits for the rest of it. */
  get isWaiting(): boolean {
    return this.#held !== undefined;
  }

  /**
   * @returns the head and where the bytes behind it begin in `bytes`, or nothing yet
   * @throws ProxyError as {@link parseRequestHead}
   */
  read(input: Buffer): { head: RequestHeadText; bytes: Buffer; end: number } | undefined {
    const bytes = this.#held ? Buffer.concat([this.#held, input]) : input;
    const known = bytes.length - input.length;
    // RFC 9112 §2.2: one empty line before a request is forgiven.
    const start = bytes[0] === CR && (bytes.length === 1 || bytes[1] === LF) ? 2 : 0;
    const end = bytes.length < start ? -1 : bytes.indexOf(HEAD_END, Math.max(start, known - 3));
    if (end === -1 || end - start > MAX_HEAD) {
      if (bytes.length > start) this.#check(bytes, start, Math.max(start, known));
      this.#held = bytes;
      return undefined;
    }
    this.#held = undefined;
    this.#hasLine = false;
    return { head: parseRequestHead(bytes.toString("latin1", start, end + 2)), bytes, end: end + 4 };
  }

  /** A head that is not whole must look like one so far: nobody waits for the end of something else. */
  #check(bytes: Buffer, start: number, known: number): void {
    if (!this.#hasLine) {
      const lf = bytes.indexOf(LF, start);
      const line = bytes.toString("latin1", start, lf === -1 ? bytes.length : lf + 1);
      if (line.length > MAX_LINE) throw new ProxyError("TARGET_TOO_LONG");
      if (!(lf === -1 ? LINE_SO_FAR : LINE).test(line)) throw new ProxyError("INVALID_HTTP", { hint: NO_LINE });
      this.#hasLine = lf !== -1;
    }
    // One line for some readers, two for others.
    for (let lf = bytes.indexOf(LF, known); lf !== -1; lf = bytes.indexOf(LF, lf + 1))
      if (bytes[lf - 1] !== CR) throw new ProxyError("INVALID_HTTP", { hint: "There is a line end without CR." });
    if (bytes.length - start > MAX_HEAD) throw new ProxyError("HEAD_TOO_LARGE");
  }
}
