/**
 * `Mcp-Param-*` of calls (MCP 2026-07-28, Transports, "Custom Headers from Tool Parameters"): servers of that revision refuse a
 * call whose fields do not say what its arguments say. A legacy server does not look at them.
 */
import type { JsonObject } from "../../../core/index.ts";
import { type Json, type Logger, ProxyError, isRecord } from "../../../core/index.ts";
import { ToolCatalog, wrongField } from "../params.ts";
import type { ServerLease } from "./lease.ts";

/** A call, as far as it matters here. */
export interface CheckedCall {
  name: unknown;
  args: JsonObject | undefined;
  headers: Headers;
}

const CHANGED = "notifications/tools/list_changed";
const MAX_PAGES = 100;
/** Largest page, in bytes. */
const MAX_PAGE = 16 * 1024 * 1024;

export class ToolParams {
  readonly #log: Logger;
  /** For each caller: who may use which tools is the server's affair. */
  readonly #catalog = new ToolCatalog();
  readonly #heard = new WeakSet<ServerLease>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** @throws ProxyError `HEADER_MISMATCH` */
  async check(lease: ServerLease, { name, args, headers }: CheckedCall): Promise<void> {
    if (typeof name !== "string" || !isRecord(lease.capabilities.tools)) return;
    const { key } = lease.caller;
    this.#hear(lease);
    const find = async () => (await this.#catalog.find(key, name, () => this.#listOnce(lease)))?.params ?? [];
    if (wrongField(await find(), args, headers) === undefined) return;
    // The tool may be another one by now.
    await this.#catalog.refresh(key, () => listTools(lease));
    const hint = wrongField(await find(), args, headers);
    if (hint !== undefined) throw new ProxyError("HEADER_MISMATCH", { hint });
  }

  #hear(lease: ServerLease): void {
    if (this.#heard.has(lease)) return;
    this.#heard.add(lease);
    lease.onNotification(({ method }) => {
      if (method === CHANGED) this.#catalog.forget(lease.caller.key);
    });
  }

  /** A server that does not list its tools is not asked with every call. */
  #listOnce(lease: ServerLease): Promise<Json[]> {
    return listTools(lease).catch((cause: unknown) => {
      const { server } = lease.sessions.mount;
      this.#log.debug(
        () => `${server}: header fields of calls are not compared: it did not list its tools (${String(cause)})`,
      );
      return [];
    });
  }
}

/** All pages of `tools/list`. @throws ProxyError */
async function listTools(lease: ServerLease): Promise<Json[]> {
  const tools: Json[] = [];
  let cursor: unknown;
  for (let page = 0; page < MAX_PAGES; page++) {
    const { result } = await lease.request("tools/list", cursor === undefined ? undefined : { cursor }, MAX_PAGE);
    if (!Array.isArray(result?.tools)) {
      const { server } = lease.sessions.mount;
      throw new ProxyError("UPSTREAM_INVALID", { server, detail: "no list of tools" });
    }
    tools.push(...result.tools.filter(isRecord));
    cursor = result.nextCursor;
    if (typeof cursor !== "string") break;
  }
  return tools;
}
