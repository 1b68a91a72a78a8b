/** A reader of HTTP/1.1 messages (RFC 9112), written for clarity and to refuse whatever is not exactly right. */

export interface HttpMessage {
  startLine: string;
  /** Names in lower case, in order. */
  fields: [name: string, value: string][];
  body: Buffer;
  /** The body came to its end by its own framing, not by the end of the connection. */
  whole: boolean;
  /** Bytes that it took. */
  length: number;
}

export interface Response extends HttpMessage {
  status: number;
  /** Interim answers before it. */
  interim: number[];
}

const HEAD_END = Buffer.from("\r\n\r\n");
const CRLF = Buffer.from("\r\n");

export function field({ fields }: Pick<HttpMessage, "fields">, name: string): string | undefined {
  const found = fields.filter(([key]) => key === name);
  if (found.length > 1) throw new Error(`${found.length} × ${name}`);
  return found[0]?.[1];
}

/** @returns `undefined` while it is not whole @throws Error for what is no request */
export function readRequest(bytes: Buffer): HttpMessage | undefined {
  const head = readHead(bytes, 0);
  if (!head) return undefined;
  if (!/^[A-Z]+ \/[\x21-\x7e]* HTTP\/1\.1$/.test(head.startLine)) throw new Error(`request line ${head.startLine}`);
  if (field(head, "transfer-encoding") !== undefined) throw new Error("a request with transfer-encoding");
  const size = sizeOf(field(head, "content-length") ?? "0");
  if (bytes.length < head.length + size) return undefined;
  return { ...head, body: bytes.subarray(head.length, head.length + size), whole: true, length: head.length + size };
}

/**
 * @param ended nothing follows
 * @param method of the request
 * @returns `undefined` while more has to come @throws Error for what is no answer
 */
export function readResponse(bytes: Buffer, ended: boolean, method: string): Response | undefined {
  const interim: number[] = [];
  for (let at = 0; ;) {
    const head = readHead(bytes, at);
    if (!head) return undefined;
    const status = Number(/^HTTP\/1\.1 ([1-5]\d\d)(?: |$)/.exec(head.startLine)?.[1]);
    if (!status) throw new Error(`status line ${JSON.stringify(head.startLine)}`);
    if (status < 200) {
      interim.push(status);
      at = head.length;
      continue;
    }
    const bodiless = method === "HEAD" || status === 204 || status === 304;
    const body = bodiless ? { body: Buffer.alloc(0), whole: true, length: head.length } : readBody(bytes, head, ended);
    return body && { ...head, ...body, status, interim };
  }
}

type Head = Pick<HttpMessage, "startLine" | "fields" | "length">;
type BodyPart = Pick<HttpMessage, "body" | "whole" | "length">;

function readHead(bytes: Buffer, from: number): Head | undefined {
  const end = bytes.indexOf(HEAD_END, from);
  if (end === -1) return undefined;
  const [startLine = "", ...lines] = bytes.toString("latin1", from, end).split("\r\n");
  const fields = lines.map((line): [string, string] => {
    const parts = /^([!#$%&'*+\-.^_`|~\dA-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*$/.exec(line);
    if (!parts) throw new Error(`field line ${JSON.stringify(line)}`);
    return [parts[1]!.toLowerCase(), parts[2]!];
  });
  return { startLine, fields, length: end + 4 };
}

function readBody(bytes: Buffer, head: Head, ended: boolean): BodyPart | undefined {
  const coding = field(head, "transfer-encoding");
  const length = field(head, "content-length");
  if (coding !== undefined) {
    if (coding !== "chunked" || length !== undefined) throw new Error(`transfer-encoding ${coding}, length ${length}`);
    return readChunks(bytes, head.length, ended);
  }
  const size = length === undefined ? Number.POSITIVE_INFINITY : sizeOf(length);
  const body = bytes.subarray(head.length, head.length + size);
  if (body.length < size && !ended) return undefined;
  // Without a length the end of the connection is the end of the body.
  return { body, whole: body.length === size || size === Number.POSITIVE_INFINITY, length: head.length + body.length };
}

function readChunks(bytes: Buffer, from: number, ended: boolean): BodyPart | undefined {
  const parts: Buffer[] = [];
  const cut = () => (ended ? { body: Buffer.concat(parts), whole: false, length: bytes.length } : undefined);
  for (let at = from; ;) {
    const line = bytes.indexOf(CRLF, at);
    if (line === -1) return cut();
    const text = bytes.toString("latin1", at, line);
    if (!/^[\da-f]+$/i.test(text)) throw new Error(`chunk size ${JSON.stringify(text)}`);
    const size = Number.parseInt(text, 16);
    at = line + 2;
    parts.push(bytes.subarray(at, at + size));
    if (bytes.length < at + size + 2) return cut();
    if (!bytes.subarray(at + size, at + size + 2).equals(CRLF)) throw new Error("no CRLF behind a chunk");
    at += size + 2;
    if (size === 0) return { body: Buffer.concat(parts), whole: true, length: at };
  }
}

function sizeOf(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new Error(`content-length ${JSON.stringify(text)}`);
  return Number(text);
}
