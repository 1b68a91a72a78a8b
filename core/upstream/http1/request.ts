/** A request as bytes (RFC 9112 §3). Framing and connection are written here and nowhere else. */
import { ProxyError } from "../../errors.ts";
import { HOP_BY_HOP } from "../../headers.ts";
import type { WireRequest } from "../wire.ts";

/** What a caller cannot say: it would contradict what is written here. */
const OWN: ReadonlySet<string> = new Set([...HOP_BY_HOP, "host", "content-length", "expect"]);
const TOKEN = /^[!#$%&'*+\-.^_`|~\dA-Za-z]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const TARGET = /^[\x21-\x7e]+$/;
/** Bodies up to here are copied behind their head, so that a request is one write. */
const SMALL = 16 * 1024;

/** What every request of a connection says. */
export interface Origin {
  /** The `Host` field. */
  host: string;
  /** Before the path: empty, or the origin where an HTTP proxy is asked (RFC 9112 §3.2.2). */
  targetPrefix: string;
  /** Lines added to every head, with their line ends. */
  lines: string;
}

/**
 * @returns the bytes; where there are two pieces, the second one is the body
 * @throws ProxyError `INTERNAL` for a name, value or path that would end its line or mean something else
 */
export function writeRequest(origin: Origin, request: WireRequest): [Buffer] | [Buffer, Uint8Array] {
  const { method, path, headers, body } = request;
  if (!TOKEN.test(method)) throw unwritable("method");
  if (!TARGET.test(path)) throw unwritable("path");
  let head = `${method} ${origin.targetPrefix}${path} HTTP/1.1\r\nhost: ${origin.host}\r\nconnection: keep-alive\r\n${origin.lines}`;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!;
    const value = headers[i + 1]!;
    if (OWN.has(name.toLowerCase())) continue;
    if (!TOKEN.test(name)) throw unwritable("header name");
    if (!VALUE.test(value)) throw unwritable(`value of header '${name}'`);
    head += `${name}: ${value}\r\n`;
  }
  // RFC 9110 §8.6: a POST without a body says so.
  if (body || method === "POST" || method === "PUT" || method === "PATCH")
    head += `content-length: ${body?.length ?? 0}\r\n`;
  head += "\r\n";
  const size = body?.length ?? 0;
  if (size > SMALL) return [Buffer.from(head, "latin1"), body!];
  const bytes = Buffer.allocUnsafe(head.length + size);
  bytes.write(head, 0, "latin1");
  if (size > 0) bytes.set(body!, head.length);
  return [bytes];
}

function unwritable(what: string): ProxyError {
  return new ProxyError("INTERNAL", { detail: `a ${what} that HTTP does not allow` });
}
