/**
 * The driver for HTTP+SSE servers (MCP 2024-11-05, Transports): from inside it looks like Streamable HTTP. `initialize` opens an
 * event stream of its own, which is the session; a stream that is lost is a session that is lost, since nothing of it can be
 * resumed. What tells the client's side of a request apart from others is in `channel.ts`.
 */
import { describeFailure } from "../ask.ts";
import { empty, jsonText } from "../body/body.ts";
import { findMembers } from "../body/members.ts";
import { LATEST_LEGACY, eraOf } from "../era.ts";
import { ProxyError, isProxyError } from "../errors.ts";
import { fillTimeouts } from "../timeouts.ts";
import type { Answer, HttpServerConfig, Json } from "../types.ts";
import type { ChannelRequest } from "./channel-session.ts";
import { createHttpDriver } from "./http.ts";
import { PostRefused, type SseServer, SseSession } from "./sse-session.ts";
import type { Driver, DriverHost, OnAbort } from "./wire.ts";

/** As for every server (core/mount.ts). */
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;
/** Each holds a connection; a plugin that keeps sessions has limits of its own. */
const MAX_SESSIONS = 10_000;
/** Failures in a row before a pause, and how long pauses are, in milliseconds. */
const FAILURES = 3;
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 30_000;

/** @param name the server's name, for error messages */
export function createSseDriver(name: string, config: HttpServerConfig, host: DriverHost): Driver {
  const http = createHttpDriver(name, config, host);
  const timeouts = fillTimeouts(config.timeouts);
  const sessions = new Map<string, SseSession>();
  const pauses = new Pauses(name);
  let lastLoss: { error: ProxyError; at: Date } | undefined;
  const server: SseServer = {
    name,
    url: new URL(config.url),
    http,
    host,
    timeouts,
    maxMessageBytes: config.maxMessageBytes ?? MAX_MESSAGE_BYTES,
    onLost(session, error) {
      sessions.delete(session.id);
      lastLoss = { error, at: new Date() };
      host.log.debug(() => `${name}: a session is lost: ${error.toLog()}`);
    },
  };

  async function initialize(request: ChannelRequest, onAbort: OnAbort, idText?: string): Promise<Answer> {
    pauses.check();
    if (sessions.size >= MAX_SESSIONS)
      throw new ProxyError("SESSIONS_EXHAUSTED", { server: name, headers: { "retry-after": "1" } });
    const startedAt = performance.now();
    const session = new SseSession(server, request.headers);
    let refused: Answer | undefined;
    try {
      refused = await session.open(request.timeouts?.headers ?? timeouts.headers, onAbort);
    } catch (error) {
      lastLoss = isProxyError(error) && error.code !== "CLIENT_GONE" ? { error, at: new Date() } : lastLoss;
      pauses.note(error, startedAt);
      throw error;
    }
    if (refused) return refused;
    pauses.clear();
    sessions.set(session.id, session);
    const forget = () => {
      sessions.delete(session.id);
      session.end();
    };
    try {
      return await session.post(request, onAbort, idText, {
        head(response) {
          if (!response || !findMembers(response, { error: true })?.has("error"))
            return { headers: { "mcp-session-id": session.id } };
          // What comes of a refused handshake is no session.
          forget();
          return {};
        },
        // Whoever leaves before the answer, or gets none, does not know that there is a session.
        ended: (how) => how !== "answered" && forget(),
        left: forget,
      });
    } catch (error) {
      if (error instanceof PostRefused) return error.answer;
      throw error;
    }
  }

  async function post(
    session: SseSession,
    request: ChannelRequest,
    onAbort: OnAbort,
    idText?: string,
  ): Promise<Answer> {
    try {
      return await session.post(request, onAbort, idText);
    } catch (error) {
      if (!(error instanceof PostRefused)) throw error;
      const { answer } = error;
      if (answer.status !== 404 && answer.status !== 410) return answer;
      // The server no longer knows the session, although its stream is open.
      session.lose(new ProxyError("UPSTREAM_BROKE", { server: name, detail: `HTTP ${answer.status} for a message` }));
      return { ...answer, status: 404 };
    }
  }

  return {
    async send(request, onAbort, method, idText) {
      // A plugin's own call, for something else than MCP.
      if (request.path !== undefined) return http.send(request, onAbort, method, idText);
      if (method === "server/discover" || eraOf(request.headers.get("mcp-protocol-version")) === "modern")
        return notModern(name, idText);
      const id = request.headers.get("mcp-session-id");
      const session = sessions.get(id ?? "");
      if (!session) {
        if (id !== null) throw new ProxyError("SESSION_NOT_FOUND", { server: name });
        if (method !== "initialize") throw new ProxyError("SESSION_REQUIRED", { server: name });
        return initialize(request, onAbort, idText);
      }
      if (request.method === "GET") return session.get(onAbort);
      if (request.method === "POST") return post(session, request, onAbort, idText);
      sessions.delete(session.id);
      session.end();
      return empty(200);
    },
    report(): Json {
      const [oldest] = sessions.values();
      return {
        connections: sessions.size,
        ...(oldest && { connectedSince: oldest.since.toISOString() }),
        ...(lastLoss && { lastError: { reason: describeFailure(lastLoss.error), at: lastLoss.at.toISOString() } }),
      };
    },
    async close() {
      for (const session of sessions.values()) session.end();
      sessions.clear();
      await http.close();
    },
  };
}

/** What a legacy server says to a request of 2026-07-28, so that its client goes on with `initialize` (Versioning, "Era detection"). */
function notModern(server: string, idText: string | undefined): Answer {
  const message = `Server '${server}' speaks HTTP+SSE (MCP 2024-11-05): begin with initialize, e.g. of ${LATEST_LEGACY}.`;
  const id = idText === undefined ? "" : `"id":${idText},`;
  return jsonText(`{"jsonrpc":"2.0",${id}"error":{"code":-32000,"message":${JSON.stringify(message)}}}`, 400);
}

/** A server that fails several times in a row is left alone for a while: longer and longer. */
class Pauses {
  readonly #server: string;
  #failures = 0;
  #failedAt = 0;
  #until = 0;
  #reason: string | undefined;

  constructor(server: string) {
    this.#server = server;
  }

  /** @throws ProxyError `SERVER_SUSPENDED` */
  check(): void {
    const left = this.#until - performance.now();
    if (left <= 0) return;
    throw new ProxyError("SERVER_SUSPENDED", {
      server: this.#server,
      detail: `last: ${this.#reason}`,
      headers: { "retry-after": String(Math.ceil(left / 1000)) },
    });
  }

  /** @param startedAt failures of attempts that ran at the same time count as one */
  note(error: unknown, startedAt: number): void {
    if (!isProxyError(error) || !error.code.startsWith("UPSTREAM_") || startedAt < this.#failedAt) return;
    this.#failedAt = performance.now();
    this.#reason = error.code;
    if (++this.#failures < FAILURES) return;
    const pause = Math.min(FIRST_PAUSE * 2 ** (this.#failures - FAILURES), LONGEST_PAUSE);
    this.#until = this.#failedAt + pause * (0.8 + Math.random() * 0.4);
  }

  clear(): void {
    this.#failures = 0;
    this.#until = 0;
  }
}
