import { type ByteTransform, type Exchange, ProxyError, type Sink } from "../core/index.ts";

const LF = 0x0a;
const CR = 0x0d;
const COLON = 0x3a;
/** Longest comment that is taken for a heartbeat, in bytes. */
const MAX_BEAT = 128;
/** Two gaps are alike when they differ by less than this part. */
const TOLERANCE = 0.25;

/** When a stream of a server that sends heartbeats is given up. */
export interface HeartbeatLimits {
  /** So many in a row that did not come. */
  missed: number;
  /** Comments that come faster are none, in milliseconds. */
  shortest: number;
}

/**
 * Finds out whether a server sends heartbeats, comments at a steady interval, on one event stream, and ends the stream when they
 * stay away. The comments of this proxy would hide from the client that nobody is there any more. A stream that never had a
 * heartbeat may be silent for as long as it likes.
 */
export class HeartbeatWatch implements ByteTransform {
  readonly #exchange: Exchange;
  readonly #limits: HeartbeatLimits;
  /** `performance.now()`, as all that follows. */
  #lastBeat = 0;
  #lastGap = 0;
  #lastSign = 0;
  /** The interval, once it is known. */
  #period = 0;
  #late = false;

  constructor(exchange: Exchange, limits: HeartbeatLimits) {
    this.#exchange = exchange;
    this.#limits = limits;
  }

  write(chunk: Uint8Array, sink: Sink): void {
    const isBeat = chunk[0] === COLON && chunk.length <= MAX_BEAT && hasOnlyComments(chunk);
    if (isBeat || this.#period > 0) {
      this.#lastSign = performance.now();
      if (isBeat) this.#beat(this.#lastSign, sink);
    }
    sink.emit(chunk);
  }

  #beat(now: number, sink: Sink): void {
    const gap = now - this.#lastBeat;
    const isSteady = this.#lastGap > 0 && Math.abs(gap - this.#lastGap) <= TOLERANCE * gap;
    if (isSteady && Math.min(gap, this.#lastGap) >= this.#limits.shortest) {
      const isNews = this.#period === 0;
      this.#period = Math.max(this.#period, gap, this.#lastGap);
      if (isNews) this.#exchange.every(this.#period / 2, () => this.#check(sink));
    }
    this.#lastGap = this.#lastBeat > 0 ? gap : 0;
    this.#lastBeat = now;
  }

  #check(sink: Sink): void {
    const now = performance.now();
    // Heartbeats that came may wait behind what is not read.
    if (sink.paused) this.#lastSign = now;
    const isLate = now - this.#lastSign > this.#limits.missed * this.#period;
    // A process that stood still sees the time go by before it reads what came meanwhile: only the second look counts.
    if (isLate && this.#late)
      return sink.cut(
        new ProxyError("UPSTREAM_SILENT", {
          server: this.#exchange.mount.server,
          detail: `${this.#limits.missed} heartbeats missed, one every ${Math.round(this.#period)} ms`,
        }),
      );
    this.#late = isLate;
  }
}

/** Whether every line is a comment or empty (WHATWG HTML §9.2.6), and the last one is whole. */
function hasOnlyComments(chunk: Uint8Array): boolean {
  let isStart = true;
  for (const byte of chunk) {
    const isEnd = byte === LF || byte === CR;
    if (isStart && !isEnd && byte !== COLON) return false;
    isStart = isEnd;
  }
  return isStart;
}
