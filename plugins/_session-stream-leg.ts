import { isPlainChunk } from "./_session-stream-event.ts";
import {
  type Answer,
  EventSplitter,
  ProxyError,
  type Source,
  discard,
  isEventStream,
  isProxyError,
  sourceOf,
} from "../core/index.ts";

/** Whoever follows a stream of a server. */
export interface LegOwner {
  /** @param isPlain it has nothing but data, which names no request */
  event(bytes: Buffer, isPlain: boolean): void;
  /** What came in one piece has been told. */
  flush(): void;
  /** Nothing more comes. @param error why, where that is amiss @param cancelled because the client took its request back */
  over(error: ProxyError | undefined, cancelled?: boolean): void;
  /** Whether there is still something to wait for. */
  readonly waits: boolean;
}

/** How a stream of a server is followed. */
export interface LegOptions {
  /** Opens the server's event stream. @throws ProxyError */
  listen(lastEventId: string | undefined, signal: AbortSignal): Promise<Answer>;
  debug(text: () => string): void;
  /** It can be opened anew where the server gave no event id: what was sent meanwhile is lost then. */
  reopens: boolean;
}

/** Largest event, in bytes: as large as the largest answer that a message hook is shown by default. */
const MAX_EVENT = 16 * 1024 * 1024;
/** What is waited where the server names no time, in milliseconds; it doubles with each failure. */
const RETRY = 1000;
const MAX_RETRY = 30_000;
/** A pause at least, whatever the server says. */
const MIN_RETRY = 10;
/** Failures in a row that end a stream which cannot be opened anew. */
const MAX_FAILURES = 5;

/**
 * The server's side of a stream, however many connections that takes: where one ends before its time, the stream is resumed by GET
 * with the server's last event id (MCP 2025-11-25, Transports, Resumability and Redelivery).
 */
export class Leg {
  readonly #owner: LegOwner;
  readonly #options: LegOptions;
  /** The connection that is read. */
  #source: Source | undefined;
  /** Of the connection that is being opened. */
  #opening: AbortController | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #lastId: string | undefined;
  #retry: number | undefined;
  #failures = 0;
  #paused = false;
  #over = false;

  constructor(owner: LegOwner, options: LegOptions) {
    this.#owner = owner;
    this.#options = options;
  }

