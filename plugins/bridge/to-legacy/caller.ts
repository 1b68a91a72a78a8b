/** On whose behalf a session with a legacy server is opened, and what that session may be used for. */
import {
  type Exchange,
  type Json,
  type Mount,
  type Principal,
  type UpstreamRequest,
  isRecord,
} from "../../../core/index.ts";
import { ownFields } from "../../_session-handshake.ts";

/** A legacy session belongs to one caller, and its capabilities are those of its `initialize` (MCP 2025-11-25, Lifecycle). */
export interface Caller {
  readonly principal: Principal;
  /** With which the server is asked, where it checks callers itself; else empty. */
  readonly credential: string;
  /** As they are declared to the server. */
  readonly capabilities: Json;
  readonly info: Json | undefined;
  /** The same text for all that may share sessions. */
  readonly key: string;
  /** The server may ask it something. */
  readonly isAskable: boolean;
}

/** What servers ask for by requests of their own. */
const ASKED = ["roots", "sampling", "elicitation"];
/** Capabilities that both eras have. */
const KNOWN = [...ASKED, "experimental", "extensions"];
const TASKS = "io.modelcontextprotocol/tasks";

export function callerOf(exchange: Exchange, request: UpstreamRequest): Caller {
  const { client, mount, principal } = exchange;
  const credential = credentialOf(mount, request);
  const capabilities = legacyCapabilities(client.capabilities ?? {});
  return {
    principal,
    credential,
    capabilities,
    info: client.info,
    key: canonical([principal.id, credential, capabilities]),
    isAskable: ASKED.some((name) => name in capabilities),
  };
}

/** @returns empty where this proxy knows its callers itself */
export function credentialOf(mount: Mount, { headers }: UpstreamRequest): string {
  return mount.auth === "passthrough" ? (headers.get("authorization") ?? "") : "";
}

/** The fields of a modern request that mean the same in a legacy one. */
export function legacyFields({ headers }: UpstreamRequest): Headers {
  const fields = ownFields(headers);
  const mirrors = ["mcp-protocol-version"];
  for (const name of fields.keys()) if (name.startsWith("mcp-param-")) mirrors.push(name);
  for (const name of mirrors) fields.delete(name);
  return fields;
}

/**
 * Nothing is declared that the client cannot do: it will not tell of changes of its roots, and what became of tasks is another
 * protocol (MCP 2026-07-28, Changelog).
 */
function legacyCapabilities(declared: Json): Json {
  const capabilities: Json = {};
  for (const name of KNOWN) {
    const value = declared[name];
    if (!isRecord(value)) continue;
    const { listChanged: _listChanged, [TASKS]: _tasks, ...rest } = value;
    capabilities[name] = name === "roots" || name === "extensions" ? rest : value;
  }
  return capabilities;
}

/** The same text for values that are equal as JSON. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    isRecord(inner) ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1))) : inner,
  );
}
