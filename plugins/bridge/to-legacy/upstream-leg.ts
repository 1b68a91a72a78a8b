/**
 * The server's end of a call: the answer to one request, however often its stream is interrupted. A server of 2025-11-25 may close
 * a stream whose events have ids, and go on where a GET with `Last-Event-ID` begins (Transports, "Resumability and Redelivery").
 */
import {
  type Answer,
  type Deadline,
  ProxyError,
  collect,
  discard,
  isEventStream,
  isProxyError,
} from "../../../core/index.ts";
import { MessageReader, ServerMessage } from "../messages.ts";
import type { LeaseWire, Sent } from "./lease-wire.ts";

/** Told by a leg; `failed` or `refused` comes once, and last. */
export interface LegTaker {
  message(message: ServerMessage): void;
  /** The server answered with an HTTP error. @param message in its body, if it is a response */
  refused(answer: Answer, message: ServerMessage | undefined): void;
  /** @param isHeard the server may still be at work */
  failed(error: ProxyError, isHeard: boolean): void;
}

/** Before a stream is opened again, where the server names no time, in milliseconds: doubles. */
const FIRST_WAIT = 250;
const LONGEST_WAIT = 60_000;
/** Attempts without a new message. */
const MAX_ATTEMPTS = 6;
/** A stream that goes on behind its response is cut after this long, in milliseconds. */
const LINGER = 1000;
/** Largest refusal that is read, in bytes. */
const MAX_REFUSAL = 64 * 1024;

export class UpstreamLeg {
  readonly #lease: LeaseWire;
  readonly #taker: LegTaker;
  readonly #abort = new AbortController();
  #reader: MessageReader | undefined;
  #again: Deadline | undefined;
  #lastId: string | undefined;
  #retry: number | undefined;
  #attempts = 0;
  #paused = false;
  #over = false;

  constructor(lease: LeaseWire, taker: LegTaker) {
    this.#lease = lease;
    this.#taker = taker;
  }

  async send(sent: Sent): Promise<void> {
    try {
      const answer = await this.#lease.sendCall(sent, this.#abort.signal);
      if (this.#over) return discard(answer);
      if (answer.status < 300) return this.#read(answer);
      const text = await collect(answer, MAX_REFUSAL).catch(() => new Uint8Array());
      if (this.#over) return;
      this.#over = true;
      const message = ServerMessage.read(Buffer.from(text));
      this.#taker.refused(answer, message?.kind === "response" ? message : undefined);
    } catch (cause) {
      this.#fail(this.#asError(cause), false);
    }
  }

  pause(): void {
    this.#paused = true;
    this.#reader?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#reader?.resume();
  }

  /** The response is here; the end of its stream is waited for, so that the connection can be used again. */
  done(): void {
    this.#over = true;
    this.#again = this.#lease.sessions.app.deadlines.after(LINGER, () => this.end());
    this.resume();
  }

  /** Nobody waits for it any more. */
  end(): void {
    this.#over = true;
    this.#again?.cancel();
    this.#reader?.abort();
    this.#abort.abort();
  }

  #read(answer: Answer): void {
    const { mount } = this.#lease.sessions;
    const isStream = isEventStream(answer.headers);
    this.#reader = new MessageReader(answer, mount.maxMessageBytes, {
      message: (message) => {
        this.#attempts = 0;
        if (!this.#over) this.#taker.message(message);
      },
      eventId: (id) => (this.#lastId = id),
      retry: (ms) => (this.#retry = ms),
      end: () => {
        if (this.#over) return this.#again?.cancel();
        const detail = "its answer held no response";
        this.#broke(new ProxyError(isStream ? "UPSTREAM_BROKE" : "UPSTREAM_INVALID", { server: mount.server, detail }));
      },
      fail: (error) => this.#broke(error),
    });
    this.#reader.start();
    if (this.#paused) this.#reader.pause();
  }

  #broke(error: ProxyError): void {
    if (this.#over) return;
    this.#reader = undefined;
    const mayGoOn = error.code === "UPSTREAM_BROKE" && Boolean(this.#lastId) && this.#attempts < MAX_ATTEMPTS;
    if (!mayGoOn) return this.#fail(error, true);
    const wait = this.#retry ?? FIRST_WAIT * 2 ** this.#attempts;
    this.#attempts++;
    const { deadlines } = this.#lease.sessions.app;
    this.#again = deadlines.after(Math.min(Math.max(wait, 1), LONGEST_WAIT), () => void this.#goOn(error));
  }

  async #goOn(before: ProxyError): Promise<void> {
    try {
      const answer = await this.#lease.openStream(this.#lastId, this.#abort.signal);
      if (this.#over) return discard(answer);
      if (answer.status === 200 && isEventStream(answer.headers)) return this.#read(answer);
      discard(answer);
      // What it kept it keeps no longer, or it never kept anything.
      if (answer.status >= 400 && answer.status < 500) return this.#fail(before, true);
      this.#broke(before);
    } catch (cause) {
      const error = this.#asError(cause);
      this.#broke(error.code === "UPSTREAM_UNREACHABLE" ? before : error);
    }
  }

  #fail(error: ProxyError, isHeard: boolean): void {
    if (this.#over) return;
    this.#over = true;
    this.#taker.failed(error, isHeard);
  }

  #asError(cause: unknown): ProxyError {
    return isProxyError(cause) ? cause : new ProxyError("INTERNAL", { cause });
  }
}
