import { createHash } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:net";
import { gate, rawServer, within } from "./peers.ts";
import type { Use } from "./scope.ts";
import { rss } from "./vitals.ts";
import { call, front, post } from "./wire.ts";

const PIECE = 64 * 1024;

/** What became of a stream whose client stopped reading behind the head, and went on later. */
export interface Stalled {
  /** Bytes that the server could send while the client read nothing. */
  accepted: number;
  /** By how many bytes the proxy's process had grown then. */
  grown: number;
  /** The same at its highest while the rest went through. */
  grownLater: number;
  /** Every byte arrived, in order. */
  same: boolean;
}

/**
 * A server pushes an event stream as fast as it can; its client reads the head only. When the server is blocked, the client
 * reads on.
 *
 * @param total bytes of the stream, about
 */
export async function stalled(use: Use, plugins: unknown, total: number): Promise<Stalled> {
  const pieces = Math.ceil(total / PIECE);
  const [blocked, wanted, got] = [gate(), createHash("sha256"), createHash("sha256")];
  let accepted = 0;
  const server = await use(
    rawServer(async (connection) => {
      await connection.receiveRequest();
      connection.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n");
      for (let i = 0; i < pieces && !connection.socket.destroyed; i++) {
        const piece = pieceOf(i);
        wanted.update(piece);
        accepted += piece.length;
        if (connection.send(piece)) continue;
        const drained = once(connection.socket, "drain");
        // Full buffers alone are ordinary; no drain while the event loop turned many times is back-pressure.
        if (!blocked.isOpen && (await Promise.race([drained, turns(2000)])) === "still full") blocked.open();
        await drained;
      }
      connection.fin();
    }),
  );
  const proxy = await use(front(server.url, plugins));
  // What the first request loads and keeps is not held for a client.
  await fetch(proxy.url, { method: "HEAD" });
  const before = await rss(proxy.pid);
  const socket = connect(proxy.port, "127.0.0.1");
  try {
    await once(socket, "connect");
    socket.write(post(call()));
    const [first] = (await once(socket, "data")) as [Buffer];
    socket.pause();
    await within(blocked.promise, "the server to be blocked", { timeout: 20_000 });
    const stalledAt = { accepted, grown: (await rss(proxy.pid)) - before };
    let highest = 0;
    const watching = setInterval(() => void rss(proxy.pid).then((now) => (highest = Math.max(highest, now))), 100);
    const body = unchunk((piece) => got.update(piece));
    const whole = new Promise<void>((resolve) => (body.done = resolve));
    body(first);
    socket.on("data", body);
    socket.resume();
    await within(whole, "all bytes", { timeout: 120_000 }).finally(() => clearInterval(watching));
    return { ...stalledAt, grownLater: highest - before, same: got.digest("hex") === wanted.digest("hex") };
  } finally {
    socket.destroy();
    if (!socket.closed) await once(socket, "close");
  }
}

/** One event, unlike all others. Its id says that the stream can be resumed: it may end without a response. */
function pieceOf(i: number): Buffer {
  const piece = Buffer.alloc(PIECE, 0x61);
  piece.write(`id: ${String(i).padStart(12, "0")}\ndata: `, 0, "latin1");
  piece.write("\n\n", PIECE - 2, "latin1");
  return piece;
}

async function turns(count: number): Promise<"still full"> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
  return "still full";
}

/** Takes a chunked response apart as it comes; the parser of the raw client would keep it all as text. */
function unchunk(onPiece: (piece: Buffer) => void) {
  let rest: Buffer = Buffer.alloc(0);
  let inHead = true;
  /** Of a chunk and its CRLF. */
  let left = 0;
  const feed = (data: Buffer) => {
    rest = rest.length > 0 ? Buffer.concat([rest, data]) : data;
    while (rest.length > 0) {
      if (left > 2) {
        const piece = rest.subarray(0, Math.min(left - 2, rest.length));
        onPiece(piece);
        left -= piece.length;
        rest = rest.subarray(piece.length);
      } else if (left > 0) {
        if (rest.length < left) return;
        rest = rest.subarray(left);
        left = 0;
      } else {
        const mark = inHead ? "\r\n\r\n" : "\r\n";
        const at = rest.indexOf(mark);
        if (at === -1) return;
        const line = rest.subarray(0, at).toString("latin1");
        rest = rest.subarray(at + mark.length);
        if (inHead) inHead = false;
        else if (line === "0") return feed.done();
        else left = Number.parseInt(line, 16) + 2;
      }
    }
  };
  feed.done = () => {};
  return feed;
}
