/**
 * Many requests over one pipe of JSON-RPC messages: what a stdio server and an HTTP+SSE server have in common. Towards the proxy it
 * looks like Streamable HTTP (MCP 2025-11-25, Transports): each request has an answer of its own, each session an event stream
 * for what belongs to no request.
 *
 * - Ids and progress tokens of clients are exchanged for numbers of the channel's own, and put back byte for byte.
 * - What a server says by itself names no request, but for progress. With one request pending it belongs to that one; with several it
 *   goes to the session's GET stream, or without one to the newest request that takes an event stream. Changes of lists and
 *   resources are about no request: where there is a GET stream, they go there.
 * - Back-pressure reaches the server: while a stream holds 256 KiB that nobody reads, the pipe is not read. A stream that holds up
 *   others in this way for 10 s is cut.
 */
import { type Members, type Span, findElements, findLargeId, findMembers, replaceSpans } from "../body/members.ts";
import type { Deadlines } from "../deadlines.ts";
import { META } from "../era.ts";
import { ProxyError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Timeouts } from "../types.ts";
import { Asked, keyOf } from "./channel-asked.ts";
import type { PendingAnswer } from "../pending-answer.ts";
import { Holds } from "./channel-holds.ts";
import { ChannelSession } from "./channel-session.ts";

/** What carries the messages. */
export interface ChannelLink {
  /** @param text one JSON-RPC message, without line breaks @throws ProxyError, or rejects with one, when it cannot be sent */
  send(text: Buffer): void | Promise<void>;
  /** Messages should stop coming; those under way may still come. */
  pause(): void;
  resume(): void;
}

export interface ChannelOptions {
  /** The server's name, for error messages. */
  server: string;
  link: ChannelLink;
  log: Logger;
  deadlines: Deadlines;
  timeouts: Readonly<Required<Timeouts>>;
  /**
   * `session`: the pipe belongs to one client · `shared`: several legacy clients use it · `modern`: it is spoken to in
   * 2026-07-28, where servers send no requests.
   */
  kind: "session" | "shared" | "modern";
}

/** A request under way. */
export interface Pending {
  /** Which the server knows it by. */
  readonly id: number;
  /** As the client wrote it. */
  readonly idText: string;
  readonly method: string;
  /** The client's progress token, as it wrote it. */
  readonly token: string | undefined;
  /** It wants to be told what the server logs meanwhile (MCP 2026-07-28, Logging). */
  readonly logs: boolean;
  readonly session: ChannelSession;
  readonly call: PendingAnswer;
}

/** Requests under way, those that nobody waits for any longer included. */
const MAX_PENDING = 4096;
const SUBSCRIPTION = `${META}subscriptionId`;
const CORRELATED = `_meta.${SUBSCRIPTION}`;
const DOWN = {
  id: true,
  method: true,
  result: { _meta: { [SUBSCRIPTION]: true } },
  error: true,
  params: { progressToken: true, requestId: true, _meta: { [SUBSCRIPTION]: true } },
} as const;

export class Channel {
  readonly options: ChannelOptions;
  readonly #calls = new Map<number, Pending>();
  readonly #sessions = new Set<ChannelSession>();
  readonly #asked = new Asked();
  readonly holds: Holds;
  #lastId = 0;
  #closed: ProxyError | undefined;

