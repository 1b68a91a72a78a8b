/** What the refusal of a request says about the era of its server (MCP 2026-07-28, Versioning, "Era detection"). */
import {
  type Answer,
  type Exchange,
  type RpcError,
  type UpstreamRequest,
  eraOf,
  isEventStream,
  isRecord,
  mediaType,
} from "../../core/index.ts";
import { ServerMessage } from "./messages.ts";
import { peek } from "./peek.ts";

/** Largest refusal that is read, in bytes; `initialize` may be answered with instructions. */
const MAX_REFUSAL = 16 * 1024;
const MAX_INITIALIZED = 256 * 1024;

const LEGACY_VERSIONS: readonly unknown[] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
/** Authentication, and the wish to be asked later, say nothing. */
const NO_EVIDENCE: readonly number[] = [401, 403, 408, 425, 429];

/** A message on its way to a server, in outline. */
export interface Sent {
  /** HTTP method. */
  readonly verb: UpstreamRequest["method"];
  /** JSON-RPC method; `undefined` without a message, and for a response. */
  readonly method: string | undefined;
  /** It has an id, and is answered. */
  readonly isRequest: boolean;
}

/** A refusal that was read. */
export interface Refusal {
  /** To be sent on. */
  readonly answer: Answer;
  readonly sent: Sent;
  /** Its JSON-RPC error, where it has one. */
  readonly error: RpcError | undefined;
}

/** What is sent; a hook around the bridge may have something of its own to say. */
export function sentBy({ posted }: Exchange, { method: verb, body }: UpstreamRequest): Sent {
  if (body === null) return { verb, method: undefined, isRequest: false };
  if (!(body instanceof Uint8Array)) {
    const isRequest = body.method !== undefined && body.id !== undefined;
    return { verb, method: body.method, isRequest };
  }
  const { kind, method } = posted ?? ServerMessage.read(Buffer.from(body)) ?? {};
  return { verb, method, isRequest: kind === "request" };
}

/** Whether an answer to a legacy request is what it is for any server: then it is not looked into. */
export function isOrdinary(answer: Answer, exchange: Exchange, request: UpstreamRequest): boolean {
  const { status } = answer;
  if (status >= 500 || NO_EVIDENCE.includes(status)) return true;
  if (status >= 400) return false;
  const { method, isRequest } = sentBy(exchange, request);
  return !isRequest || method !== "initialize";
}

/** @returns `undefined` where nobody was refused anything */
export async function readRefusal(answer: Answer, sent: Sent): Promise<Refusal | undefined> {
  const { status, headers } = answer;
  if (sent.verb === "GET") return { answer, sent, error: undefined };
  if (!sent.isRequest) return undefined;
  if (headers.has("content-encoding")) return undefined;
  // Over stdio and HTTP+SSE errors have no status of their own.
  if (status < 400 && (headers.has("mcp-session-id") || isEventStream(headers)))
    return { answer, sent, error: undefined };
  const [peeked, bytes] = await peek(answer, status < 400 ? MAX_INITIALIZED : MAX_REFUSAL);
  const isJson = mediaType(headers) === "application/json";
  const response = bytes && isJson ? ServerMessage.read(bytes) : undefined;
  const error = response?.isError ? errorOf(response) : undefined;
  return { answer: peeked, sent, error };
}

/** The error that only a server writes that has nothing for legacy clients. */
export function namesModernOnly({ error }: Refusal): boolean {
  if (error?.code !== -32022 || !isRecord(error.data)) return false;
  const { supported } = error.data;
  return (
    Array.isArray(supported) &&
    supported.length > 0 &&
    supported.every((one) => typeof one === "string" && eraOf(one) === "modern")
  );
}

/**
 * Whether a legacy request was refused as a server might that wants an envelope; others have reasons for it too.
 *
 * @param hasServed a legacy client before: then it is the stream that it does not have
 */
export function mayBeModernRefusal({ answer: { status }, error, sent }: Refusal, hasServed = false): boolean {
  const { code } = error ?? {};
  if (sent.verb === "GET") return !hasServed && (status === 404 || status === 405);
  if (sent.method === "initialize") return status >= 400 || error !== undefined;
  return code === -32020 || code === -32021 || code === -32022 || (code === -32602 && status === 400);
}

/** Whether a modern request was refused in words that modern servers use, and legacy ones do not. */
export function isModernError({ answer: { status }, error }: Refusal): boolean {
  const { code } = error ?? {};
  if (code === -32601) return status === 404;
  return (
    code !== undefined &&
    ([-32020, -32021, -32022, -32602, -32603, -32700].includes(code) || code > -32000 || code < -32768)
  );
}

/** Nobody could take the request for a modern one: what it was refused for is that it is not. */
export function isPlainlyLegacy(exchange: Exchange, { headers, method }: UpstreamRequest): boolean {
  const named = headers.get("mcp-protocol-version");
  return (
    method === "POST" && (named === null || LEGACY_VERSIONS.includes(named.trim())) && exchange.client.era === "legacy"
  );
}

function errorOf({ message }: ServerMessage): RpcError | undefined {
  const { error } = message;
  return isRecord(error) && typeof error.code === "number" ? (error as unknown as RpcError) : undefined;
}
