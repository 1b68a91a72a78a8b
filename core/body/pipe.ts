/**
 * The way out: source ▶ framer ▶ byte transforms ▶ outlet. Chunks of one tick are joined and written once, which is worth
 * more on a busy event stream than anything else; nothing waits longer than that tick.
 */
import { ProxyError, isProxyError } from "../errors.ts";
import type { Deadline, Deadlines } from "../deadlines.ts";
import type { Awaitable, ByteTransform } from "../types.ts";
import type { Receiver, Source } from "./body.ts";
import { joinChunks } from "./sse.ts";
import { StageSink } from "./stage-sink.ts";

/** Where the bytes of an answer leave: a Node response or a web stream. */
export interface Outlet {
  /** @returns false when the client is slow: the outlet calls `pipe.drained()` when it reads again */
  write(chunk: Uint8Array): boolean;
  /** @param last written before the end, in one go with it */
  end(last?: Uint8Array): void;
  /** Ends so that the client can tell that the answer is not whole. */
  cut(): void;
  /** Sends the head although there is no byte yet. */
  flushHead(): void;
}

/** Bytes that may wait here before the source is stopped. */
const HIGH_WATER = 64 * 1024;
/** Average size of chunks, in bytes, from which on they are not joined. */
const LARGE = 8 * 1024;
const EMPTY = new Uint8Array();

/** What looks at the bytes of a stream before they go on, and may change them. */
export interface StreamReader {
  /** @returns a promise while a hook is at work */
  write(chunk: Uint8Array, out: (bytes: Uint8Array) => void): Awaitable<void>;
  end(out: (bytes: Uint8Array) => void): Awaitable<void>;
}

export interface PipeOptions {
  source: Source;
  /** Reads what passes. */
  framer?: StreamReader;
  transforms: readonly ByteTransform[];
  /** Cuts a client that takes nothing of what waits for it for `ms` milliseconds; 0 never. @default never */
  stall?: { deadlines: Deadlines; ms: number };
  /** Bytes that answer what is still pending: before the connection is cut, or (without an error) before a clean end. */
  lastWords?: (error?: ProxyError) => Uint8Array | undefined;
  /** Once: the last byte was handed over, or the answer broke. */
  onEnd(error?: ProxyError): void;
}

export class Pipe implements Receiver {
  readonly #options: PipeOptions;
  readonly #sinks: readonly StageSink[];
  #outlet: Outlet | undefined;
  #chunks: Uint8Array[] = [];
  #size = 0;
  #scheduled = false;
  /** A message hook is at work. */
  #busy = false;
  /** The source is stopped. */
  paused = false;
  blocked = false;
  #stall: Deadline | undefined;
  /** Bytes handed to the outlet. */
  bytes = 0;
  /** A piece that waits for the end, which is due in the same turn. */
  #held: Uint8Array | undefined;
  #ended: "no" | "well" | ProxyError = "no";
  #cancelled = false;
  #over = false;

  constructor(options: PipeOptions) {
    this.#options = options;
    this.#sinks = options.transforms.map((_, i) => new StageSink(this, i + 1));
    options.source.start(this);
  }

