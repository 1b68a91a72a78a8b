/** The tools of a modern server, asked for because a call needs to know them. */
import {
  type Answer,
  type Exchange,
  type Json,
  JsonObject,
  type Message,
  ProxyError,
  type UpstreamRequest,
  ask,
  isRecord,
} from "../../../core/index.ts";
import type { BridgeHost } from "../host.ts";
import type { Posted } from "./call.ts";
import { type Envelope, modernHeaders, modernParams } from "./envelope.ts";

const MAX_PAGES = 100;
/** Largest page, in bytes. */
const MAX_PAGE = 16 * 1024 * 1024;
/** Where the server sets no limit, in milliseconds. */
const PATIENCE = 60_000;

/** With what the server is asked: it may show callers different things. */
export function credentialOf({ principal }: Exchange, { headers }: UpstreamRequest): string {
  return `${principal.id}\0${headers.get("authorization") ?? ""}`;
}

/** Who wants to know. */
export interface Asker {
  readonly host: BridgeHost;
  readonly envelope: Envelope;
}

/** All pages of `tools/list`. @throws ProxyError */
export async function listTools(
  { host, envelope }: Asker,
  { request, next }: Pick<Posted, "request" | "next">,
): Promise<Json[]> {
  const { server, timeouts } = host.mount;
  const signal = AbortSignal.timeout(timeouts.headers || PATIENCE);
  const tools: Json[] = [];
  let cursor: unknown;
  for (let page = 0; page < MAX_PAGES; page++) {
    const own = JsonObject.empty();
    if (cursor !== undefined) own.set("cursor", JSON.stringify(cursor));
    const params = modernParams(JsonObject.empty().set("params", own), envelope);
    const headers = modernHeaders(request.headers, "tools/list", params);
    const message: Message = {
      jsonrpc: "2.0",
      id: crypto.randomUUID(),
      method: "tools/list",
      params: JSON.parse(params.toString()) as Json,
    };
    const call = (): Promise<Answer> => next({ method: "POST", headers, body: message, signal });
    const { response } = await ask(call, { message, signal, limit: MAX_PAGE });
    const result = response?.result;
    if (!Array.isArray(result?.tools)) throw new ProxyError("UPSTREAM_INVALID", { server, detail: "no list of tools" });
    tools.push(...result.tools.filter(isRecord));
    cursor = result.nextCursor;
    if (typeof cursor !== "string") break;
  }
  return tools;
}
