/** A session with a server, in use by one client or by all calls of one caller: sends, and opens it anew where the server lost it. */
import {
  type Answer,
  type App,
  type Call,
  type ClientInfo,
  type Logger,
  type Mount,
  type Next,
  type Outline,
  type Principal,
  ProxyError,
  type Session,
  type State,
  type UpstreamRequest,
  discard,
  empty,
} from "../core/index.ts";
import { SESSION_ID, briefly, endSession, isForgotten } from "./_session-handshake.ts";
import type { MountSessions } from "./_session-mount.ts";
import { isLost, isSafeToRepeat, readRefusal } from "./_session-refusals.ts";
import { upstreamSession } from "./_upstream-session.ts";

/** Between two attempts to open a lost session again, in milliseconds: doubles up to the second. */
const BACKOFF = [250, 5000] as const;
/** One request on its way. */
interface Sent {
  request: UpstreamRequest;
  next: Next;
  outline: Outline | undefined;
}

/** What all sessions with one server have in common. */
export interface LeaseHost {
  readonly app: App;
  readonly mount: Mount;
  readonly log: Logger;
  /** `performance.now()`, or not long ago. */
  readonly clock: number;
  /** Sessions that were opened anew. */
  healed: number;
}

export abstract class Lease<Host extends LeaseHost = MountSessions> implements Session {
  abstract readonly id: string;
  abstract client: ClientInfo;
  readonly principal: Principal;
  readonly sessions: Host;
  /** Calls its server on behalf of its client. */
  readonly call: Call;
  /** Of the last request: what the proxy asks by itself bears the same credentials. */
  fields: Headers | undefined;
  /** By the clock of the mount. */
  usedAt: number;
  /** Exchanges that have not ended. */
  open = 0;
  ended = false;
  /** A request found the server's session alive; until then it may be long gone. */
  #sure: boolean;
  #upstreamId: string | undefined;
  #renewing: Promise<void> | undefined;
  #failures = 0;
  #failure: unknown;
  #retryAt = 0;
  readonly #slots = new Map<State<unknown>, unknown>();

  /** @param sure the server opened it just now */
  constructor(sessions: Host, principal: Principal, upstreamId: string | undefined, sure: boolean) {
    this.sessions = sessions;
    this.principal = principal;
    this.usedAt = sessions.clock;
    this.call = (request) => sessions.app.call(sessions.mount, request, { principal, reason: `session ${this.id}` });
    // Of other drivers a lost session costs nothing: they know their sessions, and not a byte leaves for another one.
    this.#sure = sure || sessions.mount.transport !== "http";
    this.upstreamId = upstreamId;
  }

  get upstreamId(): string | undefined {
    return this.#upstreamId;
  }
  set upstreamId(id: string | undefined) {
    this.#upstreamId = id;
    this.set(upstreamSession, id);
  }

  get<T>(state: State<T>): T | undefined {
    return this.#slots.get(state) as T | undefined;
  }
  set<T>(state: State<T>, value: T): void {
    this.#slots.set(state, value);
  }

  /** Opens the server's session anew. @param lost the id that it no longer knows @throws ProxyError */
  protected abstract reopen(lost: string | undefined): Promise<void>;

  /**
   * Sends a request of this session.
   *
   * @param outline of what is posted; `undefined` for GET and DELETE
   * @throws ProxyError
   */
  send(request: UpstreamRequest, next: Next, outline: Outline | undefined): Promise<Answer> {
    this.fields = request.headers;
    const sent = { request, next, outline };
    if (this.#renewing === undefined && (this.#sure || isSafe(sent))) return this.#sendOnce(sent, true);
    return this.#sendWhenSure(sent);
  }

  /** What must not run twice waits until it is known that the server has the session. */
  async #sendWhenSure(sent: Sent): Promise<Answer> {
    const used = this.upstreamId;
    if (!this.#sure && used !== undefined && this.#renewing === undefined) {
      if (await isForgotten(this.call, used, this.fields)) await this.renew(used);
      this.#sure = true;
    }
    // If that fails, the request finds it out by itself.
    await this.#renewing?.catch(() => {});
    return this.#sendOnce(sent, true);
  }

