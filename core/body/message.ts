/** JSON-RPC messages: their kinds, and how a changed one is written. */
import type { Json, Kind, Message, Reply, RpcError } from "../types.ts";

/** What a parsed message is; `undefined` when it is no JSON-RPC message, or could be read as two. */
export function kindOf(message: Message): Kind | undefined {
  const answers = message.result !== undefined || message.error !== undefined;
  if (typeof message.method === "string")
    return answers ? undefined : message.id === undefined ? "notification" : "request";
  return answers && message.method === undefined ? "response" : undefined;
}

/**
 * Writes a message.
 *
 * @param idText the id as it stood on the wire; kept where the id is still the same, because a number may have lost digits
 */
export function writeMessage(message: Message, idText?: string): string {
  if (idText === undefined || message.id === undefined || JSON.parse(idText) !== message.id)
    return JSON.stringify(message);
  const { id: _id, jsonrpc, ...rest } = message;
  const members = JSON.stringify(rest);
  // What a server left out is not for the proxy to add.
  const version = jsonrpc === undefined ? "" : `"jsonrpc":${JSON.stringify(jsonrpc)},`;
  return `{${version}"id":${idText}${members === "{}" ? "}" : `,${members.slice(1)}`}`;
}

/** An error response. @param id `null` when the request's id could not be read (JSON-RPC 2.0 §5) */
export function errorResponse(id: string | number | null, error: RpcError): Message {
  return { jsonrpc: "2.0", id, error };
}

/** Turns a {@link Reply} into the response to `request`. */
export function replyTo(request: Message, { reply }: Reply): Message {
  return { jsonrpc: "2.0", id: request.id ?? null, ...reply };
}

/** Whether a hook's result is a {@link Reply}. */
export function isReply(value: object): value is Reply {
  return "reply" in value;
}

/** Whether a parsed JSON value can be a message at all. */
export function isRecord(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
