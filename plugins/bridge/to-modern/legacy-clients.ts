/**
 * Legacy clients of a modern server: towards the hooks around the bridge a server of Streamable HTTP with sessions (MCP 2025-11-25,
 * Transports), towards the server a client of 2026-07-28.
 */
import {
  type Answer,
  type Exchange,
  type Json,
  JsonObject,
  LATEST_LEGACY,
  type Next,
  ProxyError,
  type UpstreamRequest,
  empty,
  jsonText,
} from "../../../core/index.ts";
import type { BridgeHost } from "../host.ts";
import { ToolCatalog } from "../params.ts";
import { LegacyCall, type Posted } from "./call.ts";
import { Discovery, initializeResult } from "./discover.ts";
import { type Ending, errorEnding } from "./errors.ts";
import { LegacySession, isLegacyVersion } from "./legacy-session.ts";
import { messageOf } from "./posted.ts";
import type { Services } from "./services.ts";

const SESSION_ID = "mcp-session-id";
const VERSION_FIELD = "mcp-protocol-version";
/** MCP 2025-06-18, Transports, Protocol Version Header: of who names none. */
const ASSUMED = "2025-03-26";
/** Sessions with one server; and how long one may be idle, in milliseconds: a client that comes back begins a new one. */
const MAX_SESSIONS = 10_000;
const MAX_IDLE = 86_400_000;
/** Requests of one session under way, those whose client has left included. */
const MAX_CALLS = 1000;
/** MCP 2025-11-25, Logging. */
const LEVELS: readonly unknown[] = "debug info notice warning error critical alert emergency".split(" ");
/** What modern servers want to see in a header field too: they would refuse the field that cannot be there. */
const NAMED: ReadonlyMap<string, string> = new Map([
  ["tools/call", "name"],
  ["prompts/get", "name"],
  ["resources/read", "uri"],
]);
/** Of this era no server knows them, or of the other era no client that begins with `initialize`. */
const UNKNOWN = /^(?:tasks\/|server\/discover$|subscriptions\/listen$)/;

export class LegacyClients {
  readonly #services: Services;
  /** By id, the one that was not used for longest first. */
  readonly #sessions = new Map<string, LegacySession>();

  constructor(host: BridgeHost) {
    this.#services = { host, discovery: new Discovery(host), tools: new ToolCatalog() };
  }

  /** @throws ProxyError `SESSION_NOT_FOUND` only where nothing has reached the server */
  async forward(exchange: Exchange, request: UpstreamRequest, next: Next): Promise<Answer> {
    const session = this.#find(exchange, request);
    if (request.method === "POST") return this.#post(exchange, request, next, session);
    if (!session) return empty(405, { allow: "POST" });
    if (request.method === "GET") return session.listening.get();
    this.#sessions.delete(session.id);
    session.end();
    return empty(200);
  }

  /** Called now and then: ends what is idle or too old. */
  look(): void {
    const since = performance.now() - MAX_IDLE;
    for (const session of this.#sessions.values()) {
      if (session.usedAt >= since) break;
      if (!session.isBusy) this.#end(session);
    }
  }