  #sendOnce(sent: Sent, again: boolean): Promise<Answer> {
    const { request, next } = sent;
    const used = this.#upstreamId;
    if (used === undefined) request.headers.delete(SESSION_ID);
    else request.headers.set(SESSION_ID, used);
    return next(request).then(
      (answer) => {
        const { status, headers } = answer;
        // Clients of SDK v1 take a session id from whatever answer has one.
        headers.delete(SESSION_ID);
        if (status === 404 || status === 400) return this.#refused(answer, used, sent, again);
        this.#sure ||= status < 300;
        return answer;
      },
      (cause: unknown) => {
        if (!isLost(cause)) throw cause;
        return this.#recover(used, sent, again, false);
      },
    );
  }

  /** Decides whether a 400 or 404 means that the session is lost. */
  async #refused(answer: Answer, used: string | undefined, sent: Sent, again: boolean): Promise<Answer> {
    const { method } = sent.request;
    if (used === undefined || method === "DELETE") return answer;
    let kept = answer;
    let doubtful = answer.status === 404;
    if (!doubtful) [kept, doubtful] = await readRefusal(answer);
    if (!doubtful) return kept;
    // A GET may be refused because there is no such stream, and a 400 may be about anything: the server is asked.
    const clear = method === "POST" && answer.status === 404;
    if (!clear && used === this.#upstreamId && !(await isForgotten(this.call, used, this.fields))) return kept;
    discard(kept);
    return this.#recover(used, sent, again, true);
  }

  /** @param left bytes of the request had left */
  async #recover(used: string | undefined, sent: Sent, again: boolean, left: boolean): Promise<Answer> {
    const { outline } = sent;
    const { server } = this.sessions.mount;
    if (!again) throw new ProxyError("SERVER_LOST_SESSION", { server });
    // Whoever asked is gone with the session.
    if (outline?.kind === "response") return empty(202);
    const renewed = this.renew(used);
    // What a stream of the lost session had is lost too: its successor would be another stream.
    if ((left && !isSafe(sent)) || sent.request.headers.has("last-event-id")) {
      renewed.catch((cause: unknown) => this.sessions.log.debug(() => `${server}: no new session (${String(cause)})`));
      throw new ProxyError("SERVER_LOST_SESSION", { server });
    }
    await renewed;
    // The new one has had it.
    if (outline?.method === "notifications/initialized") return empty(202);
    return this.#sendOnce(sent, false);
  }

  /** Opens the session anew, once for all who find it lost. @throws ProxyError */
  renew(lost: string | undefined): Promise<void> {
    if (this.#upstreamId !== lost) return Promise.resolve();
    // Nobody would end the next one.
    if (this.ended)
      return Promise.reject(new ProxyError("SERVER_LOST_SESSION", { server: this.sessions.mount.server }));
    return (this.#renewing ??= this.#renew(lost).finally(() => (this.#renewing = undefined)));
  }

  async #renew(lost: string | undefined): Promise<void> {
    if (performance.now() < this.#retryAt) throw this.#failure;
    try {
      await this.reopen(lost);
      this.#failures = 0;
      this.#sure = true;
    } catch (cause) {
      this.#failure = cause;
      this.#retryAt = performance.now() + Math.min(BACKOFF[0] * 2 ** this.#failures++, BACKOFF[1]);
      throw cause;
    }
    const { mount, log } = this.sessions;
    this.sessions.healed++;
    log.info(() => `${mount.server} had lost session ${this.id}; a new one was opened`);
  }

  /** The session that is being opened in its place is there, or will not be: one that has ended meanwhile says goodbye by itself. */
  settled(): Promise<void> {
    return briefly(this.#renewing);
  }

  /** Ends it at the server; nobody waits for that. */
  goodbye(): Promise<void> {
    const id = this.#upstreamId;
    return id === undefined ? Promise.resolve() : endSession(this.call, id, this.fields);
  }
}

function isSafe({ request, outline }: Sent): boolean {
  return request.method === "GET" || (outline !== undefined && isSafeToRepeat(outline));
}
