/**
 * What a modern server tells of changes, for one legacy session: `subscriptions/listen` there, the event stream of a GET here (MCP
 * 2025-11-25, Transports; MCP 2026-07-28, Subscriptions).
 *
 *   GET, resources/subscribe, resources/unsubscribe ▶ what is wished ▶ a new listen stream, and when that is acknowledged the
 *   end of the old one. The stream breaks ▶ after a while another, and then one notification for each thing that may have changed.
 */
import { type Answer, type Deadline, ProxyError } from "../../../core/index.ts";
import { ChangeStream } from "../change-stream.ts";
import { ChangeFilter, isChange, subjectOf, unstamp } from "../changes.ts";
import { ServerMessage } from "../messages.ts";
import { type ListenSession, ListenStream } from "./listen-stream.ts";

/** Before a stream that broke is opened again, in milliseconds: doubles up to the second. */
const BACKOFF = [250, 30_000] as const;
/** A stream that lived for so long was a good one. */
const GOOD = 10_000;
/** A GET waits for the server, but not for ever. */
const PATIENCE = 1000;
/** Resources that one session may subscribe to. */
const MAX_URIS = 1000;

export class Listening {
  readonly #session: ListenSession;
  readonly #changes = new ChangeStream();
  readonly #uris = new Set<string>();
  #lastId = 0;
  /** What the server tells comes on it. */
  #stream: ListenStream | undefined;
  #openedAt = 0;
  /** While a stream is being opened: the filter is fixed, so whatever else is wished has to wait. */
  #opening: Promise<void> | undefined;
  /** Streams that broke, one after the other. */
  #failures = 0;
  #again: Deadline | undefined;
  /** What may have changed while nobody told. */
  #missed: ChangeFilter | undefined;
  #ended = false;

  constructor(session: ListenSession) {
    this.#session = session;
  }

  /** The client listens: its session is in use. */
  get active(): boolean {
    return this.#changes.isOpen;
  }

  /** The client opens its event stream; one that it had ends. @throws ProxyError `METHOD_NOT_ALLOWED` where nothing can come */
  async get(): Promise<Answer> {
    if (this.#wish().isEmpty && !this.canSubscribe)
      throw new ProxyError("METHOD_NOT_ALLOWED", { headers: { allow: "POST, DELETE" } });
    const answer = this.#changes.open(() => this.#again?.cancel());
    let wait: Deadline | undefined;
    const patience = new Promise<void>((resolve) => {
      wait = this.#session.host.app.deadlines.after(PATIENCE, resolve);
    });
    // What changes from here on is told. Where the server has other troubles, that is for later.
    const listening = this.#listen().catch((cause: unknown) => this.#broke(String(cause)));
    await Promise.race([listening, patience]);
    wait?.cancel();
    return answer;
  }

  get canSubscribe(): boolean {
    return this.#session.server?.subscribes ?? false;
  }

  /**
   * `resources/subscribe`.
   *
   * @returns whether the server has acknowledged it @throws ProxyError
   */
  async subscribe(uri: string): Promise<boolean> {
    const isNew = !this.#uris.has(uri);
    if (isNew && this.#uris.size >= MAX_URIS)
      throw new ProxyError("RATE_LIMITED", { hint: `A session can subscribe to ${MAX_URIS} resources.` });
    this.#uris.add(uri);
    try {
      await this.#listen();
    } catch (cause) {
      if (isNew) this.#uris.delete(uri);
      throw cause;
    }
    if (this.#stream?.honored?.uris.includes(uri)) return true;
    this.#uris.delete(uri);
    return false;
  }

  /** `resources/unsubscribe`. */
  async unsubscribe(uri: string): Promise<void> {
    this.#uris.delete(uri);
    // A stream that tells too much is no reason to refuse; the next one will not.
    await this.#listen().catch((cause: unknown) => this.#log(String(cause)));
  }

  /** The session is over. */
  end(): void {
    this.#ended = true;
    this.#again?.cancel();
    this.#stream?.close();
    this.#stream = undefined;
    this.#changes.end();
  }

  /** What the client should be told, as far as the server can. */
  #wish(): ChangeFilter {
    return ChangeFilter.ofServer(this.#session.server?.capabilities ?? {}).with([...this.#uris]);
  }

  /** Brings about that the server tells what is wished. @throws ProxyError */
  async #listen(): Promise<void> {
    while (!this.#ended) {
      const wish = this.#wish();
      if (this.#opening) await this.#opening;
      else if (this.#stream ? this.#stream.filter.asks(wish) : wish.isEmpty) return;
      else await (this.#opening = this.#open(wish).finally(() => (this.#opening = undefined)));
    }
  }

  async #open(wish: ChangeFilter): Promise<void> {
    this.#again?.cancel();
    const before = this.#stream;
    if (wish.isEmpty) {
      this.#stream = undefined;
      return before?.close();
    }
    const stream = new ListenStream(
      this.#session,
      { change: (message) => this.#tell(message), over: (ended) => this.#over(ended) },
      wish,
      `listen:${++this.#lastId}`,
    );
    const honored = await stream.open();
    if (this.#ended) return stream.close();
    this.#stream = stream;
    this.#openedAt = performance.now();
    // Not before there is another: nothing is missed in between.
    before?.close();
    const missed = this.#missed;
    this.#missed = undefined;
    for (const text of missed?.within(this.#session.server?.capabilities ?? {}).all() ?? [])
      this.#tell(ServerMessage.read(text)!);
    // It will never say anything.
    if (honored.isEmpty) stream.close();
    else if (stream.ended !== undefined) this.#over(stream);
  }

  #tell(message: ServerMessage): void {
    if (isChange(message)) this.#changes.push(subjectOf(message), unstamp(message.text));
  }

  /** A stream that was acknowledged is over, and nobody here wanted it to be. */
  #over(stream: ListenStream): void {
    if (this.#stream !== stream || this.#ended) return;
    // A server that has nothing to tell acknowledges that, and ends the stream at once: so would the next one.
    if (stream.honored!.isEmpty) return;
    this.#stream = undefined;
    if (performance.now() - this.#openedAt >= GOOD) this.#failures = 0;
    this.#broke(stream.ended!);
  }

  #broke(detail: string): void {
    if (this.#ended) return;
    this.#log(detail);
    this.#missed = this.#wish();
    this.#later();
  }

  /** Tries again. Where nobody reads there is no hurry: the next GET will. */
  #later(): void {
    const { app } = this.#session.host;
    this.#again?.cancel();
    if (!this.#changes.isOpen || app.draining) return;
    const wait = Math.min(BACKOFF[0] * 2 ** this.#failures++, BACKOFF[1]);
    // Half of it is sure. In steps: time limits of one length share a timer.
    const step = wait / 10;
    this.#again = app.deadlines.after(wait / 2 + step * Math.floor(Math.random() * 6), () => {
      this.#listen().catch((cause: unknown) => this.#broke(String(cause)));
    });
  }

  #log(detail: string): void {
    const { app, mount } = this.#session.host;
    app.log.debug(() => `${mount.server}: changes are not told to a client at the moment: ${detail}`);
  }
}
