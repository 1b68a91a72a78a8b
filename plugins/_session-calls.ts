/** A call on a session that it shares with others: under an id of the proxy's own, since clients all count from the same number. */
import {
  type Answer,
  type Outline,
  type Replacement,
  type Span,
  type UpstreamRequest,
  ask,
  findMembers,
  isEventStream,
  json,
  replaceSpans,
  replaceTexts,
} from "../core/index.ts";

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

/** Gives a request an id, and where it asks for progress a token, that nobody else uses. */
export function renameCall(request: UpstreamRequest, outline: Outline, id: string): Renamed {
  const bytes = bytesOf(request.body);
  const members = findMembers(bytes, { id: true, params: { _meta: { progressToken: true } } });
  const idSpan = members?.get("id");
  const tokenSpan = members?.get("params._meta.progressToken");
  const sent = JSON.stringify(id);
  const idText = request.body instanceof Uint8Array ? bytes.toString("utf8", ...idSpan!) : outline.idText!;
  const edits: [Span, string][] = [[idSpan!, sent]];
  const back: Replacement[] = [{ from: sent, to: idText }];
  const tokenText = tokenSpan && bytes.toString("utf8", ...tokenSpan);
  // What is no token is for the server to refuse.
  if (tokenText !== undefined && /^["\d-]/.test(tokenText)) {
    const token = JSON.stringify(`${id}-progress`);
    edits.push([tokenSpan!, token]);
    back.push({ from: token, to: tokenText });
  }
  return { request: { ...request, body: Buffer.concat(replaceSpans(bytes, edits)) }, id, idText, back };
}

/** The text of the id of the request that a `notifications/cancelled` is about. */
export function cancelledId({ body }: UpstreamRequest): string | undefined {
  const bytes = bytesOf(body);
  const span = requestIdIn(bytes);
  return span && bytes.toString("utf8", ...span);
}

/** The same notification about another id. */
export function renameCancelled(request: UpstreamRequest, id: string): UpstreamRequest {
  const bytes = bytesOf(request.body);
  const edits: [Span, string][] = [[requestIdIn(bytes)!, JSON.stringify(id)]];
  return { ...request, body: Buffer.concat(replaceSpans(bytes, edits)) };
}

function requestIdIn(bytes: Buffer): Span | undefined {
  return findMembers(bytes, { params: { requestId: true } })?.get("params.requestId");
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

function bytesOf(body: UpstreamRequest["body"]): Buffer {
  return body instanceof Uint8Array
    ? Buffer.from(body.buffer, body.byteOffset, body.byteLength)
    : Buffer.from(JSON.stringify(body));
}
