/** Clients without a session, such as curl: passed on as they are, or on a session of the proxy's own where the server insists on one. */
import {
  ANONYMOUS,
  type Answer,
  type Exchange,
  type Next,
  type Outline,
  type UpstreamRequest,
  discard,
  empty,
} from "../core/index.ts";
import { asJson, cancelledId, renameCall, renameCancelled, restored } from "./_session-calls.ts";
import { SESSION_ID, VERSION_FIELD } from "./_session-handshake.ts";
import type { MountSessions } from "./_session-mount.ts";
import { Need } from "./_session-need.ts";
import type { PooledLease } from "./_session-pooled.ts";
import { Pool } from "./_session-pool.ts";
import { isSafeToRepeat, readRefusal } from "./_session-refusals.ts";
import { upstreamRequest } from "./_upstream-session.ts";

const BOTH = "application/json, text/event-stream";

/** One request of a client without a session. */
interface Asked {
  exchange: Exchange;
  request: UpstreamRequest;
  next: Next;
  outline: Outline;
}

export class Sessionless {
  readonly #sessions: MountSessions;
  readonly pool: Pool;
  readonly need: Need;
  /** Calls under way, by the id that the server knows. */
  readonly #calls = new Map<string, { lease: PooledLease; idText: string }>();
  #count = 0;

  constructor(sessions: MountSessions) {
    this.#sessions = sessions;
    this.pool = new Pool(sessions);
    // Other transports have one connection or process for each session.
    this.need = new Need(this.pool, sessions.mount.transport !== "http");
  }

  /** @param outline of what is posted; `undefined` for GET and DELETE @throws ProxyError */
  forward(exchange: Exchange, request: UpstreamRequest, next: Next, outline: Outline | undefined): Promise<Answer> {
    if (outline === undefined) return next(request).then(this.#passed);
    const asked = { exchange, request, next, outline };
    if (this.need.isRequired) return this.#serve(asked);
    return this.need.isKnown ? this.#pass(asked) : this.#try(asked);
  }

  /** Nothing is known yet: what may be asked twice is tried as it is. */
  async #try(asked: Asked): Promise<Answer> {
    const { exchange, request, outline } = asked;
    if (outline.kind !== "request") return this.#pass(asked);
    if (!isSafeToRepeat(outline)) {
      await this.need.ask(exchange.principal, request.headers);
      return this.need.isRequired ? this.#serve(asked) : this.#pass(asked);
    }
    const answer = await this.#pass(asked);
    if (answer.status < 300) this.need.learn(false);
    if (!mayMissSession(answer)) return answer;
    const [kept] = await readRefusal(answer);
    await this.need.ask(exchange.principal, request.headers);
    if (!this.need.isRequired) return kept;
    discard(kept);
    return this.#serve(asked);
  }

  #pass(asked: Asked): Promise<Answer> {
    const { request, next, outline } = asked;
    const accept = request.headers.get("accept");
    if (outline.kind === "request" && !accept?.includes("text/event-stream")) return this.#passWidened(asked, accept);
    return next(request).then(this.#passed);
  }

  /** Servers refuse who does not accept both forms of an answer (MCP 2025-11-25, Transports), and curl does not know that. */
  async #passWidened({ request, next, outline }: Asked, accept: string | null): Promise<Answer> {
    request.headers.set("accept", BOTH);
    if (takesAnything(accept)) return this.#passed(await next(request));
    const renamed = renameCall(request, outline, this.#nextId());
    return restored(await asJson(this.#passed(await next(renamed.request)), renamed.id), renamed);
  }

  /** Made once, since a request to a server without sessions must cost next to nothing. */
  readonly #passed = (answer: Answer): Answer => {
    answer.headers.delete(SESSION_ID);
    if (mayMissSession(answer)) this.need.doubt();
    return answer;
  };

  /** On a session of the proxy's own. */
  async #serve(asked: Asked): Promise<Answer> {
    const { exchange, request, next, outline } = asked;
    const { log, mount, settings } = this.#sessions;
    if (outline.method === "notifications/cancelled") return this.#cancel(asked);
    // What nobody waits for: the session has begun, and what its server asks the proxy answers itself.
    if (outline.kind === "response" || outline.method === "notifications/initialized") return empty(202);
    const lease = await this.pool.lease(exchange.principal, request.headers);
    if (lease === undefined || typeof lease === "number") return this.#pass(asked);
    if (exchange.principal === ANONYMOUS && settings.sessionless === "pooled") this.#sessions.ledger.tellSharing();
    lease.open++;
    lease.usedAt = this.#sessions.clock;
    exchange.session = lease;
    request.headers.set(VERSION_FIELD, lease.client.version);
    if (outline.kind !== "request") return lease.send(request, next, outline);
    const accept = request.headers.get("accept");
    request.headers.set("accept", BOTH);
    const renamed = renameCall(request, outline, this.#nextId());
    this.#calls.set(renamed.id, { lease, idText: renamed.idText });
    exchange.set(upstreamRequest, renamed.id);
    const answer = await lease.send(renamed.request, next, outline);
    if (accept?.includes("text/event-stream") || takesAnything(accept)) return restored(answer, renamed);
    log.debug(() => `${mount.server}: only the response goes to a client that takes no event stream id=${exchange.id}`);
    return restored(await asJson(answer, renamed.id), renamed);
  }

  /** Goes to the server where it is clear which call is meant: several may have the same id. */
  async #cancel({ exchange, request, next, outline }: Asked): Promise<Answer> {
    const idText = cancelledId(request);
    const meant = [...this.#calls].filter(
      ([, call]) => call.idText === idText && call.lease.principal.id === exchange.principal.id,
    );
    if (meant.length !== 1) {
      const { log, mount } = this.#sessions;
      log.debug(() => `${mount.server}: ${meant.length} calls may be meant to be cancelled; none was`);
      return empty(202);
    }
    const [id, { lease }] = meant[0]!;
    request.headers.set(VERSION_FIELD, lease.client.version);
    return lease.send(renameCancelled(request, id), next, outline);
  }

  /** An exchange on a session of the proxy's own has ended. */
  left(exchange: Exchange, lease: PooledLease): void {
    lease.open--;
    lease.usedAt = this.#sessions.clock;
    this.#calls.delete(exchange.get(upstreamRequest) ?? "");
    this.pool.left(lease);
  }

  /** Called now and then. */
  look(): void {
    this.need.look();
    this.pool.look();
  }

  /** Unlike any text that a server would write by itself. */
  #nextId(): string {
    return `penstock-${this.pool.name}-${++this.#count}`;
  }
}

/** No word about it is every type (RFC 9110 §12.5.1). */
function takesAnything(accept: string | null): boolean {
  return accept === null || accept.includes("*/*");
}

/** MCP 2025-11-25, Transports, Session Management: 400 where there is no session id. Some servers say 422. */
function mayMissSession({ status }: Answer): boolean {
  return status === 400 || status === 422;
}
