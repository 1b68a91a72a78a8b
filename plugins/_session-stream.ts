import { type Answer, type ProxyError, fromSource } from "../core/index.ts";
import { EventLog, idLine } from "./_session-stream-log.ts";
import type { Leg, LegOwner } from "./_session-stream-leg.ts";
import { type Renaming, errorEvent, readEvent } from "./_session-stream-event.ts";
import type { StreamHost, StreamSubject } from "./_session-stream-host.ts";
import { Reader, type StreamEnd } from "./_session-stream-reader.ts";

/** Bytes that wait for a client that reads slowly, before its server is not read any more. */
const HIGH_WATER = 64 * 1024;

/** A server has this long to end the stream of a request that was cancelled, in milliseconds; some never do. */
const AFTER_CANCEL = 5000;

/** One event stream towards the client, over however many connections on either side. */
export class SessionStream implements LegOwner, Renaming {
  readonly name: string;
  /** Opened by a GET; it answers no request. */
  readonly isPush: boolean;
  readonly #head: Headers;
  readonly #host: StreamHost;
  /** The id of the request that it answers, as the client wrote it. */
  readonly idText: string | undefined;
  readonly #log: EventLog;
  /** What brings its events. */
  leg: Leg | undefined;
  #reader: Reader | undefined;
  #responded = false;
  /** When the client took its request back (`performance.now()`). */
  #cancelledAt: number | undefined;
  /** How the server's side ended. */
  #ended: StreamEnd | undefined;
  #closed = false;
  /** The client got an event id. */
  #named = false;
  /** Since when nobody reads it (`performance.now()`). */
  unreadSince: number | undefined;

  constructor(host: StreamHost, { name, idText, head }: StreamSubject) {
    this.#host = host;
    this.name = name;
    this.idText = idText;
    this.#head = head;
    this.isPush = name.startsWith("g");
    this.#log = new EventLog(host.shelf, host.settings.resumes ? name : undefined);
  }

  get waits(): boolean {
    return this.isPush || (this.idText !== undefined && !this.#responded && this.#cancelledAt === undefined);
  }
  /** Its server has said all that it had to say. */
  get isOver(): boolean {
    return this.#ended !== undefined;
  }
  get last(): number {
    return this.#log.last;
  }

  event(bytes: Buffer, isPlain: boolean): void {
    if (isPlain) return void this.#log.take(bytes);
    const event = readEvent(bytes, this);
    if (!event) return;
    if (event.id !== undefined || event.retry !== undefined) this.leg?.note(event.id, event.retry);
    if (event.bytes === undefined) return;
    this.#responded ||= event.responds;
    if (!event.isComment) return this.#log.take(event.bytes, event.question);
    // What came before it goes first.
    this.flush();
    this.#reader?.comment(event.bytes);
  }

  flush(): void {
    if (!this.#log.store()) return;
    this.#pump();
    this.#trim();
    this.#host.grown();
    this.flow();
  }

  ask(idText: string, method: string): string | undefined {
    return this.#host.ask(this, idText, method);
  }

  takeBack(idText: string): string | undefined {
    return this.#host.takeBack(idText);
  }

  over(error: ProxyError | undefined, cancelled = false): void {
    if (this.#ended) return;
    // Nobody else can tell the client any more, and it would wait for its own time limit.
    if (error && this.waits && this.idText !== undefined)
      this.#log.take(errorEvent(this.idText, error, this.#host.server));
    this.flush();
    this.#ended = { error, cancelled: cancelled || this.#cancelledAt !== undefined };
    // It may be kept for long, and needs no more of it.
    this.leg?.abort();
    this.leg = undefined;
    this.#pump();
  }

  /** Events have ids, so that the client can come back. */
  get #resumes(): boolean {
    return this.#host.settings.resumes;
  }

  /**
   * An answer for a new reader; one that was there is shown the end.
   *
   * @param after position of the last event that it has; from the first one that nobody has read where it names none
   * @returns nothing where that position is not kept
   */
  answer(after?: number): Answer | undefined {
    if (after !== undefined && !this.#log.rewind(after)) return undefined;
    const before = this.#reader;
    if (this.unreadSince !== undefined) this.#host.taken(this);
    this.unreadSince = undefined;
    const reader = new Reader({
      begun: () => {
        // MCP 2025-11-25, Transports: from the start, so that a connection that breaks at once can be resumed.
        const primes = this.#resumes && this.#host.primes;
        if (primes) reader.emit(Buffer.from(`${idLine(this.name, this.#log.cursor)}data: \n\n`));
        this.#named ||= primes;
        this.#pump();
      },
      flows: () => this.#pump(),
      left: () => this.#left(reader),
      caughtUp: () => this.#log.unread === 0,
    });
    this.#reader = reader;
    before?.end();
    this.flow();
    const answer = fromSource(reader, this.#head);
    // The server meant its own bytes.
    answer.headers.delete("content-length");
    return answer;
  }

  /** The session is over, or there is no room for it. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.leg?.abort();
    this.#log.clear();
    this.#host.closed(this);
    const reader = this.#reader;
    this.#reader = undefined;
    reader?.end(this.#ended);
  }

  /** The client does not wait for its response any longer. Whether its server says so or not, the stream ends. */
  cancel(): void {
    this.#cancelledAt = performance.now();
  }

  /** Nobody has read it for as long as it may be kept, or waits for anything on it. */
  isExpired(now: number): boolean {
    if (this.#cancelledAt !== undefined && now - this.#cancelledAt >= AFTER_CANCEL) return true;
    return this.unreadSince !== undefined && now - this.unreadSince >= this.#host.settings.ttl;
  }

  /** Lets go of an event that was read. */
  forgetOldest(): boolean {
    return this.#log.forgetOldest();
  }

  /** Reads its server, or not: by what waits for the client here. */
  flow(): void {
    const { unread, last, cursor } = this.#log;
    const { settings, shelf } = this.#host;
    const isFull = this.#reader
      ? unread > HIGH_WATER
      : unread > settings.streamBytes || last - cursor >= settings.events || shelf.isFull;
    this.leg?.hold(isFull);
  }

  #trim(): void {
    const { settings } = this.#host;
    const limit = this.#resumes ? settings.streamBytes : 0;
    while ((this.#log.bytes > limit || this.#log.size > settings.events) && this.#log.forgetOldest());
  }

  #pump(): void {
    const reader = this.#reader;
    if (!reader?.isReady) return;
    while (!reader.isPaused && this.#reader === reader) {
      // What is answered is not asked again.
      const bytes = this.#log.next((question) => this.#host.isOpen(question));
      if (!bytes) break;
      this.#named ||= this.#resumes;
      reader.emit(bytes);
    }
    if (this.#reader !== reader) return;
    this.flow();
    if (this.#log.cursor < this.#log.last || !this.#ended) return;
    this.#reader = undefined;
    this.#unread();
    reader.end(this.#ended);
  }

  #left(reader: Reader): void {
    if (this.#reader !== reader) return;
    this.#reader = undefined;
    this.#unread();
    this.flow();
  }

  #unread(): void {
    if (!this.#named || this.#host.settings.ttl === 0) return this.close();
    this.unreadSince = performance.now();
    this.#host.left(this);
  }
}
