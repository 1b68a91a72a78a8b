import { type ByteTransform, type Exchange, type Plugin, isEventStream } from "../core/index.ts";
import { listenResult } from "./_listen-result.ts";

/** Options of {@link sseRelay}. Times are in milliseconds; 0, `NaN` and `Infinity` turn a thing off. */
export interface SseRelayOptions {
  /** A comment is sent after this long without a byte, so that proxies and clients keep the stream. @default 15000 */
  keepAlive?: number;
  /** What a client is told to wait before it comes back, when the proxy stops. @default 1000 */
  retry?: number;
}

const KEEP_ALIVE = new TextEncoder().encode(": keep-alive\n\n");
const LF = 0x0a;
const CR = 0x0d;
/** Checks per period: a comment comes at most a quarter of it late. */
const CHECKS = 4;

/**
 * What an event stream needs on its way through the world: headers that keep other proxies from buffering, compressing or
 * caching it, comments while it is silent, and the end that its era has for a stream that only listens when the proxy stops.
 * That bytes are never held back is the core's doing.
 */
export function sseRelay(options: SseRelayOptions = {}): Plugin {
  const { keepAlive = 15_000, retry = 1000 } = options;
  return {
    name: "sse-relay",
    response(_exchange, answer) {
      if (!isEventStream(answer.headers)) return;
      const { headers } = answer;
      headers.delete("content-length");
      headers.set("cache-control", "no-cache, no-transform");
      // MCP 2026-07-28, Streamable HTTP: servers SHOULD send it; nginx buffers without.
      headers.set("x-accel-buffering", "no");
    },
    body(exchange, answer) {
      // What is whole already has nothing to keep open.
      if (answer.body.kind === "stream" && isEventStream(answer.headers))
        return keepOpen(exchange, { keepAlive, retry });
    },
  };
}

function keepOpen(exchange: Exchange, { keepAlive, retry }: Required<SseRelayOptions>): ByteTransform {
  let lastWrite = performance.now();
  // The last four bytes, by value: a reference to the chunk would keep it in memory while the stream is silent.
  let [a, b, c, d] = [LF, LF, LF, LF];
  let draining = false;

  return {
    open(sink) {
      if (!isOn(keepAlive)) return;
      exchange.every(keepAlive / CHECKS, () => {
        const now = performance.now();
        if (sink.blocked || !betweenEvents() || now - lastWrite < keepAlive * (1 - 1 / CHECKS)) return;
        lastWrite = now;
        sink.emit(KEEP_ALIVE);
      });
    },
    write(chunk, sink) {
      lastWrite = performance.now();
      const { length } = chunk;
      if (length >= 4) [a, b, c, d] = [chunk[length - 4]!, chunk[length - 3]!, chunk[length - 2]!, chunk[length - 1]!];
      else for (const byte of chunk) [a, b, c, d] = [b, c, d, byte];
      sink.emit(chunk);
    },
    drain(sink) {
      if (draining || !betweenEvents()) return;
      const last = lastEvent(exchange, Math.max(0, Math.trunc(retry) || 0));
      if (last === undefined) return;
      draining = true;
      sink.emit(new TextEncoder().encode(last));
      sink.end();
    },
  };

  /** The last line was empty: what is sent now tears no event. */
  function betweenEvents(): boolean {
    if (d === CR) return c === CR;
    return d === LF && (c === LF || (c === CR && b === LF && a === CR));
  }
}

/**
 * What ends a stream that only listens, and would hold a stop up for ever; nothing for a call under way, which gets its time.
 *
 * @param retry milliseconds
 */
function lastEvent({ posted, request }: Exchange, retry: number): string | undefined {
  if (request.method === "GET") return `retry: ${retry}\n\n`;
  if (posted?.method !== "subscriptions/listen" || posted.idText === undefined) return undefined;
  return `data: ${listenResult(posted.idText)}\n\n`;
}

/** A time that is a time. */
function isOn(ms: number): boolean {
  return Number.isFinite(ms) && ms > 0;
}
