/** What clients declared about themselves: the era of a request, and the capabilities that a legacy session began with. */
import { isRecord } from "./body/message.ts";
import { asBuffer } from "./body/sse.ts";
import type { ClientInfo, Era, Json, Message, RequestHead } from "./types.ts";

/** First modern revision. Revisions are dates, so they compare as text. */
const MODERN = "2026-07-28";
/** MCP 2025-06-18, Transports, "Protocol Version Header": the revision of a request that names none. */
const ASSUMED = "2025-03-26";
const META = "io.modelcontextprotocol/";
/** Sessions remembered; the one unused for longest goes first. Forgetting one costs the knowledge of its capabilities only. */
const LIMIT = 10_000;

/** Sessions as this proxy saw them begin. Owned by one proxy; keys name principal, server and session. */
export class ClientMemory {
  readonly #sessions = new Map<string, ClientInfo>();

  /** Reads what this request says about its client; bodies are the truth, headers are mirrors. */
  read(head: RequestHead, message: Message | undefined, owner: string): ClientInfo {
    const meta = message?.params?._meta;
    const claim = isRecord(meta) ? meta[`${META}protocolVersion`] : undefined;
    const header = head.headers.get("mcp-protocol-version");
    const declared = isRecord(meta) ? meta[`${META}clientCapabilities`] : undefined;
    const info = isRecord(meta) ? meta[`${META}clientInfo`] : undefined;
    if (
      typeof claim === "string" ||
      (head.method === "POST" && message?.method !== "initialize" && eraOf(header) === "modern")
    ) {
      return client("modern", typeof claim === "string" ? claim : header!, declared, info);
    }
    if (message?.method === "initialize") {
      const { protocolVersion, capabilities, clientInfo } = message.params ?? {};
      return client(
        "legacy",
        typeof protocolVersion === "string" ? protocolVersion : ASSUMED,
        capabilities,
        clientInfo,
      );
    }
    const session = head.headers.get("mcp-session-id");
    return (
      (session && this.#recall(`${owner}\0${session}`)) || client("legacy", header ?? ASSUMED, undefined, undefined)
    );
  }

  /** A session began. */
  remember(owner: string, session: string, info: ClientInfo): void {
    this.#sessions.set(`${owner}\0${session}`, info);
    if (this.#sessions.size > LIMIT) this.#sessions.delete(this.#sessions.keys().next().value!);
  }

  /** A session ended. */
  forget(owner: string, session: string): void {
    this.#sessions.delete(`${owner}\0${session}`);
  }

  #recall(key: string): ClientInfo | undefined {
    const found = this.#sessions.get(key);
    if (found) {
      this.#sessions.delete(key);
      this.#sessions.set(key, found);
    }
    return found;
  }
}

/** Whether a posted body may have an envelope (MCP 2026-07-28, `params._meta`); found without parsing it. */
export function mentionsClient(body: Uint8Array): boolean {
  const bytes = asBuffer(body);
  // An escape may hide the key from the search.
  return bytes.includes(META, 0, "latin1") || bytes.includes("\\u00", 0, "latin1");
}

function eraOf(version: string | null): Era {
  return version !== null && version >= MODERN ? "modern" : "legacy";
}

function client(era: Era, version: string, capabilities: unknown, info: unknown): ClientInfo {
  return {
    era,
    version,
    capabilities: isRecord(capabilities) ? capabilities : undefined,
    info: isRecord(info) ? (info as Json) : undefined,
  };
}
