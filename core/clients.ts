/** What clients declared about themselves: the era of a request, and the capabilities that a legacy session began with. */
import { isRecord } from "./body/message.ts";
import { asBuffer } from "./body/sse.ts";
import { META, decideEra, metaOf } from "./era.ts";
import type { ClientInfo, Era, Json, Message, RequestHead, Session } from "./types.ts";

/** Sessions remembered: as many at least, and twice as many at most. Forgetting one costs the knowledge of its capabilities only. */
const GENERATION = 5000;

/**
 * Sessions as this proxy saw them begin. Owned by one proxy; keys name principal, server and session. Two generations: what
 * was not used while a whole generation came goes. A list by use would be taken apart and put together with every request.
 */
export class ClientMemory {
  #recent = new Map<string, ClientInfo>();
  #older = new Map<string, ClientInfo>();

  /** Reads what this request says about its client. @param message as much of it as is known @param known the session that a plugin found */
  read(head: RequestHead, message: Message | undefined, owner: string, known?: Session): ClientInfo {
    const { era, version } = decideEra(head.method, head.headers, message);
    if (era === "modern") {
      const meta = metaOf(message);
      return client(era, version, meta?.[`${META}clientCapabilities`], meta?.[`${META}clientInfo`]);
    }
    if (message?.method === "initialize")
      return client(era, version, message.params?.capabilities, message.params?.clientInfo);
    if (known) return known.client;
    const session = head.headers.get("mcp-session-id");
    return (session && this.#recall(`${owner}\0${session}`)) || client(era, version, undefined, undefined);
  }

  /** A session began. */
  remember(owner: string, session: string, info: ClientInfo): void {
    this.#keep(`${owner}\0${session}`, info);
  }

  /** A session ended. */
  forget(owner: string, session: string): void {
    this.#recent.delete(`${owner}\0${session}`);
    this.#older.delete(`${owner}\0${session}`);
  }

  #recall(key: string): ClientInfo | undefined {
    const found = this.#recent.get(key);
    if (found) return found;
    const older = this.#older.get(key);
    if (older) this.#keep(key, older);
    return older;
  }

  #keep(key: string, info: ClientInfo): void {
    if (this.#recent.size >= GENERATION) {
      this.#older = this.#recent;
      this.#recent = new Map();
    }
    this.#recent.set(key, info);
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
