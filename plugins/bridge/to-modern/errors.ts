/** What errors of a modern server mean to a legacy client, which knows neither their codes nor the envelope that they speak of. */
import { JsonObject, type ProxyError, isRecord } from "../../../core/index.ts";

/** The member of a response that tells how the request ended. */
export interface Ending {
  member: "result" | "error";
  value: JsonObject;
}

const INTERNAL = -32603;

export function errorEnding(code: number, message: string, data?: object): Ending {
  const value = JsonObject.empty().set("code", String(code)).set("message", JSON.stringify(message));
  return { member: "error", value: data ? value.set("data", JSON.stringify(data)) : value };
}

/** Of what went wrong on the way, where the answer has begun. */
export function failureEnding({ rpcCode, message, code }: ProxyError): Ending {
  return errorEnding(rpcCode, message, { code });
}

/** The client cannot answer what the server wants to know: a tool says so in its result, for the model to read. */
export function inabilityEnding(method: string, message: string): Ending {
  if (method !== "tools/call") return errorEnding(INTERNAL, message);
  const content = JSON.stringify([{ type: "text", text: message }]);
  return { member: "result", value: JsonObject.empty().set("content", content).set("isError", "true") };
}

/**
 * @param status HTTP status that the error came with
 * @param complain told where the proxy itself is at fault
 */
export function legacyError(
  error: JsonObject,
  { status, method, server, complain }: { status: number; method: string; server: string; complain(why: string): void },
): Ending {
  const code = error.value("code");
  // MCP 2026-07-28, Base Protocol, Error Codes. All of them are about the envelope and header fields, which are the proxy's.
  if (code === -32021) return inabilityEnding(method, missing(server, error.value("data")));
  if (code === -32022)
    return errorEnding(INTERNAL, `Server '${server}' does not speak revision 2026-07-28 any more. Call again.`);
  if (code === -32020 || (code === -32602 && status === 400)) {
    complain(`${method} was refused with ${code}: ${String(error.value("message"))}`);
    return errorEnding(INTERNAL, `Server '${server}' did not accept what the proxy added to the request.`);
  }
  return { member: "error", value: error };
}

function missing(server: string, data: unknown): string {
  const required = isRecord(data) && isRecord(data.requiredCapabilities) ? Object.keys(data.requiredCapabilities) : [];
  const what = required.length > 0 ? required.join(", ") : "more than this client can do";
  return `Server '${server}' needs a client that declares: ${what}.`;
}
