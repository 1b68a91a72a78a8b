import { type Answer, type Logger, type Mount, empty } from "../core/index.ts";
import { Leg } from "./_session-stream-leg.ts";
import { Shelf } from "./_session-stream-log.ts";
import { type StreamSettings, budgetOf } from "./_session-stream-options.ts";
import { Questions } from "./_session-stream-questions.ts";
import { SessionStream, type StreamHost } from "./_session-stream.ts";

/** What streams ask of the session that they belong to. */
export interface StreamsHost {
  /**
   * Opens the server's own event stream for the present upstream session.
   *
   * @param lastEventId of the server, where its stream is resumed
   * @throws ProxyError
   */
  listen(lastEventId: string | undefined, signal: AbortSignal): Promise<Answer>;
  /** Posts an answer to a server's request on the present upstream session. @param body with the id as the server wrote it @throws ProxyError */
  answer(body: Uint8Array): Promise<void>;
  readonly mount: Mount;
  readonly log: Logger;
  /** The protocol revision that client and server agreed on. */
  readonly version: string;
}

/** `p` answers a POST, `g` is the stream that a GET opens. */
export type StreamKind = "p" | "g";

/** The first revision whose clients know events without data. */
const PRIMING = "2025-11-25";
/** Kind, epoch and number of the stream, and the position in it. */
const EVENT_ID = /^([pg])([\da-f]{12})\.(\d{1,15})-(\d{1,15})$/;

/** The streams that are open or kept, within their bounds, and what the server asked on them. */
export class StreamSet implements StreamHost {
  readonly settings: StreamSettings;
  readonly shelf: Shelf;
  readonly questions: Questions;
  readonly #host: StreamsHost;
  /** Tells the ids of this session, in this process, from all others. */
  readonly #epoch: string = crypto.randomUUID().slice(-12);
  /** By name, the oldest first. */
  readonly #streams = new Map<string, SessionStream>();
  #count = 0;
  /** The stream that a GET opened. */
  push: SessionStream | undefined;

  constructor(host: StreamsHost, settings: StreamSettings) {
    this.#host = host;
    this.settings = settings;
    this.shelf = new Shelf(budgetOf(host.mount), settings);
    const { log, mount } = host;
    this.questions = new Questions(
      { server: mount.server, log, post: (body) => this.#post(body) },
      `penstock-${this.#epoch}`,
      settings.answerTimeout,
    );
  }

  get server(): string {
    return this.#host.mount.server;
  }
  get primes(): boolean {
    return this.#host.version >= PRIMING;
  }
  get size(): number {
    return this.#streams.size;
  }
  values(): Iterable<SessionStream> {
    return this.#streams.values();
  }

  /** Follows a stream of the server. @param idText of the request that it answers @returns the answer for the client */
  follow(kind: StreamKind, head: Answer, idText: string | undefined): Answer {
    const name = `${kind}${this.#epoch}.${++this.#count}`;
    const stream = new SessionStream(this, { name, idText, head: head.headers });
    this.#streams.set(name, stream);
    if (stream.isPush) this.push = stream;
    const answer = stream.answer()!;
    stream.leg = new Leg(stream, {
      listen: (lastEventId, signal) => this.#host.listen(lastEventId, signal),
      debug: (text) => this.#host.log.debug(() => `${this.server}: ${text()}`),
      reopens: stream.isPush,
    });
    stream.leg.follow(head);
    return answer;
  }

  /** @param lastEventId as the client sent it @returns nothing where a fresh stream is as good, `"unknown"` where nothing is kept for it */
  resume(lastEventId: string): Answer | "unknown" | undefined {
    const [, kind, epoch, number, position] = EVENT_ID.exec(lastEventId) ?? [];
    if (kind === undefined) return "unknown";
    const isOurs = epoch === this.#epoch;
    const stream = isOurs ? this.#streams.get(`${kind}${epoch}.${number}`) : undefined;
    // A listening stream of before a restart, or one that is over: official SDK clients give up where they get an error.
    if (!stream && kind === "g" && (!isOurs || Number(number) <= this.#count)) return undefined;
    if (!stream) return "unknown";
    // It has everything. Told nothing else, some clients would come back for ever (WHATWG HTML §9.2.2: 204 ends that).
    if (stream.isOver && Number(position) === stream.last) return empty(204);
    return stream.answer(Number(position)) ?? "unknown";
  }

  ask(carrier: SessionStream, idText: string, method: string): string | undefined {
    return this.questions.ask(carrier, idText, method);
  }

  cancel(idText: string): string | undefined {
    return this.questions.cancel(idText);
  }

  isOpen(question: string): boolean {
    return this.questions.isOpen(question);
  }

  /** Makes room: what nobody reads and has ended goes first, the oldest first, then what was read of others. */
  grown(): void {
    while (this.shelf.isFull || this.#hasTooMany) {
      const streams = [...this.#streams.values()];
      const unread = streams.filter((stream) => !stream.isRead);
      const victim = unread.find((stream) => stream.isOver) ?? (this.#hasTooMany ? unread[0] : undefined);
      if (victim) victim.close();
      else if (!streams.some((stream) => stream.forgetOldest())) return;
    }
  }

  get #hasTooMany(): boolean {
    const { streams } = this.settings;
    if (this.#streams.size <= streams) return false;
    let count = 0;
    for (const stream of this.#streams.values()) if (!stream.isRead) count++;
    return count > streams;
  }

  closed(stream: SessionStream): void {
    this.#streams.delete(stream.name);
    if (this.push === stream) this.push = undefined;
    // A server that has answered the call may still wait for what it asked besides.
    if (!stream.isOver) this.questions.free(stream);
  }

  #post(body: Uint8Array): void {
    const { log } = this.#host;
    this.#host
      .answer(body)
      .catch((cause: unknown) =>
        log.debug(() => `${this.server}: an error for its request did not arrive (${String(cause)})`),
      );
  }
}
