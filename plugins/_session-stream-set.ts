import { type Answer, type Logger, type Mount, ProxyError, empty, events } from "../core/index.ts";
import { errorEvent } from "./_session-stream-event.ts";
import { type StreamKind, parseEventId, streamName } from "./_session-stream-id.ts";
import { Leg } from "./_session-stream-leg.ts";
import { Shelf } from "./_session-stream-log.ts";
import { type StreamSettings, budgetOf } from "./_session-stream-options.ts";
import { Questions } from "./_session-stream-questions.ts";
import type { StreamHost } from "./_session-stream-host.ts";
import { SessionStream } from "./_session-stream.ts";

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
  /** Of the session, in every process the same; fit for an event id. */
  readonly id: string;
  readonly mount: Mount;
  readonly log: Logger;
  /** The protocol revision that client and server agreed on. */
  readonly version: string;
}

/** The first revision whose clients know events without data. */
const PRIMING = "2025-11-25";
/** What a stream takes beside its events, in bytes: many short ones are more than what they hold. */
const STREAM = 2048;

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
  /** Those that nobody reads, in the order in which they were left. */
  readonly #unread = new Set<SessionStream>();
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
    this.shelf.add(STREAM);
    const name = streamName(kind, this.#host.id, this.#epoch, ++this.#count, idText);
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
    const found = parseEventId(lastEventId);
    if (!found || found.session !== this.#host.id) return "unknown";
    const { name, kind, epoch, number, position, idText } = found;
    const stream = this.#streams.get(name);
    if (!stream) {
      const isKnown = epoch !== this.#epoch || number <= this.#count;
      // A listening stream of before a restart, or one that is over: official SDK clients give up where they get an error.
      if (kind === "g" && isKnown) return undefined;
      return epoch !== this.#epoch && idText !== undefined ? lost(idText, this.server) : "unknown";
    }
    // It has everything. Told nothing else, some clients would come back for ever (WHATWG HTML §9.2.2: 204 ends that).
    if (stream.isOver && position === stream.last) return empty(204);
    return stream.answer(position) ?? "unknown";
  }

  /** The client does not wait for this request any longer. @param idText as it wrote the id */
  cancelled(idText: string): void {
    for (const stream of this.#streams.values()) if (stream.idText === idText) stream.cancel();
  }

  ask(carrier: SessionStream, idText: string, method: string): string | undefined {
    return this.questions.ask(carrier, idText, method);
  }

  takeBack(idText: string): string | undefined {
    return this.questions.takeBack(idText);
  }

  isOpen(question: string): boolean {
    return this.questions.isOpen(question);
  }

  left(stream: SessionStream): void {
    this.#unread.add(stream);
    this.grown();
  }

  taken(stream: SessionStream): void {
    this.#unread.delete(stream);
  }

  /** Makes room: what nobody reads and has ended goes first, the oldest first, then what was read of others. */
  grown(): void {
    for (;;) {
      const hasTooMany = this.#unread.size > this.settings.streams;
      if (!hasTooMany && !this.shelf.isFull) return;
      let victim: SessionStream | undefined;
      for (const stream of this.#unread) {
        victim = stream.isOver ? stream : hasTooMany ? (victim ?? stream) : undefined;
        if (stream.isOver) break;
      }
      if (victim) victim.close();
      else if (!this.#forgetOldest()) return;
    }
  }

  #forgetOldest(): boolean {
    for (const stream of this.#streams.values()) if (stream.forgetOldest()) return true;
    return false;
  }

  closed(stream: SessionStream): void {
    this.shelf.add(-STREAM);
    this.#streams.delete(stream.name);
    this.#unread.delete(stream);
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

/** A client that lost its connection with the proxy would wait for its own time limit, as long as nobody tells it. */
function lost(idText: string, server: string): Answer {
  return events(errorEvent(idText, new ProxyError("ANSWER_LOST"), server));
}
