/**
 * What kind of server is there: MCP 2026-07-28, Versioning, "Era detection", and MCP 2025-11-25, Transports, "Backwards
 * Compatibility". A probe asks for nothing but the server's own description: it neither lists nor calls.
 */
import { type Call, ask, describeFailure, outageOf } from "./ask.ts";
import { discard } from "./body/body.ts";
import { isRecord } from "./body/message.ts";
import { ProxyError, isProxyError } from "./errors.ts";
import { LATEST_LEGACY, META, MODERN, eraOf } from "./era.ts";
import { type Push, firstEvent, modernPush, probePush } from "./probe-stream.ts";
import type { Era, Json, Message, Mount } from "./types.ts";
import { VERSION } from "./version.ts";

/** What a probe found. */
export interface Probe {
  /**
   * `modern`, `legacy`: it speaks · `auth-required`: it wants a credential first · `sse`: it speaks HTTP+SSE (2024-11-05), and was
   * asked by Streamable HTTP ·
   * `unsupported`: it answers, but as no MCP server that this proxy could speak to · `busy`: it put the probe off, which says
   * nothing · `down`: an outage, which says nothing about its kind.
   */
  verdict: Era | "auth-required" | "sse" | "unsupported" | "busy" | "down";
  /** Why it is not `modern` or `legacy`, with the milliseconds that it took where it did not answer. */
  reason?: string;
  /** The head of an answer that says nothing about its kind. */
  refusal?: { status: number; headers: Headers };
  /** What was thrown in place of an answer. */
  error?: ProxyError;
  /** The revision that was agreed on. */
  version?: string;
  /** What `server/discover` offers. */
  versions?: readonly string[];
  serverInfo?: Json;
  capabilities?: Json;
  /** What the server speaks: as its mount says, or as was found. */
  transport: Mount["transport"];
  /** Of the POST that decided. */
  latencyMs: number;
  /** Whether the server can tell of changes by itself; `undefined` when that was not asked, or nobody could be. */
  push?: Push;
}

/** Options of {@link probeServer}. Times are in milliseconds. */
export interface ProbeOptions {
  /** For all that decides; the event stream and the end of a session have as long again. @default 10000 */
  timeout?: number;
  /** Ends the probe early, as an outage. */
  signal?: AbortSignal;
  /** Whether to try the event stream of a legacy server. @default true */
  push?: boolean;
  /** What an earlier probe found: a legacy server is then not asked whether it is modern. */
  known?: Era;
  /** Whether a server that is not modern is asked to `initialize`. Without, `legacy` says that it is not modern. @default true */
  initialize?: boolean;
  /** How the server is spoken to. Over HTTP+SSE it is not asked whether it is modern. @default "http" */
  transport?: Mount["transport"];
  /** Called when the verdict is there, before the event stream is tried. */
  onVerdict?: (probe: Probe) => void;
}

/** A request of the proxy's own. One probe asks one thing at a time, so one id will do. */
const ID = "penstock-probe";
const CLIENT = { name: "penstock", version: VERSION };
/** A server that keeps the end of a session waiting need not be waited for. */
const GOODBYE = 2000;

/**
 * Asks a server what it is. Never rejects; a session that the probe opened is ended again.
 *
 * @param call sends to the server, e.g. `(request) => app.call(mount, request, { reason: "probe" })`
 */
