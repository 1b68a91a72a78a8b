/** One JSON-RPC request to a server, and its response out of JSON or an event stream: what a probe sees of an answer. */
import { type AnyBody, collect, discard } from "./body/body.ts";
import { isRecord, kindOf } from "./body/message.ts";
import { eventEnd, joinChunks, parseEvent } from "./body/sse.ts";
import { type ErrorCode, ProxyError, isProxyError } from "./errors.ts";
import { isEventStream } from "./headers.ts";
import type { Answer, Message, UpstreamRequest } from "./types.ts";

/** Sends a request to one server; in a plugin it is made from `app.call`. */
export type Call = (request: Partial<UpstreamRequest>) => Promise<Answer>;

/** What came back. */
export interface Reply {
  status: number;
  headers: Headers;
  /** The response to what was asked; `undefined` when the answer holds none. */
  response: Message | undefined;
  /** Media type of the answer, in lower case, without parameters. */
  type: string;
}

/** Largest answer that is read, in bytes: capabilities and instructions, never a list. */
const LIMIT = 1024 * 1024;

/**
 * Posts a request and waits for its response, whichever form the answer has. Other messages are passed over.
 *
 * @param request `limit`: of an answer or event, in bytes; 1 MiB where it is not said
 * @param onHead called before the body is read: a session may have begun, whatever comes then
 * @throws ProxyError
 */
export async function ask(
  call: Call,
  request: { message: Message; headers?: Record<string, string>; signal: AbortSignal; limit?: number },
  onHead?: (answer: Answer) => void,
): Promise<Reply> {
  const { message, signal, limit = LIMIT } = request;
  const headers = new Headers(request.headers);
  const answer = await call({ method: "POST", headers, body: message, signal });
  onHead?.(answer);
  const { status } = answer;
  const type = mediaType(answer.headers);
  const found = isEventStream(answer.headers)
    ? await readEvents(answer, message.id, limit)
    : type === "application/json" || status >= 400
      ? find(await collectSome(answer, limit), message.id)
      : void discard(answer);
  return { status, headers: answer.headers, response: found, type };
}

/** RFC 9110 §15.5.9, RFC 8470, RFC 6585: come back later. */
const LATER = [408, 425, 429];

/** Answers that are no evidence of an era. */
export function outageOf({ status, type }: Reply): ["auth-required" | "busy" | "down", { reason: string }] | undefined {
  if (status === 401 || status === 403) return ["auth-required", { reason: `HTTP ${status}` }];
  if (LATER.includes(status)) return ["busy", { reason: `HTTP ${status}` }];
  if (status >= 500) return ["down", { reason: `HTTP ${status}` }];
  if (status < 300 && type !== "application/json" && type !== "text/event-stream")
    return ["down", { reason: `HTTP ${status} with ${type || "no media type"} instead of JSON` }];
  return undefined;
}

/** Error pages may be of any size; what they begin with is no message then. */
async function collectSome(answer: Answer, limit: number): Promise<Uint8Array> {
  try {
    return await collect(answer, limit);
  } catch (cause) {
    if (answer.status >= 400 && isProxyError(cause) && cause.code === "UPSTREAM_TOO_LARGE") return new Uint8Array();
    throw cause;
  }
}

export function mediaType(headers: Headers): string {
  return (headers.get("content-type") ?? "").split(";")[0]!.trim().toLowerCase();
}

/** The response in a JSON text. An error that belongs to no request counts: what cannot be read has no id. */
function find(bytes: Uint8Array, id: Message["id"]): Message | undefined {
  try {
    const message: unknown = JSON.parse(new TextDecoder().decode(bytes));
    if (!isRecord(message) || kindOf(message as unknown as Message) !== "response") return undefined;
    const response = message as unknown as Message;
    return response.id === id || (response.error !== undefined && (response.id ?? null) === null)
      ? response
      : undefined;
  } catch {
    return undefined;
  }
}

/** Reads until the response is there, then lets go of the stream. */
function readEvents(answer: Answer, id: Message["id"], limit: number): Promise<Message | undefined> {
  const body = answer.body as AnyBody;
  if (body.kind !== "stream") return collect(answer).then((bytes) => scanEvents(bytes, id).response);
  const { source } = body;
  let rest: Uint8Array = new Uint8Array();
  return new Promise((resolve, reject) => {
    source.start({
      data(chunk) {
        const { response, length } = scanEvents((rest = rest.length > 0 ? joinChunks([rest, chunk]) : chunk), id);
        rest = rest.subarray(length);
        if (response === undefined && rest.length <= limit) return;
        if (response) resolve(response);
        else reject(new ProxyError("UPSTREAM_TOO_LARGE", { detail: `an event of more than ${limit} bytes` }));
        // Last, because the source tells its abort as a failure.
        source.abort();
      },
      end: () => resolve(scanEvents(joinChunks([rest, END]), id).response),
      fail: reject,
    });
  });
}

/** Ends an event that the server left open: clients would not read it, but a probe may be kinder. */
const END = new TextEncoder().encode("\n\n");

function scanEvents(bytes: Uint8Array, id: Message["id"]): { response: Message | undefined; length: number } {
  let at = 0;
  for (let end = eventEnd(bytes, 0); end !== -1; end = eventEnd(bytes, at)) {
    const { data } = parseEvent(new TextDecoder().decode(bytes.subarray(at, end)), at === 0);
    at = end;
    const response = data === undefined ? undefined : find(new TextEncoder().encode(data), id);
    if (response) return { response, length: at };
  }
  return { response: undefined, length: at };
}

/** Why there is no answer, in a few words; the error's code where there are none. */
export function describeFailure(cause: unknown): string {
  if (!isProxyError(cause)) return "failed";
  const { hint } = cause.details;
  return cause.code === "UPSTREAM_INVALID" && hint !== undefined
    ? hint.replace(/^It/, "it").replace(/\.$/, "")
    : (WHY[cause.code] ?? cause.code);
}

const WHY: Partial<Readonly<Record<ErrorCode, string>>> = {
  UPSTREAM_UNREACHABLE: "cannot be reached",
  UPSTREAM_CONNECT_TIMEOUT: "no connection",
  UPSTREAM_TLS: "no secure connection",
  UPSTREAM_BROKE: "reset",
  UPSTREAM_TIMEOUT: "no answer",
  UPSTREAM_SILENT: "silent in the middle of an answer",
  UPSTREAM_INVALID: "not valid HTTP",
  UPSTREAM_TOO_LARGE: "an answer that is too large",
  UPSTREAM_UNAUTHORIZED: "its credential was not accepted",
  UPSTREAM_TOKEN_REFUSED: "no access token for it: refused",
  UPSTREAM_TOKEN_UNAVAILABLE: "no access token for it: its authorization server does not answer as it should",
  UPSTREAM_REDIRECT: "redirects elsewhere",
  SERVER_SUSPENDED: "left alone after failures in a row",
  SERVER_START_FAILED: "could not be started",
  SERVER_BUSY: "does not read what is sent to it",
  CLIENT_GONE: "given up",
};
