/** What the event streams of one client session need. Files that begin with `_session` belong to `sessions.ts`. */
import {
  type Answer,
  type Exchange,
  type Message,
  ProxyError,
  type UpstreamRequest,
  hasId,
  holdsResponse,
  isEventStream,
  mayHoldMethod,
  wholeBody,
} from "../core/index.ts";
import { type StreamOptions, readStreamOptions } from "./_session-stream-options.ts";
import { StreamSet, type StreamsHost } from "./_session-stream-set.ts";

export type { StreamOptions } from "./_session-stream-options.ts";
export type { StreamsHost } from "./_session-stream-set.ts";

/** Sends a request to the server, with the session's id. */
type Send = (request: UpstreamRequest) => Promise<Answer>;

/** The streams of one client session in this process. */
export class SessionStreams {
  readonly #host: StreamsHost;
  readonly #set: StreamSet;
  /** While the server is asked for its event stream. */
  #opening: Promise<unknown> | undefined;

  /** @throws ProxyError `BAD_OPTION` */
  constructor(host: StreamsHost, options: StreamOptions) {
    this.#host = host;
    this.#set = new StreamSet(host, readStreamOptions(options));
  }

  /** A POST of this session: sends it and follows an event stream that answers it. @throws ProxyError */
  relay(exchange: Exchange, request: UpstreamRequest, send: Send): Promise<Answer> {
    // No function that waits: this is the way of every call.
    // Before it is sent: the server may end the stream before it answers this.
    if (exchange.posted?.method === "notifications/cancelled") this.#cancelled(exchange);
    return detached(request, send, (answer) => {
      if (!isStream(answer)) return answer;
      const whole = wholeBody(answer);
      if (whole && isPlain(Buffer.from(whole.buffer, whole.byteOffset, whole.length))) return answer;
      return this.#set.follow("p", answer, idTextOf(exchange, request));
    });
  }

  /** The official SDK clients leave the stream open, and their servers do as well (MCP 2025-11-25, Cancellation). */
  #cancelled({ message }: Exchange): void {
    const id = message?.params?.requestId;
    if (id !== undefined) this.#set.cancelled(JSON.stringify(id));
  }

  /**
   * The client's GET: opens the server's stream, or resumes one with `Last-Event-ID`.
   *
   * @param request the client's
   * @param send as for a POST; without it the session asks by itself
   * @throws ProxyError
   */
  async get(exchange: Exchange, request?: UpstreamRequest, send?: Send): Promise<Answer> {
    const lastEventId = exchange.request.headers.get("last-event-id");
    const resumed = lastEventId ? this.#set.resume(lastEventId) : undefined;
    if (resumed === "unknown") throw new ProxyError("EVENT_NOT_FOUND");
    if (resumed) return resumed;
    // Of several at once one asks the server, and the last one reads.
    while (!this.#set.push && this.#opening) await this.#opening;
    if (this.#set.push) return this.#set.push.answer()!;
    const opened = this.#open(
      request && send
        ? detached(withoutEventId(request), send, (answer) => answer)
        : this.#host.listen(undefined, exchange.signal),
    );
    const settle = () => (this.#opening = undefined);
    this.#opening = opened.then(settle, settle);
    return opened;
  }

  async #open(opening: Promise<Answer>): Promise<Answer> {
    const answer = await opening;
    return isStream(answer) ? this.#set.follow("g", answer, undefined) : answer;
  }

  /**
   * A response that the client posted, as it goes to the server: with the server's own id.
   *
   * @param body as it was posted
   * @returns nothing where nobody waits for it (any more)
   */
  answered(message: Message, body: Message | Uint8Array = message): Uint8Array | undefined {
    return this.#set.questions.answered(message, body);
  }

  /** The upstream session is another one now. */
  renewed(): void {
    // The new one has asked nothing.
    this.#set.questions.forget();
    for (const stream of this.#set.values()) stream.leg?.renew();
  }

  /** The session is over. */
  end(): void {
    this.#set.questions.free();
    for (const stream of this.#set.values()) {
      if (!stream.isPush) stream.over(new ProxyError("SESSION_NOT_FOUND"));
      stream.close();
    }
  }

  /** To be called about every second. @param now `performance.now()` */
  check(now: number): void {
    this.#set.questions.check(now);
    for (const stream of this.#set.values()) {
      if (stream.isExpired(now)) stream.close();
      else stream.flow();
    }
  }

  /** Open or kept streams, and questions without an answer: a session with some is not idle. */
  get active(): number {
    return this.#set.size + this.#set.questions.size;
  }
}

function isStream({ status, headers }: Answer): boolean {
  return status === 200 && isEventStream(headers);
}

/**
 * Sends a request whose answer outlives the client's connection. One that has not begun when the client leaves ends there: without
 * an event id nobody comes back for it. Afterwards the answer's body tells who still reads.
 */
function detached<T>(request: UpstreamRequest, send: Send, then: (answer: Answer) => T): Promise<T> {
  if (request.signal) return send(request).then(then);
  let begun = false;
  request.left = (end) => void (begun || end());
  return send(request).then((answer) => {
    begun = true;
    return then(answer);
  });
}

/** The id of the posted request, as it was written. */
function idTextOf({ posted }: Exchange, { body }: UpstreamRequest): string | undefined {
  if (body instanceof Uint8Array || body === null) return posted?.idText;
  // A hook may have changed the message, and kept its id.
  return posted?.idText ?? (body.id === undefined ? undefined : JSON.stringify(body.id));
}

/** The client's event ids are none of the server. */
function withoutEventId(request: UpstreamRequest): UpstreamRequest {
  request.headers.delete("last-event-id");
  return request;
}

/** The whole stream is here, with the response, and asks for nothing: most streams are like that. */
function isPlain(bytes: Buffer): boolean {
  return !mayHoldMethod(bytes) && !hasId(bytes) && holdsResponse(bytes);
}
