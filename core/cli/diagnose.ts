/** What `penstock doctor` finds out about a server: what a probe tells, and whether its tools can be listed. */
import { ask, describeFailure } from "../ask.ts";
import type { Call } from "../ask.ts";
import { discard } from "../body/body.ts";
import { isRecord } from "../body/message.ts";
import { LATEST_LEGACY, META, MODERN } from "../era.ts";
import { type Probe, probeServer } from "../probe.ts";
import type { App, Era, Message, Mount, Plugin, ServerConfig } from "../types.ts";
import { VERSION } from "../version.ts";
import { type Diagnosis, type LoginReport, SPEAKS_HTTP, adviceFor } from "./advice.ts";
import { edgesOf } from "./edges.ts";

/** Times in milliseconds. */
export interface DoctorLimits {
  /** For the probe. */
  probe: number;
  /** For the list of tools, all pages. */
  list: number;
}

const CLIENT = { name: "penstock-doctor", version: VERSION };
/** A server that always names another page is told by its count. */
const MAX_PAGES = 100;
/** Of what a server wrote to stderr. */
const MAX_LINES = 5;

/** A plugin that asks nothing but lends its view: what it sends passes every `forward` hook, as a client's request does. */
export function doctorPlugin(): { plugin: Plugin; app(): App } {
  let view: App | undefined;
  return {
    plugin: { name: "doctor", order: "pre", setup: (app) => void (view = app) },
    app: () => view!,
  };
}

/** What a client finds that the server has refused with this head. */
export type LookForLogin = (refusal: NonNullable<Probe["refusal"]>) => Promise<LoginReport | undefined>;

/** Never rejects. @param lookForLogin called where the server wants a credential */
export async function diagnose(
  app: App,
  mount: Mount,
  config: ServerConfig,
  limits: DoctorLimits,
  isBridged: boolean,
  lookForLogin?: LookForLogin,
): Promise<Diagnosis> {
  const call: Call = (request) => app.call(mount, request, { reason: "doctor", probe: true });
  const probe = await examine(call, mount, config, limits.probe);
  const { verdict } = probe;
  const found: Omit<Diagnosis, "advice"> = {
    server: mount.server,
    upstream: mount.upstream,
    paths: mount.paths,
    state: verdict === "modern" || verdict === "legacy" ? "healthy" : verdict,
    reason: probe.reason,
    transport: mount.transport === "stdio" ? "stdio" : probe.transport,
    era: verdict === "modern" || verdict === "legacy" ? verdict : undefined,
    version: probe.version,
    serverInfo: probe.serverInfo,
    auth: authOf(probe, config),
    push: probe.push,
    latencyMs: probe.latencyMs,
  };
  if (found.state === "healthy") {
    found.eras = await erasOf(call, mount, probe, limits.probe);
    found.clients = edgesOf(mount.transport, found.eras, isBridged, mount.ssePaths.length > 0);
    if (!isRecord(probe.capabilities?.tools)) found.tools = 0;
    else {
      const listed = await countTools(call, probe, limits.list);
      if (typeof listed === "number") found.tools = listed;
      else Object.assign(found, { state: "degraded", reason: `tools/list: ${listed}` });
    }
  }
  // Whoever has set a credential needs another one, and no login.
  const isOpen = Object.keys(config.headers ?? {}).length === 0;
  if (found.state === "auth-required" && probe.refusal && isOpen) found.login = await lookForLogin?.(probe.refusal);
  if (found.state !== "healthy") found.stderr = lastLines(app.report(mount).stdio);
  return { ...found, advice: adviceFor(found, config) };
}

/** A modern server may have kept its legacy clients. */
async function erasOf(call: Call, { transport }: Mount, { verdict }: Probe, timeout: number): Promise<Era[]> {
  if (verdict !== "modern") return ["legacy"];
  const again = await probeServer(call, { timeout, transport, known: "legacy", push: false });
  return again.verdict === "legacy" ? ["legacy", "modern"] : ["modern"];
}

/** What a server wrote that was started by a command: the end of it says why. */
function lastLines(report: unknown): string[] | undefined {
  const lines: unknown = isRecord(report) ? report.stderr : undefined;
  return Array.isArray(lines) && lines.length > 0 ? lines.slice(-MAX_LINES).map(String) : undefined;
}

