/** What a legacy server asks its clients by requests of its own, and what may be put into a result in their place. */
import { type Json, JsonObject, type Message, isRecord } from "../../../core/index.ts";
import { CAPABILITIES, declares } from "../../_capabilities.ts";
import type { ServerMessage } from "../messages.ts";

/** MCP 2026-07-28, Multi Round-Trip Requests: only these may be answered with `input_required`. */
export const MAY_ASK: ReadonlySet<string> = new Set(["tools/call", "prompts/get", "resources/read"]);

/** Of the requests that a server sends, those that a modern client can be asked in a result. */
export function isQuestion(method: string | undefined): boolean {
  return method !== undefined && Object.hasOwn(CAPABILITIES, method);
}

/** Why a question cannot be put to a client that declared this; `undefined` where it can. */
export function whyNot(
  capabilities: Json,
  message: Message,
  server: string,
): { code: number; message: string } | undefined {
  if (isQuestion(message.method) && declares(capabilities, message)) return undefined;
  const text = `Penstock: the client of server '${server}' did not declare what ${message.method} needs.`;
  return { code: -32601, message: text };
}

/** A question as it stands in `inputRequests`. */
export function inputRequest({ method, text }: ServerMessage): JsonObject {
  const request = JsonObject.empty().set("method", JSON.stringify(method));
  const params = JsonObject.read(text)?.object("params");
  if (!params) return request;
  // That a page was visited is learned by asking again, tasks are another protocol now, and nobody can report progress.
  params.delete("elicitationId").delete("task");
  const meta = params.object("_meta")?.delete("progressToken");
  if (meta && meta.keys.length > 0) params.set("_meta", meta);
  else params.delete("_meta");
  return request.set("params", params);
}

/** The error that says: go to these pages first (MCP 2025-11-25, Elicitation, URL Mode). @returns undefined where it names none */
export function pagesOf(data: unknown): Json | undefined {
  const elicitations: unknown = isRecord(data) ? data.elicitations : undefined;
  if (!Array.isArray(elicitations) || elicitations.length === 0 || !elicitations.every(isRecord)) return undefined;
  const entries = elicitations.map(({ elicitationId: _id, ...params }: Json, i) => [
    `page${i + 1}`,
    { method: "elicitation/create", params: { ...params, mode: "url" } },
  ]);
  return Object.fromEntries(entries) as Json;
}

/** A response to a server's question. @param idText as the server wrote it */
export function responseTo(
  idText: string,
  answer: { result: string } | { error: { code: number; message: string } },
): Buffer {
  const member = "result" in answer ? `"result":${answer.result}` : `"error":${JSON.stringify(answer.error)}`;
  return Buffer.from(`{"jsonrpc":"2.0","id":${idText},${member}}`);
}

/** The response to a question to which there will be no answer of the client. */
export function noAnswer({ method, idText }: ServerMessage, why: string): Buffer {
  return responseTo(
    idText!,
    method === "elicitation/create" ? { result: '{"action":"cancel"}' } : { error: { code: -32603, message: why } },
  );
}

/**
 * The response to a question that belongs to no call: in 2026-07-28 clients are asked while they wait for something.
 *
 * @param roots of the client, where it told them before
 */
export function answerOutside(message: ServerMessage, isAnybodys: boolean, roots: Buffer | undefined): Buffer {
  const { idText, method } = message;
  const id = idText!;
  if (method === "ping") return responseTo(id, { result: "{}" });
  if (isAnybodys)
    return responseTo(id, { error: { code: -32603, message: "Penstock cannot tell for which call this is." } });
  if (method === "roots/list" && roots) return responseTo(id, { result: roots.toString() });
  if (method === "elicitation/create") return responseTo(id, { result: '{"action":"decline"}' });
  const text = "Penstock: the client can be asked while it waits for a call, and not in between.";
  return responseTo(id, { error: { code: -32601, message: text } });
}