  report(): Json {
    const all = [...this.#sessions.values()];
    return { sessions: all.length, calls: all.reduce((sum, { calls }) => sum + calls, 0) };
  }

  close(): void {
    for (const session of this.#sessions.values()) this.#end(session);
  }

  #find({ principal }: Exchange, { headers }: UpstreamRequest): LegacySession | undefined {
    const id = headers.get(SESSION_ID);
    if (id === null) return undefined;
    const session = this.#sessions.get(id);
    if (!session || session.principal.id !== principal.id)
      throw new ProxyError("SESSION_NOT_FOUND", { server: this.#services.host.mount.server });
    const version = headers.get(VERSION_FIELD);
    // MCP 2025-11-25, Transports, Protocol Version Header.
    if (version !== null && !isLegacyVersion(version))
      throw new ProxyError("INVALID_REQUEST", {
        hint: "MCP-Protocol-Version names no revision that this session could have.",
      });
    session.fields = headers;
    session.usedAt = performance.now();
    this.#sessions.delete(id);
    this.#sessions.set(id, session);
    return session;
  }

  async #post(
    exchange: Exchange,
    request: UpstreamRequest,
    next: Next,
    found: LegacySession | undefined,
  ): Promise<Answer> {
    const message = messageOf(exchange, request);
    const method = message.has("method") ? String(message.value("method")) : undefined;
    const idText = message.text("id")?.toString();
    if (method === undefined) {
      if (idText !== undefined) found?.questions.answered(JSON.stringify(message.value("id")), message);
      return empty(202);
    }
    if (idText === undefined) {
      if (method === "notifications/cancelled") {
        const cancelled = message.object("params")?.text("requestId")?.toString();
        if (cancelled !== undefined) found?.cancel(cancelled);
      }
      // What else clients tell, a modern server has no use for.
      return empty(202);
    }
    const posted = { exchange, request, next, message, method, idText };
    if (method === "initialize") return this.#initialize(posted);
    const session = found ?? this.#visitor(exchange, request);
    const ending = answerHere(session, method, message);
    if (ending) return answer(idText, await ending);
    if (session.calls >= MAX_CALLS)
      throw new ProxyError("SERVER_BUSY", {
        server: this.#services.host.mount.server,
        headers: { "retry-after": "1" },
      });
    const call = new LegacyCall(session, posted);
    call.start();
    return call.answer;
  }

  /** Who comes without a session is served, and can be asked nothing. */
  #visitor({ principal }: Exchange, { headers }: UpstreamRequest): LegacySession {
    const version = headers.get(VERSION_FIELD);
    const known = isLegacyVersion(version) ? version! : ASSUMED;
    const session = new LegacySession(this.#services, { principal, version: known });
    session.fields = headers;
    return session;
  }

  async #initialize(posted: Posted): Promise<Answer> {
    const { host, discovery } = this.#services;
    const { exchange, request, message, idText } = posted;
    const params = message.object("params");
    const asked = params?.value("protocolVersion");
    const version = typeof asked === "string" && isLegacyVersion(asked) ? asked : LATEST_LEGACY;
    const session = new LegacySession(this.#services, { principal: exchange.principal, version, params });
    session.fields = request.headers;
    const described = await discovery.describe(session, posted);
    if ("status" in described) return described;
    session.server = described;
    if (this.#sessions.size >= MAX_SESSIONS) this.#makeRoom();
    this.#sessions.set(session.id, session);
    const value = JsonObject.read(
      Buffer.from(JSON.stringify(initializeResult(described, version, host.mount.server))),
    )!;
    return answer(idText, { member: "result", value }, { [SESSION_ID]: session.id });
  }

  /** @throws ProxyError where all are in use */
  #makeRoom(): void {
    for (const session of this.#sessions.values()) if (!session.isBusy) return this.#end(session);
    throw new ProxyError("SESSIONS_EXHAUSTED", {
      server: this.#services.host.mount.server,
      headers: { "retry-after": "10" },
    });
  }

  #end(session: LegacySession): void {
    this.#sessions.delete(session.id);
    session.end();
  }
}

/** What needs no server. */
function answerHere(session: LegacySession, method: string, message: JsonObject): Ending | Promise<Ending> | undefined {
  const params = message.object("params");
  const done: Ending = { member: "result", value: JsonObject.empty() };
  if (method === "ping") return done;
  if (method === "logging/setLevel") {
    const level = params?.value("level");
    if (!LEVELS.includes(level)) return errorEnding(-32602, "`level` is not a log level.");
    session.level = level as string;
    return done;
  }
  if (/^resources\/(?:un)?subscribe$/.test(method)) return subscribed(session, method, params?.value("uri"));
  const named = NAMED.get(method);
  if (named !== undefined && typeof params?.value(named) !== "string")
    return errorEnding(-32602, `\`${named}\` is not a text.`);
  return UNKNOWN.test(method) ? errorEnding(-32601, `${method} is not offered here.`) : undefined;
}

/** @throws ProxyError */
async function subscribed({ listening }: LegacySession, method: string, uri: unknown): Promise<Ending> {
  if (!listening.canSubscribe) return errorEnding(-32601, `${method} is not offered here.`);
  if (typeof uri !== "string") return errorEnding(-32602, "`uri` is missing.");
  if (method === "resources/unsubscribe") await listening.unsubscribe(uri);
  else if (!(await listening.subscribe(uri))) return errorEnding(-32601, `${method} is not offered for this resource.`);
  return { member: "result", value: JsonObject.empty() };
}

function answer(idText: string, { member, value }: Ending, headers?: Record<string, string>): Answer {
  const text = JsonObject.empty().set("jsonrpc", '"2.0"').set("id", idText).set(member, value);
  return jsonText(text.toString(), 200, headers);
}
