/** The GET stream of a session: questions and notifications that belong to no request (MCP 2025-11-25, Transports). */
import { type Answer, type Deadline, discard, isEventStream } from "../../../core/index.ts";
import { MessageReader, type ServerMessage } from "../messages.ts";
import type { LeaseWire } from "./lease-wire.ts";

/** Between two attempts, in milliseconds: doubles up to the second. */
const BACKOFF = [500, 30_000] as const;
/** A server that answers late, or not before its first message, keeps no call waiting for longer. */
const PATIENCE = 1000;
/** Come back later (RFC 9110 §15.5.9, §15.5.10; RFC 8470; RFC 6585). */
const LATER: ReadonlySet<number> = new Set([408, 409, 425, 429]);

/** Told by a stream. */
export interface StreamTaker {
  message(message: ServerMessage): void;
  /** Messages may have been lost: a stream begins that does not go on where another one ended. */
  gap(): void;
}

export class LeaseStream {
  readonly #lease: LeaseWire;
  readonly #taker: StreamTaker;
  /** Whoever waits for the first answer. */
  #opened: Promise<void> | undefined;
  #settle: (() => void) | undefined;
  #leg: AbortController | undefined;
  #reader: MessageReader | undefined;
  #again: Deadline | undefined;
  #lastId: string | undefined;
  #retry: number | undefined;
  #failures = 0;
  #wasOpen = false;
  /** The server offers none. */
  isRefused = false;

  constructor(lease: LeaseWire, taker: StreamTaker) {
    this.#lease = lease;
    this.#taker = taker;
  }

  get isOpen(): boolean {
    return this.#reader !== undefined;
  }

  /** Opens it, where that has not been done. @returns when the server has answered, or takes its time */
  open(): Promise<void> {
    if (this.#opened) return this.#opened;
    this.#opened = new Promise((resolve) => (this.#settle = resolve));
    this.#lease.sessions.app.deadlines.after(PATIENCE, () => this.#settle?.());
    void this.#connect();
    return this.#opened;
  }

  /** Nobody needs it any more. */
  close(): void {
    this.#again?.cancel();
    this.#leg?.abort();
    this.#reader?.abort();
    this.#settle?.();
    this.#opened = this.#leg = this.#reader = this.#again = this.#lastId = undefined;
    this.#failures = 0;
    this.#wasOpen = false;
  }

  /** The session is another one now. */
  renewed(): void {
    this.isRefused = false;
    const wasNeeded = this.#opened !== undefined;
    this.close();
    if (!wasNeeded) return;
    this.#wasOpen = true;
    void this.open();
  }

  async #connect(): Promise<void> {
    const leg = (this.#leg = new AbortController());
    let answer: Answer;
    try {
      answer = await this.#lease.openStream(this.#lastId, leg.signal);
    } catch {
      // What it went on from is gone with its session.
      this.#lastId = undefined;
      return this.#reconnect(leg);
    }
    if (this.#leg !== leg) return discard(answer);
    const { status, headers } = answer;
    if (status === 200 && isEventStream(headers)) return this.#read(answer, leg);
    discard(answer);
    if (this.#lastId !== undefined) this.#lastId = undefined;
    // 405 is a server that offers no such stream; SDK clients take any other refusal for the same.
    else if (status >= 400 && status < 500 && !LATER.has(status)) {
      this.isRefused = true;
      return this.#settle?.();
    }
    this.#reconnect(leg);
  }

  #read(answer: Answer, leg: AbortController): void {
    if (this.#wasOpen && this.#lastId === undefined) this.#taker.gap();
    this.#wasOpen = true;
    this.#reader = new MessageReader(answer, this.#lease.sessions.mount.maxMessageBytes, {
      message: (message) => {
        this.#failures = 0;
        this.#taker.message(message);
      },
      eventId: (id) => (this.#lastId = id === "" ? undefined : id),
      retry: (ms) => (this.#retry = ms),
      end: () => this.#reconnect(leg),
      fail: () => this.#reconnect(leg),
    });
    this.#settle?.();
    this.#reader.start();
  }

  #reconnect(leg: AbortController): void {
    if (this.#leg !== leg) return;
    this.#leg = this.#reader = undefined;
    this.#settle?.();
    const [first, longest] = BACKOFF;
    const wait = Math.min(Math.max(this.#retry ?? 0, first * 2 ** this.#failures++), longest);
    this.#again = this.#lease.sessions.app.deadlines.after(wait, () => void this.#connect());
  }
}
