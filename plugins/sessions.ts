import {
  type Answer,
  type Exchange,
  type Message,
  type Next,
  type Outline,
  type Plugin,
  ProxyError,
  type State,
  type UpstreamRequest,
  defineState,
  eraOf,
} from "../core/index.ts";
import { ClientSession } from "./_session-client.ts";
import { SESSION_ID, VERSION_FIELD } from "./_session-handshake.ts";
import { Lease } from "./_session-lease.ts";
import { Ledger } from "./_session-ledger.ts";
import { MountSessions } from "./_session-mount.ts";
import { type SessionsOptions, readSettings } from "./_session-options.ts";
import { PooledLease } from "./_session-pooled.ts";
import { isSessionId } from "./_session-token.ts";
import { ownSessionIds } from "./_upstream-session.ts";

export type { SessionsOptions } from "./_session-options.ts";

const slot: State<MountSessions> = defineState("sessions.state");
/** A session id that opens nothing; whether that matters shows later. */
const refusal: State<ProxyError> = defineState("sessions.refusal");

/**
 * Keeps sessions of legacy clients (2024-11-05 to 2025-11-25) through restarts on either side. The id that a client holds is a
 * sealed token, bound to caller and server: it is good after a restart of the proxy, and on every replica with the same
 * `secret`. Where the server has lost its session, the client's own `initialize` is said again, once, and the client's id
 * stays; a `tools/call` whose bytes had left is answered with an error and never sent again.
 *
 * A client without a session is served by any server: where one insists on a session, the proxy opens one for the caller.
 * Sessions are never shared between callers.
 *
 * @throws ProxyError `BAD_OPTION`
 */
export function sessions(options: SessionsOptions = {}): Plugin {
  const settings = readSettings(options);
  const kept: MountSessions[] = [];
  const endings: (() => void)[] = [];
  return {
    name: "sessions",
    async setup(app) {
      const ledger = new Ledger(app, settings.idleTimeout);
      const own = app.mounts.map((mount) => new MountSessions(app, mount, settings, ledger));
      for (const each of own) {
        each.mount.set(slot, each);
        each.mount.set(ownSessionIds, true);
      }
      kept.push(...own);
      endings.push(await ledger.onEnd((key) => own.forEach((each) => each.endedElsewhere(key))));
      app.health((mount) => mount.get(slot)?.report());
      app.every(1000, () => own.forEach((each) => each.check()));
      app.every(Math.min(settings.idleTimeout / 4, 30_000), async () => {
        for (const each of own) await each.look();
      });
    },
    request(exchange) {
      const { headers } = exchange.request;
      const token = headers.get(SESSION_ID);
      if (token === null) return;
      const version = headers.get(VERSION_FIELD);
      // MCP 2026-07-28, Transports: there are no sessions, and the field means nothing.
      if (version !== null && eraOf(version) === "modern") return;
      const found = exchange.mount.get(slot)!.find(token, exchange.principal);
      return found ? found.enter(exchange) : openAgain(exchange, token, version === null);
    },
    forward(exchange, request, next) {
      if (exchange.origin !== "client") return next(request);
      const outline = outlineOf(exchange, request);
      if (exchange.client.era === "modern") {
        // Nor can a stream be resumed.
        for (const name of [SESSION_ID, "last-event-id"]) request.headers.delete(name);
        return next(request).then(withoutId);
      }
      const { session } = exchange;
      if (session instanceof ClientSession) return session.forward(exchange, request, next, outline);
      // An answer to what its server asked.
      if (session instanceof Lease) return session.send(request, next, outline);
      const state = exchange.mount.get(slot)!;
      if (outline?.method === "initialize" && outline.kind === "request") return state.begin(exchange, request, next);
      const error = exchange.get(refusal);
      if (error) return refuse(state, error, exchange, request, next, outline);
      return state.sessionless.forward(exchange, request, next, outline);
    },
    done(exchange, outcome) {
      const { session } = exchange;
      if (session instanceof ClientSession) session.left(exchange, outcome);
      else if (session instanceof PooledLease) exchange.mount.get(slot)!.sessionless.left(exchange, session);
    },
    async close() {
      for (const end of endings) end();
      for (const each of kept) each.close();
      // Those of clients go on after a restart.
      await Promise.all(kept.map(({ sessionless }) => sessionless.pool.close()));
    },
  };
}

/** An id that this process has not seen: from before a restart, from another replica, or from nowhere. */
async function openAgain(exchange: Exchange, token: string, anyEra: boolean): Promise<void> {
  const { mount, principal, request } = exchange;
  const state = mount.get(slot)!;
  const isValid = isSessionId(token);
  const session = isValid ? await state.open(token, principal) : undefined;
  if (session) return session.enter(exchange);
  const error = new ProxyError(isValid ? "SESSION_NOT_FOUND" : "INVALID_SESSION", { server: mount.server });
  // The body may yet say that it is a modern request, and a server without sessions does not care.
  const open = (anyEra && request.method === "POST") || (isValid && !state.sessionless.need.isRequired);
  if (!open) throw error;
  exchange.set(refusal, error);
}

/** @throws ProxyError where the server keeps sessions: then its clients need a good one */
async function refuse(
  { sessionless }: MountSessions,
  error: ProxyError,
  exchange: Exchange,
  request: UpstreamRequest,
  next: Next,
  outline: Outline | undefined,
): Promise<Answer> {
  request.headers.delete(SESSION_ID);
  if (error.code === "INVALID_SESSION") throw error;
  await sessionless.need.ask(exchange.principal, request.headers);
  if (sessionless.need.isRequired) throw error;
  return sessionless.forward(exchange, request, next, outline);
}

/** What is about to be sent; `undefined` for GET and DELETE. */
function outlineOf({ posted }: Exchange, { body }: UpstreamRequest): Outline | undefined {
  if (body instanceof Uint8Array) return posted;
  if (body === null) return undefined;
  const { id, method } = body as Message;
  const kind = method === undefined ? "response" : id === undefined ? "notification" : "request";
  // A hook may have changed it, and kept its id.
  const idText = posted?.kind === kind ? posted.idText : JSON.stringify(id);
  return { kind, method, idText };
}

function withoutId(answer: Answer): Answer {
  answer.headers.delete(SESSION_ID);
  return answer;
}
