/** All sessions with one server in this process: how they begin, are found again, and end. */
import {
  type Answer,
  type App,
  type Exchange,
  type Json,
  type Logger,
  type Mount,
  type Next,
  type Principal,
  ProxyError,
  type UpstreamRequest,
  discard,
} from "../core/index.ts";
import { Caps } from "./_session-caps.ts";
import { ClientSession } from "./_session-client.ts";
import { SESSION_ID, endSession } from "./_session-handshake.ts";
import type { Ledger } from "./_session-ledger.ts";
import { Sessionless } from "./_session-less.ts";
import type { SessionsSettings } from "./_session-options.ts";
import { bindingOf, createKey, handshakeOf, openContent, sealContent } from "./_session-token.ts";

export class MountSessions {
  readonly app: App;
  readonly mount: Mount;
  readonly settings: SessionsSettings;
  readonly ledger: Ledger;
  readonly caps: Caps;
  readonly sessionless: Sessionless;
  /** Sessions that were opened anew. */
  healed = 0;
  /** `performance.now()` of the last look around: cheap to read, and exact enough for what is idle. */
  clock: number = performance.now();
  readonly #byToken = new Map<string, ClientSession>();
  readonly #byKey = new Map<string, ClientSession>();

  constructor(app: App, mount: Mount, settings: SessionsSettings, ledger: Ledger) {
    this.app = app;
    this.mount = mount;
    this.settings = settings;
    this.ledger = ledger;
    this.caps = new Caps(mount.server, settings);
    this.sessionless = new Sessionless(this);
  }

  get log(): Logger {
    return this.app.log;
  }

  /** A session that was used in this process before. */
  find(token: string, principal: Principal): ClientSession | undefined {
    const found = this.#byToken.get(token);
    return found !== undefined && found.principal.id === principal.id ? found : undefined;
  }

  /** A session that began before a restart, or on another replica. @throws ProxyError */
  async open(token: string, principal: Principal): Promise<ClientSession | undefined> {
    const content = await openContent(this.app, token, bindingOf(principal, this.mount));
    if (content === undefined || (await this.ledger.hasEnded(content.key))) return undefined;
    const known = await this.ledger.find(content.key);
    // Others may have waited for the same; and one session id may be written in several ways.
    const found = this.#byKey.get(content.key);
    if (found) return found;
    this.caps.claim(principal);
    return this.#keep(new ClientSession(this, principal, { ...content, ...pick(known) }, token, false));
  }

  /** A client's `initialize`. @throws ProxyError */
  async begin(exchange: Exchange, request: UpstreamRequest, next: Next): Promise<Answer> {
    const { principal } = exchange;
    this.caps.claim(principal);
    let session: ClientSession | undefined;
    try {
      request.headers.delete(SESSION_ID);
      // Who leaves now would leave a session behind whose id nobody knows: the answer is waited for all the same.
      const answer = await next({ ...request, signal: request.signal ?? new AbortController().signal });
      const id = answer.headers.get(SESSION_ID);
      answer.headers.delete(SESSION_ID);
      if (answer.status < 300) this.sessionless.need.learn(id !== null);
      if (id === null) return answer;
      if (answer.status < 300 && !exchange.signal.aborted) session = await this.#create(exchange, id, answer, request);
      else void endSession(this.#callFor(principal), id, request.headers);
      if (!exchange.signal.aborted) return answer;
      discard(answer);
      throw new ProxyError("CLIENT_GONE");
    } finally {
      if (session === undefined) this.caps.release(principal);
    }
  }

  async #create(
    exchange: Exchange,
    upstreamId: string,
    answer: Answer,
    { headers }: UpstreamRequest,
  ): Promise<ClientSession> {
    const { principal } = exchange;
    const expiresAt = Date.now() + this.settings.maxAge;
    const content = { key: createKey(), upstreamId, handshake: handshakeOf(exchange), expiresAt };
    let token: string;
    try {
      token = await sealContent(this.app, content, bindingOf(principal, this.mount));
    } catch (cause) {
      discard(answer);
      void endSession(this.#callFor(principal), upstreamId, headers);
      throw cause;
    }
    const session = this.#keep(new ClientSession(this, principal, content, token, true));
    session.fields = headers;
    session.open++;
    exchange.session = session;
    answer.headers.set(SESSION_ID, token);
    return session;
  }

  #callFor(principal: Principal) {
    return (request: Partial<UpstreamRequest>) =>
      this.app.call(this.mount, request, { principal, reason: "a session that nobody wants" });
  }

  #keep(session: ClientSession): ClientSession {
    this.#byToken.set(session.token, session);
    this.#byKey.set(session.key, session);
    return session;
  }

  /** The session is over, for all replicas. */
  async end(session: ClientSession): Promise<void> {
    this.forget(session);
    await this.ledger.end(session.key);
  }

  /** Ended elsewhere. */
  endedElsewhere(key: string): void {
    const session = this.#byKey.get(key);
    if (session) this.forget(session);
  }

  /** The session is over in this process. */
  forget(session: ClientSession): void {
    if (session.ended) return;
    session.ended = true;
    this.#byToken.delete(session.token);
    this.#byKey.delete(session.key);
    this.caps.release(session.principal);
    session.streams.end();
  }

  /** Called now and then: ends what is idle or too old, and tells replicas what is in use. */
  async look(): Promise<void> {
    const before = this.clock;
    this.clock = performance.now();
    const work: Promise<void>[] = [];
    for (const session of this.#byKey.values()) {
      if (session.open > 0 || session.streams.active > 0) session.usedAt = this.clock;
      if (session.expiresAt <= Date.now()) work.push(this.end(session).then(() => session.goodbye()));
      else if (this.clock - session.usedAt > this.settings.idleTimeout) work.push(this.#reap(session));
      else if (session.usedAt >= before) work.push(this.ledger.touch(session.key, session.upstreamId));
    }
    this.sessionless.look();
    await Promise.all(work);
  }

  /** Called every second. */
  check(): void {
    const now = performance.now();
    for (const { streams } of this.#byKey.values()) if (streams.active > 0) streams.check(now);
  }

  /** The proxy closes: sessions go on at the server, their streams do not. */
  close(): void {
    for (const { streams } of this.#byKey.values()) streams.end();
  }

  /** Its id stays good: with the next request the server gets a new session. */
  async #reap(session: ClientSession): Promise<void> {
    this.forget(session);
    const known = await this.ledger.find(session.key);
    // Another replica said so a while ago; what was said here is as old as the session is idle.
    if (known && Date.now() - known.usedAt < this.settings.idleTimeout / 2) return;
    await this.ledger.forget(session.key);
    await session.goodbye();
  }

  report(): Json {
    return { sessions: { clients: this.#byKey.size, pooled: this.sessionless.pool.size, healed: this.healed } };
  }
}

function pick(known: { upstreamId: string | undefined } | undefined): { upstreamId?: string } {
  return known?.upstreamId === undefined ? {} : { upstreamId: known.upstreamId };
}