  /** The head is out; bytes may follow. */
  attach(outlet: Outlet): void {
    this.#outlet = outlet;
    this.#guard(() => {
      this.#options.transforms.forEach((transform, i) => transform.open?.(this.#sinks[i]!));
    });
    if (this.#chunks.length > 0 || this.#ended !== "no") this.#flush();
    // Nothing yet: the client gets its status line now, however long the server thinks.
    else this.#schedule();
  }

  /** The client reads again. */
  drained(): void {
    this.blocked = false;
    this.#stall?.cancel();
    this.#stall = undefined;
    this.#flow();
    if (this.#chunks.length > 0 || this.#ended !== "no") this.#flush();
  }

  data(chunk: Uint8Array): void {
    if (this.#over) return;
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    this.#flow();
    this.#schedule();
  }

  /** The client took its request back: no response is due. */
  get isCancelled(): boolean {
    return this.#cancelled;
  }

  end(cancelled = false): void {
    if (this.#ended !== "no") return;
    this.#ended = "well";
    this.#cancelled = cancelled;
    this.#schedule();
  }

  fail(error: ProxyError): void {
    if (this.#ended !== "no") return;
    this.#ended = error;
    this.#schedule();
  }

  /** The client is gone, or the exchange is over for another reason. */
  abort(): void {
    if (this.#over) return;
    this.#over = true;
    this.#options.source.abort();
    this.#close();
  }

  /** The proxy stops. */
  drain(): void {
    if (this.#outlet && !this.#over)
      this.#guard(() => this.#options.transforms.forEach((transform, i) => transform.drain?.(this.#sinks[i]!)));
  }

  /** From stage `i` on; the outlet is the last stage. */
  emit(i: number, chunk: Uint8Array): void {
    if (this.#over || chunk.length === 0) return;
    const transform = this.#options.transforms[i];
    if (!transform) {
      this.bytes += chunk.length;
      this.#writeHeld();
      // The end follows at once: both leave in one write.
      if (this.#ended === "well" && !this.#busy) this.#held = chunk;
      else this.#write(chunk);
    } else if (transform.write) transform.write(chunk, this.#sinks[i]!);
    else this.emit(i + 1, chunk);
  }

  finish(i: number): void {
    if (this.#over) return;
    const transform = this.#options.transforms[i];
    if (transform?.end) return transform.end(this.#sinks[i]!);
    if (transform) return this.finish(i + 1);
    this.#over = true;
    if (this.#ended === "no") this.#options.source.abort();
    this.#outlet!.end(this.#held);
    this.#close();
  }

  /** Cuts the connection after what has been written. */
  cut(error: ProxyError): void {
    if (this.#over) return;
    const words = this.#options.lastWords?.(error);
    this.#writeHeld();
    if (words && !this.blocked) this.#outlet!.write(words);
    // The head at least: a connection that ends without one looks as if the request had never been read, and is asked again.
    this.#outlet!.flushHead();
    this.#over = true;
    this.#options.source.abort();
    // First why, then that it ends.
    this.#close(error);
    this.#outlet!.cut();
  }

  #schedule(): void {
    if (this.#scheduled || !this.#outlet) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#busy || this.#over) return;
    if (this.#chunks.length === 0) return this.#ended === "no" ? this.#outlet!.flushHead() : this.#finishSource();
    if (this.blocked) return;
    const { framer } = this.#options;
    const chunks = this.#chunks;
    // Large pieces are cheaper to write one by one than to copy.
    const isLarge = this.#size > LARGE * chunks.length;
    this.#chunks = [];
    this.#size = 0;
    this.#pass((out) => {
      if (framer) return framer.write(joinChunks(chunks), out);
      if (!isLarge) return out(joinChunks(chunks));
      for (const chunk of chunks) this.emit(0, chunk);
    });
  }

  #finishSource(): void {
    if (this.#ended !== "well") return this.cut(this.#ended as ProxyError);
    this.#pass(
      (out) => this.#options.framer?.end(out),
      () => {
        // Whoever takes a request back wants no answer to it (MCP 2025-11-25, Cancellation).
        this.emit(0, (this.#cancelled ? undefined : this.#options.lastWords?.()) ?? EMPTY);
        this.finish(0);
      },
    );
  }

  /** One step of the framer. What it lets through in one go is joined again before it is written. */
  #pass(step: (out: (bytes: Uint8Array) => void) => Awaitable<void>, then: () => void = () => this.#next()): void {
    let pieces: Uint8Array[] | undefined = [];
    const release = () => {
      if (pieces && pieces.length > 0) this.emit(0, joinChunks(pieces));
      pieces = undefined;
    };
    this.#guard(() => {
      let result: Awaitable<void>;
      try {
        result = step((bytes) => (pieces ? void pieces.push(bytes) : this.emit(0, bytes)));
      } finally {
        // Also what came before a message that broke.
        release();
      }
      if (!(result instanceof Promise)) return then();
      this.#busy = true;
      this.#writeHeld();
      // However long a hook thinks, the client knows that an answer has begun.
      this.#outlet!.flushHead();
      result
        .then(() => {
          this.#busy = false;
          this.#guard(then);
        })
        .catch((error: unknown) => this.cut(asProxyError(error)));
    });
  }

  #writeHeld(): void {
    if (this.#held) this.#write(this.#held);
    this.#held = undefined;
  }

  #write(chunk: Uint8Array): void {
    if (this.#outlet!.write(chunk) || this.blocked) return;
    this.blocked = true;
    const { stall } = this.#options;
    if (!stall || stall.ms <= 0) return;
    // Only the end of the queue is told, not how it shrinks: a piece that a hook made in one is given time by its size.
    this.#stall = stall.deadlines.after(stall.ms * Math.ceil(chunk.length / HIGH_WATER), () =>
      this.cut(new ProxyError("STALLED_CLIENT", { detail: `nothing read for ${stall.ms} ms` })),
    );
  }

  #next(): void {
    this.#flow();
    if (this.#chunks.length > 0 || this.#ended !== "no") this.#flush();
    // A framer may hold back what came: the client gets its status line all the same.
    else this.#outlet!.flushHead();
  }

  /** Stops or starts the source, by what waits here and whether the client reads. */
  #flow(): void {
    const full = this.blocked || this.#size > HIGH_WATER || (this.#busy && this.#size > 0);
    if (full === this.paused || this.#ended !== "no") return;
    this.paused = full;
    if (full) this.#options.source.pause();
    else this.#options.source.resume();
  }

  #guard(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.cut(asProxyError(error));
    }
  }

  #close(error?: ProxyError): void {
    this.#chunks = [];
    this.#stall?.cancel();
    for (const transform of this.#options.transforms) {
      try {
        transform.close?.();
      } catch {
        // The answer is over; there is nothing left that this could change.
      }
    }
    this.#options.onEnd(error);
  }
}

function asProxyError(error: unknown): ProxyError {
  return isProxyError(error) ? error : new ProxyError("INTERNAL", { cause: error });
}
