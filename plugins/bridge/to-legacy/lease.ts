/**
 * A session with a legacy server, opened for the calls of one caller (MCP 2025-11-25, Lifecycle). Requests of many clients go
 * over it under ids of its own; what belongs to no request comes on its GET stream.
 */
import { type Call, type ClientInfo, type Json, JsonObject } from "../../../core/index.ts";
import type { Opened } from "../../_session-handshake.ts";
import type { ServerMessage } from "../messages.ts";
import { answerOutside } from "./asking.ts";
import type { Caller } from "./caller.ts";
import { handshake } from "./handshake.ts";
import { LeaseStream } from "./lease-stream.ts";
import { LeaseWire } from "./lease-wire.ts";
import type { Leases } from "./leases.ts";

/** A request under way, as the session sees it. */
export interface LeaseCall {
  /** The server may ask its client something. */
  readonly isAskable: boolean;
  /** A message of the server that belongs to it. */
  take(message: ServerMessage): void;
  /** The server wants no answer to a question any more. */
  withdrawn(questionId: string): void;
}

export class ServerLease extends LeaseWire {
  readonly id: string = `bridge-${crypto.randomUUID().slice(0, 8)}`;
  readonly caller: Caller;
  client: ClientInfo;
  result: Json;
  readonly calls = new Map<number, LeaseCall>();
  /** Requests that may be asked something, from the moment on that they were given this session. */
  askers = 0;
  /** What a client's roots are, where it was asked before: an answer as JSON text. */
  roots: Buffer | undefined;
  readonly #stream: LeaseStream;
  readonly #listeners = new Set<(message: ServerMessage) => void>();
  readonly #gapListeners = new Set<() => void>();
  #holds = 0;

  private constructor(leases: Leases, caller: Caller, opened: Opened, result: Json, fields: Headers) {
    super(leases, caller.principal, opened.id, true);
    this.caller = caller;
    this.result = result;
    this.client = clientOf(caller, opened);
    this.fields = fields;
    this.#stream = new LeaseStream(this, {
      message: (message) => this.#onStream(message),
      gap: () => this.#tellGap(),
    });
  }

  /** @throws ProxyError, or HandshakeRefused where the client must know how */
  static async open(leases: Leases, caller: Caller, fields: Headers): Promise<ServerLease> {
    const reason = "a session for clients of 2026-07-28";
    const call: Call = (request) => leases.app.call(leases.mount, request, { principal: caller.principal, reason });
    const [opened, result] = await handshake(leases, caller, call, fields);
    const lease = new ServerLease(leases, caller, opened, result, fields);
    if (lease.#needsStream) await lease.#stream.open();
    return lease;
  }

  /**
   * Servers ask there as well: whoever asks before somebody listens may wait for ever. And where all calls have one channel, what
   * could be of any of them goes there: without it, it would go to the newest.
   */
  get #needsStream(): boolean {
    return this.caller.isAskable || this.sessions.mount.transport !== "http";
  }
  /** Nobody uses it. */
  get isIdle(): boolean {
    return this.calls.size === 0 && this.askers === 0 && this.#holds === 0;
  }
  /** The server offers a stream for what belongs to no request. */
  get hasStream(): boolean {
    return !this.#stream.isRefused;
  }

  /**
   * Keeps the session and its GET stream open.
   *
   * @returns a function that lets go, once the server has answered to the stream
   */
  async hold(): Promise<() => void> {
    this.#holds++;
    await this.#stream.open();
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#holds--;
      this.usedAt = this.sessions.clock;
      if (this.#holds === 0 && !this.#needsStream) this.#stream.close();
    };
  }

  /** @param run is shown notifications that belong to no request, wherever they come @returns a function that ends it */
  onNotification(run: (message: ServerMessage) => void): () => void {
    this.#listeners.add(run);
    return () => void this.#listeners.delete(run);
  }

  /** @param run is called when notifications may have been lost; subscriptions are, where the session is a new one */
  onGap(run: () => void): () => void {
    this.#gapListeners.add(run);
    return () => void this.#gapListeners.delete(run);
  }

  /** It is given back by a request. */
  left(): void {
    this.askers--;
    this.usedAt = this.sessions.clock;
    this.sessions.freed();
  }

  /** Ends it, here and at the server. */
  async end(): Promise<void> {
    this.ended = true;
    this.#stream.close();
    await Promise.all([this.goodbye(), this.settled()]);
  }

  protected async reopen(): Promise<void> {
    const [opened, result] = await handshake(this.sessions, this.caller, this.call, this.fields);
    this.upstreamId = opened.id;
    this.client = clientOf(this.caller, opened);
    this.result = result;
    this.forgetLevel();
    if (this.ended) return this.goodbye();
    this.#stream.renewed();
  }

  #onStream(message: ServerMessage): void {
    if (message.kind === "request") return this.#asked(message);
    if (message.kind === "response") return this.calls.get(Number(message.idText))?.take(message);
    if (message.method === "notifications/progress") {
      const token = JsonObject.read(message.text)?.object("params")?.text("progressToken");
      return this.calls.get(Number(token))?.take(message);
    }
    if (message.method === "notifications/cancelled") return this.tellWithdrawn(message);
    this.tell(message);
  }

  /** A question that names no request: it belongs to the only one that may be asked, if there is only one. */
  #asked(message: ServerMessage): void {
    const { log, mount } = this.sessions;
    const [only, other] = [...this.calls.values()].filter(({ isAskable }) => isAskable);
    if (only && !other) return only.take(message);
    if (other) {
      this.sessions.isCrowded = true;
      log.warn(
        () =>
          `${mount.server}: ${message.method} could be of several calls and was refused; from now on each has a session of its own`,
      );
    }
    this.answer(answerOutside(message, other !== undefined, this.roots));
  }

  /** A notification that belongs to no request. */
  tell(message: ServerMessage): void {
    for (const run of this.#listeners) run(message);
  }

  tellWithdrawn(message: ServerMessage): void {
    const id = JsonObject.read(message.text)?.object("params")?.text("requestId")?.toString();
    if (id !== undefined) for (const call of this.calls.values()) call.withdrawn(id);
  }

  #tellGap(): void {
    for (const run of this.#gapListeners) run();
  }
}

function clientOf({ capabilities, info }: Caller, { version }: Opened): ClientInfo {
  return { era: "legacy", version, capabilities, info };
}