  constructor(options: ChannelOptions) {
    this.options = options;
    this.holds = new Holds(options, (call) =>
      [...this.#calls.values()].some((pending) => pending.call !== call && !pending.call.deaf),
    );
  }

  /** Requests under way. */
  get pending(): number {
    return this.#calls.size;
  }

  get sessions(): number {
    return this.#sessions.size;
  }

  /** A client more. */
  open(): ChannelSession {
    const session = new ChannelSession(this);
    this.#sessions.add(session);
    return session;
  }

  /**
   * One message of the server.
   *
   * @param text without line breaks @returns false when it is no message
   */
  receive(text: Buffer): boolean {
    const largeId = findLargeId(text);
    if (largeId) return this.#respond(text, largeId);
    const members = findMembers(text, DOWN);
    if (!members) return this.#batch(text);
    const id = members.get("id");
    const method = methodOf(text, members);
    if (id && keyOf(text.toString("utf8", ...id)) === undefined) return false;
    if (method !== undefined) this.#route(text, members, method, id);
    else if (!members.has("result") && !members.has("error")) return false;
    else if (id) this.#respond(text, id, members.get(`result.${CORRELATED}`));
    return true;
  }

  /** The pipe is broken, or done with. What is under way fails with this. */
  fail(error: ProxyError): void {
    if (this.#closed) return;
    this.#closed = error;
    for (const { call } of this.#calls.values()) call.fail(error);
    for (const session of this.#sessions) session.break(error);
    this.#sessions.clear();
  }

  /** For sessions: sends something up. @throws ProxyError */
  send(text: Buffer): void | Promise<void> {
    if (this.#closed) throw this.#closed;
    return this.options.link.send(text);
  }

  /** For sessions: a number for a request. @throws ProxyError `SERVER_BUSY` */
  nextId(): number {
    if (this.#calls.size >= MAX_PENDING)
      throw new ProxyError("SERVER_BUSY", { server: this.options.server, headers: { "retry-after": "1" } });
    return ++this.#lastId;
  }

  add(pending: Pending): void {
    this.#calls.set(pending.id, pending);
  }

  remove({ id }: Pending): void {
    this.#calls.delete(id);
  }

  /** MCP 2025-11-25, Cancellation: "The initialize request MUST NOT be cancelled by clients". */
  tellCancelled({ id, method }: Pending, reason: string): void {
    if (method === "initialize" || this.#closed) return;
    const params = { requestId: id, reason };
    this.#sendAside({ jsonrpc: "2.0", method: "notifications/cancelled", params });
  }

  /** Whether the server asked this session; it counts once. @param idText of the answer */
  takeAsked(idText: string, session: ChannelSession): boolean {
    return this.#asked.take(idText, session);
  }

  /** A session ends; the server is told of what nobody will answer any more. */
  close(session: ChannelSession): void {
    this.#sessions.delete(session);
    for (const idText of this.#asked.takeAll(session)) this.#refuse(idText, "its client has left");
  }

  #respond(text: Buffer, id: Span, correlated?: Span): true {
    const pending = this.#find(text, id);
    if (!pending) this.#drop("a response that nobody waits for");
    else
      pending.call.respond(
        replaceSpans(text, [[id, pending.idText], ...(correlated ? [[correlated, pending.idText] as const] : [])]),
      );
    return true;
  }

  /** MCP 2025-03-26 has batches. */
  #batch(text: Buffer): boolean {
    const elements = findElements(text);
    if (!elements) return false;
    let all = true;
    for (const [from, to] of elements) if (!this.receive(text.subarray(from, to))) all = false;
    return all;
  }

  /** A request or a notification of the server. */
  #route(text: Buffer, members: Members, method: string, id: Span | undefined): void {
    if (method === "notifications/progress") return this.#progress(text, members.get("params.progressToken"));
    const correlated = members.get(`params.${CORRELATED}`);
    const listener = correlated && this.#find(text, correlated);
    if (listener) return listener.call.push(replaceSpans(text, [[correlated, listener.idText]]));
    // Its subscription is over: whoever has a call under way has not asked for it.
    if (correlated && this.options.kind === "modern") return this.#drop(`${method} of a subscription that is over`);
    // MCP 2026-07-28, Cancellation: over stdio a server may end a subscription in this way.
    const ended = members.get("params.requestId");
    const cancelled =
      this.options.kind === "modern" && method === "notifications/cancelled" && ended && this.#find(text, ended);
    if (cancelled) {
      cancelled.call.push(replaceSpans(text, [[ended, cancelled.idText]]));
      return cancelled.call.cancel();
    }
    if (id) this.#ask(text, text.toString("utf8", ...id), method);
    else this.#tell(text, method);
  }

  #progress(text: Buffer, token: Span | undefined): void {
    if (!token) return this.#drop("progress without a token");
    const pending = this.#find(text, token);
    if (pending?.token !== undefined) return pending.call.push(replaceSpans(text, [[token, pending.token]]));
    const key = Number(text.toString("latin1", ...token));
    for (const session of this.#sessions) {
      const kept = session.tokenOf(key);
      if (kept !== undefined) return void session.tell(Buffer.concat(replaceSpans(text, [[token, kept]])), false);
    }
    this.#drop("progress of nothing that is under way");
  }

  #ask(text: Buffer, idText: string, method: string): void {
    const [session] = this.#sessions;
    const alone = this.options.kind !== "modern" && this.#sessions.size === 1;
    if (alone && this.#asked.hasRoom && session!.ask(text)) return this.#asked.add(idText, session!);
    if (method === "ping") return this.#sendAside(`{"jsonrpc":"2.0","id":${idText},"result":{}}`);
    this.#refuse(
      idText,
      alone
        ? "no client listens"
        : this.options.kind === "modern"
          ? "clients of this revision are asked in results (input_required)"
          : "several clients share this server, so nobody knows which one is meant (its option `shared`)",
    );
  }

  #tell(text: Buffer, method: string): void {
    // What a modern server says names its subscription, or is about the one request that runs.
    const sessions = this.options.kind === "modern" ? [] : [...this.#sessions];
    const isChange = method.endsWith("/list_changed");
    const isUpdate = method === "notifications/resources/updated";
    if (sessions.length === 1) return sessions[0]!.tell(text, isChange || isUpdate);
    if (sessions.length > 0 && isChange) for (const session of sessions) session.tellAll(text);
    else if (sessions.length > 0 && isUpdate)
      for (const session of sessions.filter(({ subscribes }) => subscribes)) session.tellAll(text);
    else {
      const only = this.#onlyCall(method === "notifications/message");
      if (only?.call.listens) only.call.push([text]);
      else this.#drop(`${method}, which could be anybody's`);
    }
  }

  /**
   * The one request that runs, if there is one. What comes on a subscription names it; what is logged (MCP 2026-07-28, Logging)
   * belongs to a request that asked for it.
   */
  #onlyCall(isLogged: boolean): Pending | undefined {
    let only: Pending | undefined;
    for (const pending of this.#calls.values()) {
      if (pending.method === "subscriptions/listen") continue;
      if (isLogged && this.options.kind === "modern" && !pending.logs) continue;
      if (only) return undefined;
      only = pending;
    }
    return only;
  }

  #find(text: Buffer, span: Span): Pending | undefined {
    const number = text.toString("latin1", ...span);
    return /^\d+$/.test(number) ? this.#calls.get(Number(number)) : undefined;
  }

  #refuse(idText: string, why: string): void {
    const { server, log } = this.options;
    log.debug(() => `${server}: a request of the server was refused: ${why}`);
    const message = `Penstock cannot pass on a request of server '${server}': ${why}.`;
    this.#sendAside(`{"jsonrpc":"2.0","id":${idText},"error":{"code":-32603,"message":${JSON.stringify(message)}}}`);
  }

  /** What the proxy itself says. Nobody waits for it to arrive. */
  #sendAside(message: string | object): void {
    const { server, log } = this.options;
    const failed = (cause: unknown) => log.debug(() => `${server}: it could not be told something: ${String(cause)}`);
    try {
      const text = typeof message === "string" ? message : JSON.stringify(message);
      Promise.resolve(this.send(Buffer.from(text))).catch(failed);
    } catch (cause) {
      failed(cause);
    }
  }

  #drop(what: string): void {
    this.options.log.debug(() => `${this.options.server}: dropped ${what}`);
  }
}

function methodOf(text: Buffer, members: Members): string | undefined {
  const span = members.get("method");
  try {
    const method: unknown = span && JSON.parse(text.toString("utf8", ...span));
    return typeof method === "string" ? method : undefined;
  } catch {
    return undefined;
  }
}