/** A server that is no server of HTTP+SSE may be one of Streamable HTTP. */
async function examine(call: Call, { transport }: Mount, { url }: ServerConfig, timeout: number): Promise<Probe> {
  const probe = await probeServer(call, { timeout, transport });
  if (transport !== "sse" || url === undefined || (probe.verdict !== "down" && probe.verdict !== "unsupported"))
    return probe;
  const { pathname, search } = new URL(url);
  const other = await probeServer((request) => call({ path: pathname + search, ...request }), { timeout, push: false });
  if (other.verdict !== "legacy" && other.verdict !== "modern") return probe;
  return { ...probe, verdict: "unsupported", transport: "http", reason: SPEAKS_HTTP };
}

function authOf({ verdict }: Probe, config: ServerConfig): Diagnosis["auth"] {
  if (verdict === "auth-required") return config.auth === "passthrough" ? "callers" : "refused";
  if (verdict !== "modern" && verdict !== "legacy") return "unknown";
  return Object.keys(config.headers ?? {}).some((name) => /auth|key|token|cookie/i.test(name)) ? "accepted" : "none";
}

/** @returns how many, or why not */
async function countTools(call: Call, { verdict, version }: Probe, timeout: number): Promise<number | string> {
  const signal = AbortSignal.timeout(timeout);
  const session = verdict === "legacy" ? new LegacySession(call, signal) : undefined;
  try {
    await session?.open();
    let count = 0;
    let cursor: unknown;
    for (let page = 0; page < MAX_PAGES; page++) {
      const message = listRequest(page, cursor, verdict === "modern" ? (version ?? MODERN) : undefined);
      const headers = session?.headers() ?? {
        "mcp-protocol-version": version ?? MODERN,
        "mcp-method": "tools/list",
      };
      const { status, response } = await ask(call, { message, headers, signal });
      const tools = response?.result?.tools;
      if (!Array.isArray(tools))
        return response?.error ? `JSON-RPC error ${response.error.code}` : `HTTP ${status} without a list`;
      count += tools.length;
      cursor = response?.result?.nextCursor;
      if (typeof cursor !== "string") break;
    }
    return count;
  } catch (cause) {
    return signal.aborted ? `no answer within ${timeout} ms` : describeFailure(cause);
  } finally {
    await session?.close();
  }
}

function listRequest(page: number, cursor: unknown, modern: string | undefined): Message {
  const _meta = modern && {
    [`${META}protocolVersion`]: modern,
    [`${META}clientInfo`]: CLIENT,
    [`${META}clientCapabilities`]: {},
  };
  const params = { ...(cursor !== undefined && { cursor }), ...(_meta && { _meta }) };
  return { jsonrpc: "2.0", id: `doctor-${page}`, method: "tools/list", params };
}

/** MCP 2025-11-25, Lifecycle: a server lists nothing before it was initialized. */
class LegacySession {
  readonly #call: Call;
  readonly #signal: AbortSignal;
  #id: string | undefined;
  #version = LATEST_LEGACY;

  constructor(call: Call, signal: AbortSignal) {
    this.#call = call;
    this.#signal = signal;
  }

  async open(): Promise<void> {
    const message: Message = {
      jsonrpc: "2.0",
      id: "doctor",
      method: "initialize",
      params: { protocolVersion: LATEST_LEGACY, capabilities: {}, clientInfo: CLIENT },
    };
    const { response } = await ask(this.#call, { message, signal: this.#signal }, ({ headers }) => {
      this.#id = headers.get("mcp-session-id") ?? undefined;
    });
    const version = response?.result?.protocolVersion;
    if (typeof version === "string") this.#version = version;
    const body: Message = { jsonrpc: "2.0", method: "notifications/initialized" };
    discard(await this.#call({ body, headers: new Headers(this.headers()), signal: this.#signal }));
  }

  headers(): Record<string, string> {
    return { "mcp-protocol-version": this.#version, ...(this.#id !== undefined && { "mcp-session-id": this.#id }) };
  }

  /** A client that needs a session no longer deletes it. */
  async close(): Promise<void> {
    if (this.#id === undefined) return;
    const signal = AbortSignal.timeout(2000);
    await this.#call({ method: "DELETE", headers: new Headers(this.headers()), signal }).then(discard, () => {});
  }
}
