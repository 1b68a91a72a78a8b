// As much of HTTP/1.1 as the bench's own upstream and load generators need: whole messages, keep-alive, one request at a time.
import { connect } from "node:net";

const endOfHead = Buffer.from("\r\n\r\n");

/** Offset behind a chunked body that starts at `at`, or 0 while it is incomplete. Trailers are not expected. */
function endOfChunks(buffer, at) {
  for (;;) {
    const lineEnd = buffer.indexOf("\r\n", at);
    if (lineEnd < 0) return 0;
    const size = Number.parseInt(buffer.latin1Slice(at, lineEnd), 16);
    at = lineEnd + 2 + size + 2;
    if (!(at <= buffer.length)) return 0;
    if (size === 0) return at;
  }
}

/** Where the first message in `buffer` has its body and its end; nothing while it is incomplete. */
export function parse(buffer) {
  const headEnd = buffer.indexOf(endOfHead);
  if (headEnd < 0) return;
  const head = buffer.latin1Slice(0, headEnd);
  const bodyAt = headEnd + 4;
  const length = /\ncontent-length: *(\d+)/i.exec(head);
  const chunked = !length && /\ntransfer-encoding: *chunked/i.test(head);
  const end = chunked ? endOfChunks(buffer, bodyAt) : bodyAt + (length ? Number(length[1]) : 0);
  if (end && end <= buffer.length) return { head, bodyAt, end };
}

/** Request line and fields, for {@link request}. */
export function requestHead(method, url, headers) {
  const { host, pathname, search } = new URL(url);
  const lines = Object.entries({ Host: host, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${pathname}${search} HTTP/1.1\r\n${lines.join("")}`;
}

/** A whole request; a body is ASCII. */
export function request(head, body) {
  return body ? `${head}Content-Length: ${body.length}\r\n\r\n${body}` : `${head}\r\n`;
}

/** A kept-alive connection. `ask` must not be called while an answer is awaited. */
export class Connection {
  #waiting;
  #rest;

  constructor(url) {
    const { hostname, port } = new URL(url);
    this.socket = connect({ host: hostname, port: Number(port), noDelay: true });
    this.socket.on("data", (data) => this.#read(data));
    this.socket.on("error", (error) => this.#end(error));
    this.socket.on("close", () => this.#end(new Error("connection closed")));
  }

  /**
   * Sends the bytes of a request. A chunked body comes with its framing: enough to look for a text in it.
   * @returns {Promise<{ status: number, head: string, body: string }>}
   */
  ask(bytes) {
    if (this.ended) return Promise.reject(this.ended);
    this.socket.write(bytes);
    return new Promise((done, fail) => (this.#waiting = { done, fail }));
  }

  close() {
    this.socket.destroy();
  }

  #read(data) {
    const buffer = this.#rest ? Buffer.concat([this.#rest, data]) : data;
    const found = parse(buffer);
    this.#rest = found ? undefined : buffer;
    if (!found) return;
    const { head, bodyAt, end } = found;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.done({ status: Number(head.slice(9, 12)), head, body: buffer.utf8Slice(bodyAt, end) });
  }

  #end(error) {
    this.ended ??= error;
    this.#waiting?.fail(error);
    this.#waiting = undefined;
  }
}
