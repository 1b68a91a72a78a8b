/** A call on a session that it shares with others: under an id of the proxy's own, since clients all count from the same number. */
import {
  type Answer,
  type Outline,
  type Replacement,
  type UpstreamRequest,
  ask,
  isEventStream,
  json,
  replaceTexts,
} from "../core/index.ts";
import { type Span, spanOf, splice } from "./_json-spans.ts";

/** A call under another id. */
export interface Renamed {
  request: UpstreamRequest;
  /** What it is called towards the server. */
  id: string;
  /** The client's id, as it was written. */
  idText: string;
  /** The client's ids for those that the server knows. */
  back: readonly Replacement[];
}

/** Largest answer that is read for a client that takes no event stream, in bytes. */
const MAX_ANSWER = 4 * 1024 * 1024;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Gives a request an id, and where it asks for progress a token, that nobody else uses. */
export function renameCall(request: UpstreamRequest, outline: Outline, id: string): Renamed {
  const { body } = request;
  const text = textOf(body);
  const idSpan = spanOf(text, ["id"])!;
  const tokenSpan = spanOf(text, ["params", "_meta", "progressToken"]);
  const idText = body instanceof Uint8Array ? text.slice(...idSpan) : outline.idText!;
  const spans: [Span, string][] = [[idSpan, JSON.stringify(id)]];
  const back: Replacement[] = [{ from: JSON.stringify(id), to: idText }];
  const tokenText = tokenSpan && text.slice(...tokenSpan);
  // What is no token is for the server to refuse.
  if (tokenText !== undefined && /^["\d-]/.test(tokenText)) {
    const token = JSON.stringify(`${id}-progress`);
    spans.push([tokenSpan!, token]);
    back.push({ from: token, to: tokenText });
  }
  spans.sort(([a], [b]) => a[0] - b[0]);
  return { request: { ...request, body: encoder.encode(splice(text, spans)) }, id, idText, back };
}

/** The text of the id of the request that a `notifications/cancelled` is about. */
export function cancelledId({ body }: UpstreamRequest): string | undefined {
  const text = textOf(body);
  const span = spanOf(text, ["params", "requestId"]);
  return span && text.slice(...span);
}

/** The same notification about another id. */
export function renameCancelled(request: UpstreamRequest, id: string): UpstreamRequest {
  const text = textOf(request.body);
  const span = spanOf(text, ["params", "requestId"])!;
  return { ...request, body: encoder.encode(splice(text, [[span, JSON.stringify(id)]])) };
}

/** The answer to a call that was renamed, as if it had not been. */
export function restored(answer: Answer, { back }: Renamed): Answer {
  answer.headers.delete("content-length");
  return { ...answer, body: replaceTexts(answer.body, back) };
}

/** For a client that takes no event stream: the response alone. What else was on the stream has nowhere to go. @throws ProxyError */
export async function asJson(answer: Answer, id: string): Promise<Answer> {
  if (!isEventStream(answer.headers)) return answer;
  const message = { jsonrpc: "2.0" as const, id };
  const { signal } = new AbortController();
  const { status, response } = await ask(() => Promise.resolve(answer), { message, signal, limit: MAX_ANSWER });
  const missing = { jsonrpc: "2.0", id, error: { code: -32603, message: "The server's answer holds no response." } };
  return response ? json(response, status) : json(missing, 502);
}

function textOf(body: UpstreamRequest["body"]): string {
  return body instanceof Uint8Array ? decoder.decode(body) : JSON.stringify(body);
}
