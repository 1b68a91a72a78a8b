/**
 * A client that has one channel for everything (HTTP+SSE, stdio), played as a client of Streamable HTTP (MCP 2025-11-25,
 * Transports): each of its messages is an exchange of its own, and what exchanges answer goes onto the channel.
 */
import type { Bag } from "../bag.ts";
import { Pipe } from "../body/pipe.ts";
import type { Scan } from "../body/scan.ts";
import { ProxyError } from "../errors.ts";
import type { Incoming } from "../exchange-state.ts";
import { ExchangeRun } from "../exchange.ts";
import type { MountRuntime } from "../mount.ts";
import type { Principal } from "../types.ts";
import { ChannelCall, type Refusal } from "./channel-call.ts";
import { ChannelListener } from "./channel-listener.ts";
import { type ChannelHead, ChannelRequest } from "./channel-request.ts";

/** What a channel needs. */
export interface ChannelOptions {
  mount: MountRuntime;
  /** Exchanges of the proxy that have not ended. */
  running: Bag<ExchangeRun>;
  /** Hands one message to the client, JSON on one line. @returns false when it is slow: then {@link ChannelClient.drained} follows */
  send(line: Buffer): boolean;
  /** Requests that may wait for their answers at a time; more are refused with `RATE_LIMITED`. @default 128 */
  maxRequests?: number;
}

/** How one message is posted. */
export interface PostOptions {
  /** It is refused for this, before any hook. */
  verdict?: ProxyError;
  /** Whether its sender is the client of this channel. @throws ProxyError */
  admit?: (principal: Principal) => void;
  /** It stands alone (MCP 2026-07-28): neither session nor negotiated revision belong to it. */
  isModern?: boolean;
  /** It opens a session, and belongs to none. */
  isFirst?: boolean;
  /** Refusals go onto the channel too: there is no other way to its client. */
  inBand?: boolean;
  /** What is known of the message already. */
  posted?: Scan;
  /** Header fields in place of the client's: name, value, name, value … in lower case. */
  fields?: readonly string[];
}

const MAX_REQUESTS = 128;
/** Notifications and responses are short, and most servers answer them at once: so many times as many may be under way. */
const MORE_OF_THEM = 4;

export class ChannelClient {
  readonly #options: ChannelOptions;
  readonly #calls = new Set<ChannelCall>();
  /** What the stream, and the end of the session, are asked for with. */
  #head: ChannelHead | undefined;
  #sessionId: string | undefined;
  #version: string | undefined;
  /** Settles when the server knows that the client is ready: before, it may refuse requests (MCP 2025-11-25, Lifecycle). */
  #initialized: Promise<void> | undefined;
  #listener: ChannelListener | undefined;
  #full = false;
  readonly #waiting = new Set<Pipe>();
  #closed: Promise<void> | undefined;

  constructor(options: ChannelOptions) {
    this.#options = options;
  }

