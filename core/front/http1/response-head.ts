/** The head of an answer as bytes (RFC 9112 §4). Framing and connection are written here and nowhere else. */
import { STATUS_CODES } from "node:http";
import type { HeaderList } from "../../headers.ts";

/** How the client learns where the body ends. */
export type Framing = "none" | "chunked" | "close" | number;

export interface ResponseHead {
  status: number;
  headers: HeaderList;
  framing: Framing;
  /** The connection is used again. */
  keepAlive: boolean;
  /** The client speaks HTTP/1.0, where a connection ends unless both say otherwise. */
  isOld: boolean;
  /** For answers that bring no date of their own (RFC 9110 §6.6.1). */
  date: string;
}

/** @param keepAliveFor seconds that an idle connection is kept; 0 is not told */
export function writeResponseHead(head: ResponseHead, keepAliveFor: number): string {
  const { status, framing, keepAlive } = head;
  const { flat } = head.headers;
  let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n`;
  let hasDate = false;
  for (let i = 0; i < flat.length; i += 2) {
    const name = flat[i]!;
    if (name === "date") hasDate = true;
    else if (name === "connection" || name === "transfer-encoding" || name === "keep-alive") continue;
    // What was framed by somebody else is framed anew; a HEAD or 304 only tells what would have been sent (RFC 9110 §8.6).
    else if (name === "content-length" && (framing !== "none" || status === 204)) continue;
    text += `${name}: ${flat[i + 1]}\r\n`;
  }
  if (!hasDate) text += `date: ${head.date}\r\n`;
  if (typeof framing === "number") text += `content-length: ${framing}\r\n`;
  else if (framing === "chunked") text += "transfer-encoding: chunked\r\n";
  if (!keepAlive) return `${text}connection: close\r\n\r\n`;
  if (head.isOld) text += "connection: keep-alive\r\n";
  return keepAliveFor > 0 ? `${text}keep-alive: timeout=${keepAliveFor}\r\n\r\n` : `${text}\r\n`;
}
