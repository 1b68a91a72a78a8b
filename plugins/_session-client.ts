/** A client's session: the id that it holds, the server's session behind it, and its streams. */
import {
  type Answer,
  type ClientInfo,
  type Exchange,
  type Json,
  type Logger,
  type Mount,
  type Next,
  type Outcome,
  type Outline,
  type Principal,
  ProxyError,
  type UpstreamRequest,
  discard,
  empty,
  isRecord,
} from "../core/index.ts";
import { SESSION_ID, VERSION_FIELD, endSession, openSession, ownFields, sayAgain } from "./_session-handshake.ts";
import { Lease } from "./_session-lease.ts";
import type { MountSessions } from "./_session-mount.ts";
import { SessionStreams, type StreamsHost } from "./_session-streams.ts";
import type { SessionContent } from "./_session-token.ts";
import { Wishes, isWish } from "./_session-wishes.ts";

/** MCP 2025-06-18, Transports, Protocol Version Header: of who names none. */
const ASSUMED = "2025-03-26";

export class ClientSession extends Lease implements StreamsHost {
  readonly token: string;
  readonly key: string;
  readonly handshake: Json | undefined;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
  readonly streams: SessionStreams;
  client: ClientInfo;
  readonly #wishes = new Wishes();

  /** @param sure the server opened it just now */
  constructor(
    sessions: MountSessions,
    principal: Principal,
    { key, upstreamId, handshake, expiresAt }: SessionContent,
    token: string,
    sure: boolean,
  ) {
    super(sessions, principal, upstreamId, sure);
    this.key = key;
    this.handshake = handshake;
    this.token = token;
    this.expiresAt = expiresAt;
    const { protocolVersion, capabilities, clientInfo } = handshake ?? {};
    this.client = {
      era: "legacy",
      version: typeof protocolVersion === "string" ? protocolVersion : ASSUMED,
      capabilities: isRecord(capabilities) ? capabilities : undefined,
      info: isRecord(clientInfo) ? clientInfo : undefined,
    };
    this.streams = new SessionStreams(this, sessions.settings.streams);
  }

  /** Enough to tell sessions apart in a log. */
  get id(): string {
    return this.key.slice(0, 8);
  }
  get mount(): Mount {
    return this.sessions.mount;
  }
  get log(): Logger {
    return this.sessions.log;
  }
  get version(): string {
    return this.client.version;
  }

  /** A request of its client has come. */
  enter(exchange: Exchange): void {
    this.open++;
    this.usedAt = this.sessions.clock;
    // What was agreed on, the client says with each request; it asked for something else perhaps.
    const version = exchange.request.headers.get(VERSION_FIELD) ?? ASSUMED;
    if (version !== this.client.version) this.client = { ...this.client, version };
    exchange.session = this;
  }

  /** Its exchange has ended. */
  left({ posted }: Exchange, { end }: Outcome): void {
    this.open--;
    this.usedAt = this.sessions.clock;
    // Whoever left in the middle of the handshake does not know its session.
    if (posted?.method === "initialize" && end !== "complete" && !this.ended)
      void this.sessions.end(this).then(() => this.goodbye());
  }

  /** @param outline of what is posted; `undefined` for GET and DELETE @throws ProxyError */
  forward(exchange: Exchange, request: UpstreamRequest, next: Next, outline: Outline | undefined): Promise<Answer> {
    if (outline?.kind === "response") return this.#answered(exchange, request, next, outline);
    if (outline !== undefined) {
      const send = (again: UpstreamRequest) => this.send(again, next, outline);
      const answer = this.streams.relay(exchange, request, send);
      return isWish(outline.method) ? answer.then((given) => this.#wished(exchange, request, given)) : answer;
    }
    if (request.method === "DELETE") return this.#delete(request, next);
    return this.streams.get(exchange, request, (again) => this.send(again, next, undefined));
  }

  listen(lastEventId: string | undefined, signal: AbortSignal): Promise<Answer> {
    const headers = ownFields(this.fields, { "last-event-id": lastEventId });
    return this.send({ method: "GET", headers, body: null, signal }, this.call, undefined);
  }

  async answer(body: Uint8Array): Promise<void> {
    const outline = { kind: "response", idText: undefined, method: undefined } as const;
    const headers = ownFields(this.fields);
    discard(await this.send({ method: "POST", headers, body }, this.call, outline));
  }

  /** Where it was refused after all, it is refused again by another session. */
  #wished(exchange: Exchange, { body }: UpstreamRequest, answer: Answer): Answer {
    const message = body instanceof Uint8Array ? exchange.message : body;
    if (message && answer.status < 300) this.#wishes.told(message);
    return answer;
  }

  async #answered(exchange: Exchange, request: UpstreamRequest, next: Next, outline: Outline): Promise<Answer> {
    const { body } = request;
    const message = body instanceof Uint8Array ? exchange.message! : body!;
    const known = this.streams.answered(message, body!);
    return known === undefined ? empty(202) : this.send({ ...request, body: known }, next, outline);
  }

  /** The session is over for its client, whatever the server says to that. */
  async #delete(request: UpstreamRequest, next: Next): Promise<Answer> {
    const id = this.upstreamId;
    await this.sessions.end(this);
    if (id === undefined) return empty(204);
    request.headers.set(SESSION_ID, id);
    const answer = await next(request).catch((cause: unknown) =>
      this.log.debug(() => `${this.mount.server}: the end of session ${this.id} did not arrive (${String(cause)})`),
    );
    if (answer === undefined) return empty(204);
    answer.headers.delete(SESSION_ID);
    if (answer.status < 300) return answer;
    discard(answer);
    return empty(204);
  }

  protected async reopen(lost: string | undefined): Promise<void> {
    const { sessions, key, handshake } = this;
    const { server } = this.mount;
    if (await sessions.ledger.hasEnded(key)) {
      sessions.forget(this);
      throw new ProxyError("SESSION_NOT_FOUND", { server });
    }
    const known = await sessions.ledger.find(key);
    if (known !== undefined && known.upstreamId !== lost) return this.#adopt(known.upstreamId);
    if (handshake === undefined) throw new ProxyError("SESSION_NOT_FOUND", { server });
    const opened = await openSession(this.call, this.mount, handshake, this.fields);
    if (typeof opened === "number")
      throw new ProxyError("UPSTREAM_INVALID", { server, detail: `initialize was answered with HTTP ${opened}` });
    const winner = await sessions.ledger.replace(key, lost, known, opened.id);
    if (winner !== opened.id && opened.id !== undefined) void endSession(this.call, opened.id, this.fields);
    await this.#adopt(winner);
    if (this.ended) await this.goodbye();
  }

  /** Whoever opened it, another process perhaps, need not know what its client has told this one. */
  async #adopt(upstreamId: string | undefined): Promise<void> {
    this.upstreamId = upstreamId;
    this.streams.renewed();
    const failed = await sayAgain(this.call, this.#wishes.messages(), upstreamId, this.fields);
    if (failed > 0)
      this.log.debug(() => `${this.mount.server}: ${failed} settings of session ${this.id} were not taken again`);
  }
}
