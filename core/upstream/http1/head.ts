/** The head of an answer (RFC 9112 §4, §6.3): from its text to its fields and to where its body ends. */
import { FIELD_LINES, InvalidMessage, keepsAlive, parseFields } from "../../http1/fields.ts";

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

/** A reason phrase is optional, and many servers leave out its space too. */
const HEAD = new RegExp(String.raw`^HTTP\/1\.[01] [1-5]\d\d(?: [\t\x20-\x7e\x80-\xff]*)?\r\n${FIELD_LINES}$`);
const START = "HTTP/1.";

/** @param text the head with the line end of its last line, one character per byte @throws InvalidMessage */
export function parseHead(text: string): Head {
  if (!HEAD.test(text)) {
    checkStart(text);
    throw new InvalidMessage("a malformed header");
  }
  const isModern = text.charCodeAt(7) === 0x31;
  const { flat, length, isChunked, connection } = parseFields(text, text.indexOf("\r\n") + 2, isModern);
  return {
    status: Number(text.slice(9, 12)),
    headers: flat,
    length: isChunked ? CHUNKED : (length ?? UNTIL_CLOSE),
    keepAlive: keepsAlive(connection, isModern),
    keepAliveFor: keptFor(flat),
  };
}

/**
 * Whether a text can be the beginning of an answer, however short it is: a server that speaks something else must not be
 * waited for.
 *
 * @throws InvalidMessage
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
    if (!fits) throw new InvalidMessage("no HTTP/1.1 status line");
  }
}

/** `timeout` of a `Keep-Alive` field (RFC 2068 §19.7.1.1), in milliseconds. */
function keptFor(flat: readonly string[]): number | undefined {
  for (let i = 0; i < flat.length; i += 2) {
    if (flat[i] !== "keep-alive") continue;
    const found = /(?:^|[\s,])timeout\s*=\s*(\d{1,6})/i.exec(flat[i + 1]!);
    return found ? Number(found[1]) * 1000 : undefined;
  }
  return undefined;
}
