import {
  type App,
  type Exchange,
  type Outcome,
  type Plugin,
  ProxyError,
  type RequestTimeouts,
  type State,
  type UpstreamRequest,
  defineState,
  discard,
  isEventStream,
  isRecord,
} from "../core/index.ts";
import { HeartbeatWatch } from "./_heartbeats.ts";
import { compilePatterns } from "./_patterns.ts";
import { ownSessionIds, upstreamRequest, upstreamSession } from "./_upstream-session.ts";

/** A limit: a number is the longest silence, before the head of the answer or within its event stream. */
export type Limit = number | RequestTimeouts;

/** Options of {@link timeout}. Times are in milliseconds; 0 means no limit. */
export interface TimeoutOptions {
  /** By JSON-RPC method, or pattern with `*`; the first that fits counts. @default the `timeouts` of each server */
  methods?: Readonly<Record<string, Limit>>;
  /** By tool, or pattern with `*`; the first that fits counts, before `methods`. */
  tools?: Readonly<Record<string, Limit>>;
  /** From a posted request to the end of its answer, unless a limit above says otherwise; `subscriptions/listen` has no end. @default 0 */
  total?: number;
  /** Tells a legacy server, with `notifications/cancelled`, that nobody waits for its answer any longer. @default true */
  cancel?: boolean;
  /** So many missed heartbeats end the stream of a server that sends them. @default 4 */
  missedHeartbeats?: number;
  /** Comments that come faster than this are no heartbeats. @default 1000 */
  shortestHeartbeat?: number;
}

interface Rule {
  matches: (name: string) => boolean;
  timeouts: RequestTimeouts;
}

const slot: State<App> = defineState("timeout.app");
const LIMITS = ["headers", "body", "stream", "total"] as const;
/** How long a server has for a notification. */
const CANCEL_MS = 5000;
/** The proxy stopped waiting. */
const TIMED_OUT: ReadonlySet<string> = new Set(["UPSTREAM_TIMEOUT", "UPSTREAM_SILENT"]);

/**
 * What the `timeouts` of a server cannot say: limits by method and by tool, and for a whole answer. A legacy server is told to
 * stop (MCP 2025-11-25, Lifecycle, Timeouts); for a modern one the end of the connection says so. And a stream whose server
 * used to send heartbeats ends when they stay away.
 *
 * @throws ProxyError `BAD_OPTION`
 */
export function timeout(options: TimeoutOptions = {}): Plugin {
  const { total = 0, cancel = true, missedHeartbeats = 4, shortestHeartbeat = 1000 } = options;
  for (const [name, ms] of Object.entries({ total, missedHeartbeats, shortestHeartbeat })) checkNumber(name, ms);
  const tools = readRules("tools", options.tools);
  const methods = readRules("methods", options.methods);
  const heartbeats = { missed: missedHeartbeats, shortest: shortestHeartbeat };
  return {
    name: "timeout",
    setup(app) {
      for (const mount of app.mounts) mount.set(slot, app);
    },
    // Without limits of its own it stays out of the way of requests.
    ...((tools.length > 0 || methods.length > 0 || total > 0) && {
      forward(exchange, request, next) {
        if (exchange.origin !== "client" || request.method !== "POST") return next(request);
        const timeouts = limitsOf(exchange, request, tools, methods, total);
        return next(timeouts ? { ...request, timeouts: { ...timeouts, ...request.timeouts } } : request);
      },
    }),
    ...(missedHeartbeats > 0 && {
      body(exchange, answer) {
        if (exchange.asked && answer.body.kind === "stream" && isEventStream(answer.headers))
          return new HeartbeatWatch(exchange, heartbeats);
      },
    }),
    ...(cancel && { done: tellServer }),
  };
}

function limitsOf(
  exchange: Exchange,
  { body }: UpstreamRequest,
  tools: readonly Rule[],
  methods: readonly Rule[],
  total: number,
): RequestTimeouts | undefined {
  const message = body instanceof Uint8Array ? exchange.message : body;
  if (message?.method === undefined) return undefined;
  const { method, params } = message;
  const tool = method === "tools/call" && isRecord(params) ? params.name : undefined;
  const rule =
    (typeof tool === "string" ? tools.find(({ matches }) => matches(tool)) : undefined) ??
    methods.find(({ matches }) => matches(method));
  if (total === 0 || method === "subscriptions/listen") return rule?.timeouts;
  return { total, ...rule?.timeouts };
}

/** The server may still be at work, and its answer would reach nobody. */
function tellServer(exchange: Exchange, { error }: Outcome): void {
  if (!error || !TIMED_OUT.has(error.code)) return;
  const { client, log, message, mount, principal, request } = exchange;
  const { id, method } = message ?? {};
  // "The initialize request MUST NOT be cancelled by clients" (MCP 2025-11-25, Cancellation).
  if (client.era !== "legacy" || method === undefined || method === "initialize") return;
  // A number that lost digits would be the id of another request.
  if (typeof id === "number" ? !Number.isSafeInteger(id) : typeof id !== "string") return;
  const headers = new Headers();
  const credentials = mount.auth === "passthrough" ? ["authorization"] : [];
  const asSent = mount.get(ownSessionIds) ? [] : ["mcp-session-id"];
  for (const name of [...asSent, "mcp-protocol-version", ...credentials]) {
    const value = request.headers.get(name);
    if (value !== null) headers.set(name, value);
  }
  const upstreamId = exchange.session?.get(upstreamSession);
  if (upstreamId !== undefined) {
    headers.set("mcp-session-id", upstreamId);
    headers.set("mcp-protocol-version", client.version);
  }
  const body = {
    jsonrpc: "2.0" as const,
    method: "notifications/cancelled",
    params: { requestId: exchange.get(upstreamRequest) ?? id, reason: "The request timed out." },
  };
  mount
    .get(slot)!
    .call(
      mount,
      { headers, body, timeouts: { headers: CANCEL_MS, total: CANCEL_MS } },
      { principal, reason: `cancels ${method} of exchange ${exchange.id}` },
    )
    .then(discard, (cause: unknown) =>
      log.debug(() => `${mount.server}: it could not be told that ${method} timed out (${String(cause)})`),
    );
}

function readRules(option: string, limits: Readonly<Record<string, Limit>> = {}): Rule[] {
  return Object.entries(limits).map(([pattern, limit]) => {
    const where = `${option}[${JSON.stringify(pattern)}]`;
    const timeouts = typeof limit === "number" ? { headers: limit, stream: limit } : limit;
    if (!isRecord(timeouts)) refuse(`${where} must be a number of milliseconds, or limits.`);
    for (const [name, ms] of Object.entries(timeouts as Record<string, number>)) {
      if (!LIMITS.includes(name as never)) refuse(`${where}.${name}: limits are ${LIMITS.join(", ")}.`);
      checkNumber(`${where}.${name}`, ms);
    }
    return { matches: compilePatterns([pattern], "timeout"), timeouts };
  });
}

function checkNumber(name: string, value: unknown): void {
  // Timers count to 2^31 - 1 (about 24 days).
  if (typeof value !== "number" || !(value >= 0 && value < 2 ** 31)) refuse(`${name} must be a number, 0 or more.`);
}

function refuse(hint: string): never {
  throw new ProxyError("BAD_OPTION", { plugin: "plugin 'timeout'", hint });
}
