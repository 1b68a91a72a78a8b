/** What makes a legacy request a modern one: `params._meta`, and header fields that mirror the body (MCP 2026-07-28, Transports). */
import { type JsonText, JsonObject, META, MODERN, ProxyError, copyHeaders, mirrorsOf } from "../../../core/index.ts";

/** What a modern request says of its client. The texts of JSON values. */
export interface Envelope {
  clientInfo: JsonText | undefined;
  capabilities: JsonText;
  /** Wanted of the server, where the client has said so. */
  logLevel: string | undefined;
}

/** Of the client's leg, or of another revision. */
const LEGACY_FIELDS: ReadonlySet<string> = new Set([
  "mcp-session-id",
  "last-event-id",
  "mcp-protocol-version",
  "mcp-method",
  "mcp-name",
]);
const PARAM = "mcp-param-";
/** Of retries (MCP 2026-07-28, Multi Round-Trip Requests): no legacy client can mean them. */
const OF_RETRIES = ["inputResponses", "requestState"];

/**
 * The params of a legacy request, with an envelope.
 *
 * @throws ProxyError `INVALID_REQUEST` where they are no object
 */
export function modernParams(message: JsonObject, envelope: Envelope): JsonObject {
  const params = objectIn(message, "params");
  const meta = objectIn(params, "_meta");
  for (const key of OF_RETRIES) params.delete(key);
  meta.set(`${META}protocolVersion`, JSON.stringify(MODERN));
  if (envelope.clientInfo !== undefined) meta.set(`${META}clientInfo`, envelope.clientInfo);
  meta.set(`${META}clientCapabilities`, envelope.capabilities);
  if (envelope.logLevel !== undefined) meta.set(`${META}logLevel`, JSON.stringify(envelope.logLevel));
  return params.set("_meta", meta);
}

/** @param idText as JSON text */
export function requestText(idText: JsonText, method: string, params: JsonObject): Buffer {
  return JsonObject.empty()
    .set("jsonrpc", '"2.0"')
    .set("id", idText)
    .set("method", JSON.stringify(method))
    .set("params", params)
    .toBytes();
}

/**
 * Header fields for a modern request.
 *
 * @param from those of the client's request
 * @param mirrored `Mcp-Param-*`: name, value
 */
export function modernHeaders(
  from: Headers | undefined,
  method: string,
  params: JsonObject,
  mirrored: readonly (readonly [string, string])[] = [],
): Headers {
  const headers = copyHeaders(from ? [...from].filter(([name]) => !isLegacyOnly(name)) : []);
  headers.set("accept", "application/json, text/event-stream");
  headers.set("content-type", "application/json");
  const named = { name: params.value("name"), uri: params.value("uri"), taskId: params.value("taskId") };
  const mirrors = mirrorsOf({
    jsonrpc: "2.0",
    method,
    params: { ...named, _meta: { [`${META}protocolVersion`]: MODERN } },
  });
  for (let i = 0; i < mirrors.length; i += 2) headers.set(mirrors[i]!, mirrors[i + 1]!);
  for (const [name, value] of mirrored) headers.set(name, value);
  return headers;
}

function isLegacyOnly(name: string): boolean {
  return LEGACY_FIELDS.has(name) || name.startsWith(PARAM);
}

function objectIn(holder: JsonObject, key: string): JsonObject {
  const found = holder.has(key) ? holder.object(key) : JsonObject.empty();
  if (found) return found;
  throw new ProxyError("INVALID_REQUEST", { hint: `${key === "params" ? key : `params.${key}`} must be an object.` });
}