  get mount(): MountRuntime {
    return this.#options.mount;
  }
  /** Requests whose responses are due. */
  get pending(): number {
    let count = 0;
    for (const call of this.#calls) if (call.isPending) count++;
    return count;
  }
  /** Messages that the server has not answered yet, without streams that have no end. */
  get underWay(): number {
    let count = 0;
    for (const call of this.#calls) if (call.posted?.method !== "subscriptions/listen") count++;
    return count;
  }
  /** Told when something that was under way is over. */
  onIdle: (() => void) | undefined;
  /** The client has begun a session with `initialize`, or tried to. */
  isLegacy = false;

  /**
   * Takes one message. Never rejects.
   *
   * @returns nothing once the message is on its way to the server, or answered on the channel; else why it is refused
   */
  post(request: Incoming, options: PostOptions = {}): Promise<Refusal | undefined> {
    const own = ["accept", "application/json, text/event-stream", ...(options.fields ?? [])];
    if (!options.isModern && !options.isFirst) own.push(...this.#sessionFields());
    const read = (limit: number) => request.read(limit);
    const exchange = new ExchangeRun(this.mount, new ChannelRequest("POST", request, own, read));
    const call = new ChannelCall(this, request, exchange, options);
    this.#calls.add(call);
    const entry = this.#options.running.add(exchange);
    call.onClosed = () => {
      this.#calls.delete(call);
      this.#options.running.remove(entry);
      this.onIdle?.();
    };
    return call.run();
  }

  /** The client gave up the request with this id. @returns whether there is such a modern request under way */
  cancel(id: unknown): boolean {
    const call = [...this.#calls].find((one) => one.isModern && one.isPending && one.id === id);
    call?.leave();
    return call !== undefined;
  }

  /** The client reads again. */
  drained(): void {
    this.#full = false;
    for (const pipe of this.#waiting) {
      // oxlint-disable-next-line no-unnecessary-condition -- what a pipe lets go may fill the channel again
      if (this.#full) return;
      this.#waiting.delete(pipe);
      pipe.drained();
    }
  }

  /** The client is gone: what it waits for is let go, and its session ends. */
  close(): Promise<void> {
    return (this.#closed ??= this.#end());
  }

  async #end(): Promise<void> {
    this.#listener?.close();
    for (const call of this.#calls) call.leave();
    if (this.#sessionId !== undefined) await this.#delete(this.#sessionId);
  }

  /** @throws ProxyError when too much is under way already; a promise where the message has to wait */
  accepted(call: ChannelCall, posted: Scan): Promise<void> | undefined {
    if (this.#closed) throw new ProxyError("SESSION_NOT_FOUND");
    const { maxRequests = MAX_REQUESTS } = this.#options;
    const limit = posted.kind === "request" ? maxRequests : maxRequests * MORE_OF_THEM;
    let same = 0;
    for (const one of this.#calls) if (one.posted?.kind === posted.kind) same++;
    if (same > limit)
      throw new ProxyError("RATE_LIMITED", {
        hint: `${limit} messages of this client are under way.`,
        headers: { "retry-after": "1" },
      });
    if (!call.isModern) this.#head = call.head;
    if (posted.method === "initialize") this.isLegacy = true;
    const before = this.#initialized;
    if (posted.method === "notifications/initialized") this.#initialized = call.settled;
    return before;
  }

  /** A session was opened. */
  opened(sessionId: string | undefined): void {
    const before = this.#sessionId;
    this.#sessionId = sessionId;
    this.#initialized = undefined;
    this.#version = undefined;
    // Who initializes once more has no use for what was before.
    this.#listener?.close();
    this.#listener = undefined;
    if (before !== undefined && before !== sessionId) void this.#delete(before);
  }

  /** The revision that was agreed on. */
  negotiated(version: string): void {
    this.#version = version;
  }

  /** The server knows that its client is ready: what it has to say beside its answers comes on a stream of its own. */
  listen(): void {
    if (!this.#listener && !this.#closed) this.#listener = new ChannelListener(this);
  }

  send(line: Buffer): void {
    if (this.#closed) return;
    this.#full = !this.#options.send(line) || this.#full;
  }

  isFull(pipe: Pipe): boolean {
    if (this.#full) this.#waiting.add(pipe);
    return this.#full;
  }

  /** A pipe that is over has nothing more to let go. */
  forget(pipe: Pipe): void {
    this.#waiting.delete(pipe);
  }

  /** The request of a GET. @param own fields beside those of the session */
  listenWith(own: readonly string[]): ChannelRequest {
    return new ChannelRequest("GET", this.#head!, [...own, ...this.#sessionFields()]);
  }

  async #delete(sessionId: string): Promise<void> {
    if (!this.#head) return;
    const own = ["accept", "application/json, text/event-stream", ...this.#sessionFields(sessionId)];
    const exchange = new ExchangeRun(this.mount, new ChannelRequest("DELETE", this.#head, own));
    const entry = this.#options.running.add(exchange);
    const { body } = await exchange.run();
    if (body instanceof Pipe) body.abort();
    this.#options.running.remove(entry);
    exchange.closed(true);
  }

  #sessionFields(sessionId = this.#sessionId): string[] {
    return [
      ...(sessionId === undefined ? [] : ["mcp-session-id", sessionId]),
      ...(this.#version === undefined ? [] : ["mcp-protocol-version", this.#version]),
    ];
  }
}
