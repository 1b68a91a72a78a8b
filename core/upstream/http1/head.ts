/** The head of an answer (RFC 9112 §4, §5, §6): one pass from its text to its fields and to where its body ends. */

/** An answer that is not HTTP as RFC 9112 writes it, or that two readers could read in two ways. */
export class InvalidAnswer extends Error {
  override readonly name = "InvalidAnswer";
}

/** The body ends with the connection. */
export const UNTIL_CLOSE = -1;
/** The body says itself where it ends. */
export const CHUNKED = -2;

export interface Head {
  status: number;
  /** name, value, name, value …; names in lower case, repeated fields apart. */
  headers: string[];
  /** Bytes of the body, {@link UNTIL_CLOSE} or {@link CHUNKED}; what the method and the status say comes first. */
  length: number;
  /** Whether the server lets the connection be used again. */
  keepAlive: boolean;
  /** How long it keeps an idle connection, in milliseconds, where it says so. */
  keepAliveFor: number | undefined;
}

/**
 * Status line and fields: no line folding, no space before the colon, no bare CR or LF, no NUL or other control character
 * (RFC 9112 §4, §5). A reason phrase is optional, and many servers leave out its space too.
 */
const HEAD =
  /^HTTP\/1\.[01] [1-5]\d\d(?: [\t\x20-\x7e\x80-\xff]*)?\r\n(?:[!#$%&'*+\-.^_`|~\dA-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)*$/;
/** 15 digits stay below 2^53. */
const LENGTH = /^\d{1,15}$/;
const START = "HTTP/1.";

/** @param text the head with the line end of its last line, one character per byte @throws InvalidAnswer */
export function parseHead(text: string): Head {
  if (!HEAD.test(text)) {
    checkStart(text);
    throw new InvalidAnswer("a malformed header");
  }
  const status = Number(text.slice(9, 12));
  const modern = text.charCodeAt(7) === 0x31;
  const headers: string[] = [];
  let length: string | undefined;
  let coding: string | undefined;
  let connection = "";
  let keepAliveFor: number | undefined;
  for (let at = text.indexOf("\r\n") + 2; at < text.length;) {
    const colon = text.indexOf(":", at);
    const end = text.indexOf("\r\n", colon);
    const name = text.slice(at, colon).toLowerCase();
    const value = trimmed(text, colon + 1, end);
    at = end + 2;
    headers.push(name, value);
    if (name === "content-length") {
      if (length !== undefined || !LENGTH.test(value)) throw new InvalidAnswer("an unusable content-length");
      length = value;
    } else if (name === "transfer-encoding") {
      if (coding !== undefined || value.toLowerCase() !== "chunked")
        throw new InvalidAnswer("an unusable transfer-encoding");
      coding = value;
    } else if (name === "connection") connection = connection === "" ? value : `${connection},${value}`;
    else if (name === "keep-alive") keepAliveFor = seconds(value);
  }
  // RFC 9112 §6.1, §6.3: both together are the mark of request smuggling; HTTP/1.0 knows no chunks.
  if (coding !== undefined && (length !== undefined || !modern))
    throw new InvalidAnswer("a transfer-encoding that contradicts the rest");
  return {
    status,
    headers,
    length: coding === undefined ? (length === undefined ? UNTIL_CLOSE : Number(length)) : CHUNKED,
    keepAlive: modern ? !hasOption(connection, "close") : hasOption(connection, "keep-alive"),
    keepAliveFor,
  };
}

/**
 * Whether a text can be the beginning of an answer, however short it is: a server that speaks something else must not be
 * waited for.
 *
 * @throws InvalidAnswer
 */
export function checkStart(text: string): void {
  const length = Math.min(text.length, 13);
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i);
    const fits =
      i < 7
        ? code === START.charCodeAt(i)
        : i === 7
          ? code === 0x30 || code === 0x31
          : i === 8
            ? code === 0x20
            : i < 12
              ? code >= 0x30 && code <= 0x39
              : code === 0x20 || code === 0x0d;
    if (!fits) throw new InvalidAnswer("no HTTP/1.1 status line");
  }
}

function trimmed(text: string, from: number, to: number): string {
  let start = from;
  let end = to;
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

function hasOption(connection: string, option: string): boolean {
  if (connection === "") return false;
  if (connection === option) return true;
  return connection.split(",").some((one) => one.trim().toLowerCase() === option);
}

/** `timeout` of a `Keep-Alive` field (RFC 2068 §19.7.1.1), in milliseconds. */
function seconds(value: string): number | undefined {
  const found = /(?:^|[\s,])timeout\s*=\s*(\d{1,6})/i.exec(value);
  return found ? Number(found[1]) * 1000 : undefined;
}
