/** One `subscriptions/listen` at a modern server, from the request to its end (MCP 2026-07-28, Subscriptions). */
import {
  type Answer,
  type Deadline,
  type Json,
  JsonObject,
  ProxyError,
  type UpstreamRequest,
} from "../../../core/index.ts";
import { ACKNOWLEDGED, ChangeFilter } from "../changes.ts";
import type { BridgeHost } from "../host.ts";
import { MessageReader, type ServerMessage } from "../messages.ts";

/** What a stream needs of the session that it belongs to. */
export interface ListenSession {
  readonly host: BridgeHost;
  /** What the server said of itself. */
  readonly server: { readonly capabilities: Json; readonly subscribes: boolean } | undefined;
  /** @param params without an envelope */
  request(method: string, params: JsonObject, id: string): Partial<UpstreamRequest>;
  /** @throws ProxyError */
  send(request: Partial<UpstreamRequest>, reason: string): Promise<Answer>;
}

/** Told by a {@link ListenStream} that was acknowledged. */
export interface ListenTaker {
  change(message: ServerMessage): void;
  /** The server ended it, or it broke. */
  over(stream: ListenStream): void;
}

/** Where the server sets no limit, in milliseconds. */
const PATIENCE = 60_000;
/** Notifications are short. */
const MAX_MESSAGE = 1024 * 1024;
const UNKNOWN_METHOD = -32_601;
const NOTHING = new ChangeFilter([], []);

export class ListenStream {
  /** What the server was asked for. */
  readonly filter: ChangeFilter;
  readonly #session: ListenSession;
  readonly #taker: ListenTaker;
  readonly #id: string;
  readonly #controller = new AbortController();
  #reader: MessageReader | undefined;
  #acknowledged: ((honored: ChangeFilter) => void) | undefined;
  #refused: ((error: ProxyError) => void) | undefined;
  /** What the server said that it will tell; nothing before it did. */
  honored: ChangeFilter | undefined;
  /** How it ended, for a log. */
  ended: string | undefined;

  constructor(session: ListenSession, taker: ListenTaker, filter: ChangeFilter, id: string) {
    this.#session = session;
    this.#taker = taker;
    this.filter = filter;
    this.#id = id;
  }

  /**
   * Asks the server, and waits until it has acknowledged.
   *
   * @returns what it will tell of: nothing, where it knows no subscriptions
   * @throws ProxyError
   */
  async open(): Promise<ChangeFilter> {
    const { app, mount } = this.#session.host;
    const acknowledged = new Promise<ChangeFilter>((resolve, reject) => {
      this.#acknowledged = resolve;
      this.#refused = reject;
    });
    const wait = mount.timeouts.headers || PATIENCE;
    const limit: Deadline = app.deadlines.after(wait, () =>
      this.#fail(this.#error("UPSTREAM_TIMEOUT", `not acknowledged after ${wait} ms`)),
    );
    void this.#start();
    try {
      return await acknowledged;
    } finally {
      limit.cancel();
    }
  }

  /** Nobody listens any more: over HTTP the end of the stream says so, over stdio the driver does. */
  close(): void {
    this.#fail(this.#error("CLIENT_GONE"));
  }

  async #start(): Promise<void> {
    const params = JsonObject.empty().set("notifications", JSON.stringify(this.filter));
    const request = this.#session.request("subscriptions/listen", params, this.#id);
    try {
      const { signal } = this.#controller;
      const answer = await this.#session.send({ ...request, signal }, "listens to changes for a client");
      this.#reader = new MessageReader(answer, MAX_MESSAGE, {
        message: (message) => this.#message(message),
        end: () => this.#fail(this.#error("UPSTREAM_BROKE", `the answer ended (HTTP ${answer.status})`)),
        fail: (error) => this.#fail(error),
      });
      // oxlint-disable-next-line no-unnecessary-condition -- it may have been closed meanwhile
      if (this.ended !== undefined) this.#reader.abort();
      else this.#reader.start();
    } catch (cause) {
      this.#fail(cause instanceof ProxyError ? cause : this.#error("INTERNAL", String(cause)));
    }
  }

  #message(message: ServerMessage): void {
    if (message.kind === "response") return this.#response(message);
    if (message.kind === "request") return;
    const { method } = message;
    if (method === ACKNOWLEDGED) {
      this.#acknowledge(ChangeFilter.read(message.message.params?.notifications) ?? NOTHING);
    } else if (method === "notifications/cancelled") {
      // Over stdio a server may end a subscription in this way (MCP 2026-07-28, Cancellation).
      this.#fail(this.#error("UPSTREAM_BROKE", "the server took the subscription back"));
    } else if (this.honored) this.#taker.change(message);
  }

  /** The server has ended it. */
  #response({ isError, message }: ServerMessage): void {
    const code = isError ? message.error?.code : undefined;
    // It tells nothing, and says so without an acknowledgement.
    if (code === UNKNOWN_METHOD || !isError) this.#acknowledge(NOTHING);
    const detail = isError ? `subscriptions/listen was answered with JSON-RPC error ${code}` : "the server ended it";
    this.#fail(this.#error(isError ? "UPSTREAM_INVALID" : "UPSTREAM_BROKE", detail));
  }

  #acknowledge(honored: ChangeFilter): void {
    if (this.honored) return;
    this.honored = honored;
    this.#acknowledged?.(honored);
    this.#acknowledged = this.#refused = undefined;
  }

  #fail(error: ProxyError): void {
    if (this.ended !== undefined) return;
    this.ended = error.toLog();
    this.#reader?.abort();
    this.#controller.abort();
    const refused = this.#refused;
    if (refused) refused(error);
    else if (error.code !== "CLIENT_GONE") this.#taker.over(this);
  }

  #error(code: ConstructorParameters<typeof ProxyError>[0], detail?: string): ProxyError {
    return new ProxyError(code, { server: this.#session.host.mount.server, detail });
  }
}