export async function probeServer(call: Call, options: ProbeOptions = {}): Promise<Probe> {
  const { timeout = 10_000, push = true, transport = "http", onVerdict } = options;
  const known = transport === "sse" ? "legacy" : options.known;
  const startedAt = performance.now();
  const deadline = AbortSignal.timeout(timeout);
  const signal = options.signal ? AbortSignal.any([options.signal, deadline]) : deadline;
  const sessions: string[] = [];
  let askedAt = startedAt;
  let agreed: string | undefined;

  const end = (verdict: Probe["verdict"], more: Partial<Probe> = {}): Probe => ({
    verdict,
    transport,
    latencyMs: Math.round(performance.now() - askedAt),
    ...more,
  });
  const post = (message: Message, headers?: Record<string, string>) => {
    askedAt = performance.now();
    return ask(call, { message, headers, signal }, (answer) => {
      const id = answer.headers.get("mcp-session-id");
      if (id !== null) sessions.push(id);
    });
  };

  /** @returns nothing when the server is legacy, or at least not modern */
  async function discover(version: string, again: boolean): Promise<Probe | undefined> {
    const reply = await post(discoverRequest(version), {
      "mcp-protocol-version": version,
      "mcp-method": "server/discover",
    });
    const outage = outageOf(reply);
    if (outage) return end(outage[0], { ...outage[1], refusal: reply });
    const { result, error } = reply.response ?? {};
    const versions = versionsIn(reply.response);
    const modern = versions?.filter((one) => eraOf(one) === "modern") ?? [];
    if (result && versions && modern.includes(MODERN))
      return end("modern", { version: MODERN, ...described(result, versions) });
    if (error && again && modern.includes(MODERN)) return discover(MODERN, false);
    if (modern.length > 0) return end("unsupported", { reason: `it speaks ${modern.join(", ")} only`, versions });
    return undefined;
  }

  async function initialize(): Promise<Probe> {
    const reply = await post({
      jsonrpc: "2.0",
      id: ID,
      method: "initialize",
      params: { protocolVersion: LATEST_LEGACY, capabilities: {}, clientInfo: CLIENT },
    });
    const outage = outageOf(reply);
    if (outage) return end(outage[0], { ...outage[1], refusal: reply });
    const { result, error } = reply.response ?? {};
    const version = result?.protocolVersion;
    if (typeof version === "string") {
      agreed = version;
      return end("legacy", {
        version,
        serverInfo: isRecord(result!.serverInfo) ? result!.serverInfo : undefined,
        capabilities: isRecord(result!.capabilities) ? result!.capabilities : undefined,
      });
    }
    if (
      transport === "http" &&
      [400, 404, 405].includes(reply.status) &&
      (await firstEvent(call, signal).catch(() => undefined)) === "endpoint"
    )
      return end("sse", { transport: "sse", reason: "it speaks HTTP+SSE (MCP 2024-11-05)" });
    return end("unsupported", {
      reason: error
        ? `initialize was answered with HTTP ${reply.status}, JSON-RPC error ${error.code}`
        : `initialize was answered with HTTP ${reply.status}${reply.status < 300 ? ", without a result" : ""}`,
    });
  }

  async function decide(): Promise<Probe> {
    if (known === "legacy") {
      const found = await initialize();
      // A server that no longer knows `initialize` has moved on.
      if (found.verdict !== "unsupported" || transport === "sse") return found;
    }
    const found = await discover(MODERN, true);
    return found ?? (options.initialize === false ? end("legacy") : await initialize());
  }

  try {
    const probe = await decide().catch((cause: unknown) => {
      askedAt = startedAt;
      const reason = whyNot(cause, deadline, timeout, startedAt);
      const error = deadline.aborted ? new ProxyError("UPSTREAM_TIMEOUT", { detail: reason }) : cause;
      return end("down", { reason, ...(isProxyError(error) && { error }) });
    });
    if (probe.verdict === "modern") probe.push = modernPush(probe.capabilities);
    onVerdict?.(probe);
    if (probe.verdict === "legacy" && push && options.initialize !== false)
      probe.push = await probePush(call, sessionFields(sessions.at(-1), probe.version), timeout);
    return probe;
  } finally {
    for (const id of sessions) await endSession(call, id, agreed, Math.min(timeout, GOODBYE));
  }
}

/** Which revisions the response to `server/discover` names: its result, or the error that knows another one (MCP 2026-07-28, Versioning). */
export function versionsIn(response: Message | undefined): string[] | undefined {
  const { result, error } = response ?? {};
  return textsOf(result?.supportedVersions ?? (error?.code === -32022 && dataOf(error).supported));
}

function discoverRequest(version: string): Message {
  const _meta = {
    [`${META}protocolVersion`]: version,
    [`${META}clientInfo`]: CLIENT,
    [`${META}clientCapabilities`]: {},
  };
  return { jsonrpc: "2.0", id: ID, method: "server/discover", params: { _meta } };
}

function described(result: Json, versions: readonly string[]): Partial<Probe> {
  const meta = isRecord(result._meta) ? result._meta : {};
  const info = meta[`${META}serverInfo`];
  return {
    versions,
    serverInfo: isRecord(info) ? info : undefined,
    capabilities: isRecord(result.capabilities) ? result.capabilities : undefined,
  };
}

/** The first cause; `no answer` only where the time was really up. */
function whyNot(cause: unknown, deadline: AbortSignal, timeout: number, startedAt: number): string {
  if (deadline.aborted) return `no answer within ${timeout} ms`;
  return `${describeFailure(cause)} after ${Math.round(performance.now() - startedAt)} ms`;
}

/** MCP 2025-11-25, Transports, "Session Management": a client that needs a session no longer deletes it. */
async function endSession(call: Call, id: string, version: string | undefined, ms: number): Promise<void> {
  const headers = new Headers(sessionFields(id, version));
  await call({ method: "DELETE", headers, signal: AbortSignal.timeout(ms) }).then(discard, () => {});
}

function sessionFields(id: string | undefined, version = LATEST_LEGACY): Record<string, string> {
  return { ...(id !== undefined && { "mcp-session-id": id }), "mcp-protocol-version": version };
}

function dataOf(error: { data?: unknown }): Json {
  return isRecord(error.data) ? error.data : {};
}

function textsOf(value: unknown): string[] | undefined {
  return Array.isArray(value) && value.every((one) => typeof one === "string") ? value : undefined;
}