  /** Reads an answer that has come. */
  follow(answer: Answer): void {
    if (this.#over) return discard(answer);
    const source = (this.#source = sourceOf(answer));
    const splitter = new EventSplitter(MAX_EVENT);
    if (this.#paused) source.pause();
    // Sources tell their abort as a failure: what a connection says that is no longer read does not count.
    const isRead = () => this.#source === source;
    source.start({
      data: (chunk) => {
        if (isRead()) this.#read(splitter, chunk, isRead);
      },
      end: (cancelled) => {
        if (!isRead()) return;
        if (cancelled) return this.#finish(undefined, true);
        const { rest } = splitter;
        // No event, as it does not end; but a careless server means it so, and careless clients read it.
        if (rest.length > 0) this.#owner.event(Buffer.concat([rest, BLANK_LINE]), false);
        this.#owner.flush();
        if (isRead()) this.#ended(undefined);
      },
      fail: (error) => {
        if (isRead()) this.#ended(error);
      },
    });
  }

  /** What the server said about resuming. */
  note(id: string | undefined, retry: number | undefined): void {
    if (id !== undefined) this.#lastId = id === "" ? undefined : id;
    if (retry !== undefined) this.#retry = retry;
  }

  /** Stops and starts reading. */
  hold(paused: boolean): void {
    if (paused === this.#paused) return;
    this.#paused = paused;
    if (paused) this.#source?.pause();
    else this.#source?.resume();
  }

  /** The upstream session is another one: nothing of the old one can be resumed. */
  renew(): void {
    this.#lastId = undefined;
    if (!this.#options.reopens || this.#over) return;
    this.#failures = 0;
    this.#drop();
    void this.#open();
  }

  /** Nobody reads on. */
  abort(): void {
    this.#over = true;
    this.#drop();
  }

  #read(splitter: EventSplitter, chunk: Uint8Array, isRead: () => boolean): void {
    // Of a long stream most chunks are: found by one search, and not by one for each event.
    const isPlain = isPlainChunk(chunk);
    let isWhole = !splitter.isOpen;
    try {
      splitter.write(chunk, (event) => {
        if (!isRead()) return;
        this.#failures = 0;
        this.#owner.event(event, isPlain && isWhole);
        isWhole = true;
      });
      this.#owner.flush();
    } catch (cause) {
      // Asked again, the server would send the same.
      this.#finish(isProxyError(cause) ? cause : new ProxyError("INTERNAL", { cause }));
    }
  }

  #ended(error: ProxyError | undefined): void {
    this.#source = undefined;
    if (!this.#owner.waits) return this.#finish(undefined);
    if (this.#lastId === undefined && !this.#options.reopens) return this.#finish(error ?? broke(NO_RESPONSE));
    this.#later(error);
  }

  /** @param error what it ended with; nothing for an end that the server chose */
  #later(error: ProxyError | undefined): void {
    const first = this.#retry ?? RETRY;
    // A server that polls (2025-11-25) ends its streams as often as it likes.
    const isFailure = error !== undefined || this.#options.reopens;
    if (isFailure && ++this.#failures > MAX_FAILURES && !this.#options.reopens) return this.#finish(error);
    const longest = Math.min(first * 2 ** Math.max(0, this.#failures - 1), Math.max(first, MAX_RETRY));
    const wait = Math.max(this.#failures > 1 ? longest * (0.5 + Math.random() / 2) : longest, MIN_RETRY);
    this.#options.debug(
      () => `its event stream ${error ? `broke (${error.toLog()})` : "ended"}; resumed in ${Math.round(wait)} ms`,
    );
    this.#timer = setTimeout(() => void this.#open(), wait);
    (this.#timer as { unref?: () => void }).unref?.();
  }

  async #open(): Promise<void> {
    this.#timer = undefined;
    const opening = (this.#opening = new AbortController());
    let answer: Answer;
    try {
      answer = await this.#options.listen(this.#lastId, opening.signal);
    } catch (cause) {
      if (!opening.signal.aborted) this.#unopened(cause);
      return;
    }
    // Another one has taken its place meanwhile.
    if (opening.signal.aborted) return discard(answer);
    if (answer.status === 200 && isEventStream(answer.headers)) return this.follow(answer);
    discard(answer);
    this.#refused(answer.status);
  }

  #unopened(cause: unknown): void {
    const error = broke("its event stream could not be resumed", cause);
    // Only what is wrong with the way to the server may pass.
    const mayPass = isProxyError(cause) && cause.code.startsWith("UPSTREAM_");
    if (mayPass || this.#options.reopens) this.#later(error);
    else this.#finish(error);
  }

  #refused(status: number): void {
    const error = broke(`its event stream could not be resumed (HTTP ${status})`);
    if (!this.#options.reopens) return status >= 500 ? this.#later(error) : this.#finish(error);
    // It offers none any more: the client's stream stays open, and silent.
    if (status === 405) return this.#options.debug(() => "offers no event stream any more");
    this.#lastId = undefined;
    this.#later(error);
  }

  #finish(error: ProxyError | undefined, cancelled = false): void {
    if (this.#over) return;
    this.abort();
    this.#owner.over(error, cancelled);
  }

  #drop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#opening?.abort();
    this.#opening = undefined;
    const source = this.#source;
    this.#source = undefined;
    source?.abort();
  }
}

const BLANK_LINE = Buffer.from("\n\n");
const NO_RESPONSE = "the stream ended without a response";

function broke(detail: string, cause?: unknown): ProxyError {
  return new ProxyError("UPSTREAM_BROKE", { detail, cause });
}
