/** A modern request as a legacy server takes it. */
import { JsonObject, META } from "../../../core/index.ts";

/** What of the envelope a legacy session has from its handshake, or from a method of its own. */
const ENVELOPE = ["protocolVersion", "clientInfo", "clientCapabilities", "logLevel"].map((key) => META + key);
/** Of a retry (MCP 2026-07-28, Multi Round-Trip Requests), and of what tasks were. */
const NOT_LEGACY = ["inputResponses", "requestState", "task"];

/** RFC 5424 §6.2.1, the most verbose first. */
export const LEVELS: readonly string[] = [
  "debug",
  "info",
  "notice",
  "warning",
  "error",
  "critical",
  "alert",
  "emergency",
];

/**
 * Unknown keys of `_meta` stay, and all digits of the arguments.
 *
 * @param id of the request and of its progress, which nobody else has in this session
 */
export function legacyRequest(request: JsonObject, id: number, mayAsk: boolean): Buffer {
  const params = request.object("params") ?? JsonObject.empty();
  const meta = params.object("_meta") ?? JsonObject.empty();
  for (const key of ENVELOPE) meta.delete(key);
  if (meta.has("progressToken")) meta.set("progressToken", String(id));
  if (meta.keys.length > 0) params.set("_meta", meta);
  else params.delete("_meta");
  if (mayAsk) for (const key of NOT_LEGACY) params.delete(key);
  return request.set("id", String(id)).set("params", params).toBytes();
}
