/** What clients declared about themselves: the era of a request, and the capabilities that a legacy session began with. */
import { isRecord } from "./body/message.ts";
import { asBuffer } from "./body/sse.ts";
import { META, decideEra, metaOf } from "./era.ts";
import type { ClientInfo, Era, Json, Message, RequestHead } from "./types.ts";

/** Sessions remembered; the one unused for longest goes first. Forgetting one costs the knowledge of its capabilities only. */
const LIMIT = 10_000;

/** Sessions as this proxy saw them begin. Owned by one proxy; keys name principal, server and session. */
export class ClientMemory {
  readonly #sessions = new Map<string, ClientInfo>();

  /** Reads what this request says about its client. @param message as much of it as is known */
  read(head: RequestHead, message: Message | undefined, owner: string): ClientInfo {
    const { era, version } = decideEra(head.method, head.headers, message);
    if (era === "modern") {
      const meta = metaOf(message);
      return client(era, version, meta?.[`${META}clientCapabilities`], meta?.[`${META}clientInfo`]);
    }
    if (message?.method === "initialize")
      return client(era, version, message.params?.capabilities, message.params?.clientInfo);
    const session = head.headers.get("mcp-session-id");
    return (session && this.#recall(`${owner}\0${session}`)) || client(era, version, undefined, undefined);
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

function client(era: Era, version: string, capabilities: unknown, info: unknown): ClientInfo {
  return {
    era,
    version,
    capabilities: isRecord(capabilities) ? capabilities : undefined,
    info: isRecord(info) ? (info as Json) : undefined,
  };
}
