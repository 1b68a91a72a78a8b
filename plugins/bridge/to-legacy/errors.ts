/** Errors of a legacy server in the words of 2026-07-28 (Base Protocol, Error Codes). */
import { type Answer, JsonObject, type RpcError, jsonText } from "../../../core/index.ts";

/** An error response. @param idText of the request, as it was posted @param status of HTTP */
export function errorAnswer(idText: string, status: number, error: RpcError, fields?: Record<string, string>): Answer {
  return jsonText(`{"jsonrpc":"2.0","id":${idText},"error":${JSON.stringify(error)}}`, status, fields);
}

/** What a client is told in place of an error, and with which HTTP status where nothing has gone out yet. */
export interface ModernError {
  status: number;
  error: JsonObject;
}

/** @param error of a legacy server @param uri that was to be read, if one was */
export function modernError(error: JsonObject, uri: unknown): ModernError {
  const code = error.value("code");
  // A method that is not there (MCP 2026-07-28, Transports).
  if (code === -32601) return { status: 404, error };
  if (code === -32002) return { status: 200, error: notThere(error, uri) };
  // Reserved: a client would take them for something that was never meant.
  if (typeof code === "number" && code <= -32020 && code >= -32099) return { status: 200, error: wrapped(error) };
  return { status: 200, error };
}

/** A resource that is not there (MCP 2026-07-28, Resources, Error Handling): which one stands in the data. */
function notThere(error: JsonObject, uri: unknown): JsonObject {
  error.set("code", "-32602");
  const data = error.has("data") ? error.object("data") : JsonObject.empty();
  if (typeof uri !== "string" || !data || data.has("uri")) return error;
  return error.set("data", data.set("uri", JSON.stringify(uri)));
}

/** An error whose code must not be passed on. */
export function wrapped(error: JsonObject): JsonObject {
  const text = error.text("message") ?? '"The server reported an error."';
  return JsonObject.empty()
    .set("code", "-32603")
    .set("message", text)
    .set("data", JsonObject.empty().set("original", error));
}
