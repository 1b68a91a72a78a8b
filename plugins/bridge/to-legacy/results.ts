/** What results of 2026-07-28 have, and those of a legacy server have not. */
import { type Json, JsonObject, META } from "../../../core/index.ts";

/** MCP 2026-07-28, Caching: what these return says how long it is good, and for whom. */
const CACHEABLE: ReadonlySet<string> = new Set([
  "tools/list",
  "prompts/list",
  "resources/list",
  "resources/templates/list",
  "resources/read",
]);

/**
 * @param result of a legacy server, to be changed in place
 * @param serverInfo as it came with the handshake
 */
export function completeResult(method: string, result: JsonObject, serverInfo: unknown): JsonObject {
  // Whatever the server may mean by it: clients refuse a type that they do not know.
  result.set("resultType", '"complete"');
  if (CACHEABLE.has(method)) {
    // A legacy server promises nothing: it is asked every time, and nobody else sees what it said.
    if (!result.has("ttlMs")) result.set("ttlMs", "0");
    if (!result.has("cacheScope")) result.set("cacheScope", '"private"');
  }
  if (method === "tools/list") withoutTasks(result);
  if (method === "tools/call" && !result.has("content")) result.set("content", "[]");
  const meta = result.object("_meta") ?? JsonObject.empty();
  if (!meta.has(`${META}serverInfo`) && serverInfo !== undefined)
    meta.set(`${META}serverInfo`, JSON.stringify(serverInfo));
  return result.set("_meta", meta);
}

/** Tools that run as tasks only cannot be called any more; the others need not say that they could. */
function withoutTasks(result: JsonObject): void {
  const tools = result.objects("tools");
  if (!tools?.some((tool) => tool.has("execution"))) return;
  const kept = tools.filter((tool) => tool.object("execution")?.value("taskSupport") !== "required");
  result.set(
    "tools",
    kept.map((tool) => tool.delete("execution")),
  );
}

/** A result that asks the client something (MCP 2026-07-28, Multi Round-Trip Requests). */
export function inputRequired(
  idText: string,
  questions: JsonObject | Json,
  requestState: string | undefined,
  serverInfo: unknown,
): Buffer {
  const result = JsonObject.empty()
    .set("resultType", '"input_required"')
    .set("inputRequests", questions instanceof JsonObject ? questions : JSON.stringify(questions));
  if (requestState !== undefined) result.set("requestState", JSON.stringify(requestState));
  if (serverInfo !== undefined) result.set("_meta", JSON.stringify({ [`${META}serverInfo`]: serverInfo }));
  return Buffer.from(`{"jsonrpc":"2.0","id":${idText},"result":${result}}`);
}
