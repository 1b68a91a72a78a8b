/** `server/discover` for those who begin with `initialize`: what a modern server says of itself, as an InitializeResult has it. */
import {
  type Answer,
  type Exchange,
  type Json,
  JsonObject,
  META,
  MODERN,
  type Message,
  ProxyError,
  type UpstreamRequest,
  ask,
  eraOf,
  isRecord,
} from "../../../core/index.ts";
import { eraKey } from "../era-key.ts";
import type { BridgeHost } from "../host.ts";
import type { Posted } from "./call.ts";
import { modernHeaders, modernParams, requestText } from "./envelope.ts";
import { isAboutTheWay } from "./leg.ts";
import { type LegacySession, isLegacyVersion } from "./legacy-session.ts";
import { credentialOf } from "./tools.ts";

/** What a server said of itself. */
export interface Description {
  capabilities: Json;
  info: Json | undefined;
  instructions: string | undefined;
  /** Resources can be subscribed to. */
  subscribes: boolean;
}

interface Kept {
  description: Description;
  /** `performance.now()` */
  until: number;
}

/** Credentials whose answers are kept. */
const MAX_KEPT = 1000;
/** A server may change its mind sooner than it says. */
const MAX_TTL = 3_600_000;
/** Where the server sets no limit. */
const PATIENCE = 60_000;
const METHOD = "server/discover";
const TASKS = `${META}tasks`;

export class Discovery {
  readonly #host: BridgeHost;
  /** By credential. */
  readonly #kept = new Map<string, Kept>();

  constructor(host: BridgeHost) {
    this.#host = host;
  }

  /** @returns an answer for the client where the server wants to know who it is, or has no time @throws ProxyError */
  async describe(session: LegacySession, { exchange, request, next, idText }: Posted): Promise<Description | Answer> {
    const key = credentialOf(exchange, request);
    const kept = this.#kept.get(key);
    if (kept && performance.now() < kept.until) return kept.description;
    const { server, timeouts } = this.#host.mount;
    const signal = AbortSignal.timeout(timeouts.headers || PATIENCE);
    const params = modernParams(JsonObject.empty(), session.envelope);
    // Under the client's id: an answer that is none of the server's own is relayed.
    const body = requestText(idText, METHOD, params);
    const message = JSON.parse(body.toString()) as Message;
    const send = () => next({ method: "POST", headers: modernHeaders(request.headers, METHOD, params), body, signal });
    const read = (answer: Answer) => ask(() => Promise.resolve(answer), { message, signal });
    let answer = await send();
    if (isAboutTheWay(answer.status)) return answer;
    let { response, status } = await read(answer);
    // MCP 2026-07-28, Versioning: a client selects a revision out of those that the refusal names, and sends its request again.
    if (response?.error?.code === -32022 && versionsOf(response.error.data).includes(MODERN)) {
      answer = await send();
      if (isAboutTheWay(answer.status)) return answer;
      ({ response, status } = await read(answer));
    }
    const { result, error } = response ?? {};
    if (!result) {
      if (error?.code === -32022) await learnVersions(this.#host, exchange, request, error.data);
      const detail = `server/discover was answered with HTTP ${status}${error ? `, JSON-RPC error ${error.code}` : ""}`;
      throw new ProxyError("UPSTREAM_INVALID", { server, detail, hint: otherVersions(error?.data) });
    }
    const description = describe(result);
    const ttl = typeof result.ttlMs === "number" && result.ttlMs > 0 ? Math.min(result.ttlMs, MAX_TTL) : 0;
    this.#keep(key, description, ttl);
    return description;
  }

  #keep(key: string, description: Description, ttl: number): void {
    this.#kept.delete(key);
    if (ttl === 0) return;
    if (this.#kept.size >= MAX_KEPT) this.#kept.delete(this.#kept.keys().next().value!);
    this.#kept.set(key, { description, until: performance.now() + ttl });
  }
}

/** The result of `initialize` (MCP 2025-11-25, Lifecycle). @param name of the server, where it tells none */
export function initializeResult(
  { capabilities, info, instructions }: Description,
  version: string,
  name: string,
): Json {
  return {
    protocolVersion: version,
    capabilities,
    serverInfo: info ?? { name, version: "unknown" },
    ...(instructions !== undefined && { instructions }),
  };
}

function describe(result: Json): Description {
  const meta = isRecord(result._meta) ? result._meta : {};
  const info = meta[`${META}serverInfo`];
  const named = isRecord(info) && typeof info.name === "string" && typeof info.version === "string";
  const capabilities = isRecord(result.capabilities) ? withoutTasks(result.capabilities) : {};
  return {
    capabilities,
    subscribes: isRecord(capabilities.resources) && capabilities.resources.subscribe === true,
    info: named ? info : undefined,
    instructions: typeof result.instructions === "string" ? result.instructions : undefined,
  };
}

/** Tasks of modern servers are another protocol than those of 2025-11-25. */
function withoutTasks({ tasks: _tasks, extensions, ...capabilities }: Json): Json {
  if (!isRecord(extensions)) return capabilities;
  const { [TASKS]: _extension, ...others } = extensions;
  return Object.keys(others).length > 0 ? { ...capabilities, extensions: others } : capabilities;
}

/** Of -32022: a server that names legacy revisions only has gone back. Whoever calls again is not translated for. */
export async function learnVersions(
  host: BridgeHost,
  { principal }: Exchange,
  { headers }: UpstreamRequest,
  data: unknown,
): Promise<void> {
  const supported = versionsOf(data);
  if (supported.length === 0 || !supported.every(isLegacyVersion)) return;
  const key = await eraKey(host.mount, principal, headers);
  host.eras.learn("legacy", true, key);
  host.eras.learn("modern", false, key);
}

/** The revisions that -32022 names. Where one of them is no text, none counts. */
function versionsOf(data: unknown): readonly string[] {
  const supported: unknown = isRecord(data) ? data.supported : undefined;
  return Array.isArray(supported) && supported.every((one) => typeof one === "string") ? supported : [];
}

/** Of -32022 (MCP 2026-07-28, Versioning): what the server speaks in place of what this proxy does. */
function otherVersions(data: unknown): string | undefined {
  const modern = versionsOf(data).filter((one) => /^[\d-]{10}$/.test(one) && eraOf(one) === "modern");
  return modern.length > 0 && !modern.includes(MODERN) ? `It speaks ${modern.join(", ")} only.` : undefined;
}
