/** Header fields of HTTP/1.1 (RFC 9112 §5, §6), as requests and answers have them: one pass from their text to where the body ends. */

/** What is not HTTP as RFC 9112 writes it, or what two readers could read in two ways. */
export class InvalidMessage extends Error {
  override readonly name = "InvalidMessage";
}

/**
 * Lines of fields: no line folding, no space before the colon, no bare CR or LF, no NUL or other control character. Part of a
 * regular expression.
 */
export const FIELD_LINES: string = String.raw`(?:[!#$%&'*+\-.^_\x60|~\dA-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)*`;
/** 15 digits stay below 2^53. */
const LENGTH = /^\d{1,15}$/;

export interface Fields {
  /** name, value, name, value …; names in lower case, repeated fields apart. */
  flat: string[];
  /** Of the body, where `Content-Length` tells. */
  length: number | undefined;
  isChunked: boolean;
  /** The `Connection` fields. */
  connection: string;
}

/**
 * @param text lines that {@link FIELD_LINES} accepts @param from where they begin
 * @param isModern HTTP/1.1; HTTP/1.0 knows no chunks
 * @throws InvalidMessage
 */
export function parseFields(text: string, from: number, isModern: boolean): Fields {
  const flat: string[] = [];
  let length: string | undefined;
  let isChunked = false;
  let connection = "";
  for (let at = from; at < text.length;) {
    const colon = text.indexOf(":", at);
    const end = text.indexOf("\r\n", colon);
    const name = text.slice(at, colon).toLowerCase();
    const value = trimmed(text, colon + 1, end);
    at = end + 2;
    flat.push(name, value);
    if (name === "content-length") {
      // Two of them, even equal ones, are the mark of two messages in one.
      if (length !== undefined || !LENGTH.test(value)) throw new InvalidMessage("an unusable content-length");
      length = value;
    } else if (name === "transfer-encoding") {
      if (isChunked || value.toLowerCase() !== "chunked") throw new InvalidMessage("an unusable transfer-encoding");
      isChunked = true;
    } else if (name === "connection") connection = connection === "" ? value : `${connection},${value}`;
  }
  // RFC 9112 §6.1, §6.3: both together are the mark of request smuggling.
  if (isChunked && (length !== undefined || !isModern))
    throw new InvalidMessage("a transfer-encoding that contradicts the rest");
  return { flat, length: length === undefined ? undefined : Number(length), isChunked, connection };
}

/** RFC 9112 §9.3: whether the connection may carry another message, as far as this one says. */
export function keepsAlive(connection: string, isModern: boolean): boolean {
  return isModern ? !hasOption(connection, "close") : hasOption(connection, "keep-alive");
}

function hasOption(connection: string, option: string): boolean {
  if (connection === "") return false;
  if (connection === option) return true;
  return connection.split(",").some((one) => one.trim().toLowerCase() === option);
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
