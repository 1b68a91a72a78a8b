/** What the event streams of one client session need. Files that begin with `_session` belong to `sessions.ts`. */
import type { Answer, Exchange, Logger, Message, Mount, Store, UpstreamRequest } from "../core/index.ts";

/** What streams ask of the session that they belong to. */
export interface StreamsHost {
  /**
   * Opens the server's own event stream for the present upstream session.
   *
   * @param lastEventId of the server, where its stream is resumed
   * @throws ProxyError
   */
  listen(lastEventId: string | undefined, signal: AbortSignal): Promise<Answer>;
  /** Posts an answer to a server's request on the present upstream session. @throws ProxyError */
  answer(message: Message): Promise<void>;
  readonly mount: Mount;
  readonly log: Logger;
  readonly store: Store;
  /** The protocol revision that client and server agreed on. */
  readonly version: string;
}

/** How streams are kept. */
export interface StreamOptions {}

/** The streams of one client session in this process. */
export class SessionStreams {
  readonly #host: StreamsHost;

  constructor(host: StreamsHost, _options: StreamOptions) {
    this.#host = host;
  }

  /** A POST of this session: sends it and follows an event stream that answers it. @throws ProxyError */
  relay(
    _exchange: Exchange,
    request: UpstreamRequest,
    send: (request: UpstreamRequest) => Promise<Answer>,
  ): Promise<Answer> {
    return send(request);
  }

  /** The client's GET: opens the server's stream, or resumes one with `Last-Event-ID`. @throws ProxyError */
  get(exchange: Exchange): Promise<Answer> {
    return this.#host.listen(exchange.request.headers.get("last-event-id") ?? undefined, exchange.signal);
  }

  /** A response that the client posted, with the server's own id; nothing where nobody waits for it (any more). */
  answered(message: Message): Message | undefined {
    return message;
  }

  /** The upstream session is another one now. */
  renewed(): void {}

  /** The session is over. */
  end(): void {}

  /** Open or kept streams, and questions without an answer: a session with some is not idle. */
  get active(): number {
    return 0;
  }
}
