/** What a server's refusal means for a session, and what may be sent again after it. */
import { type Answer, type Outline, collect, fromResponse, isProxyError } from "../core/index.ts";

/** Asking twice changes nothing, or only what the first time would have changed. */
const SAFE =
  /^(?:ping|initialize|prompts\/get|resources\/(?:read|subscribe|unsubscribe)|completion\/complete|logging\/setLevel|[a-z]+(?:\/[a-z]+)?\/list)$/;
/** What servers say of a session that they do not know (any more), beside 404: the SDK's examples say it with 400. */
const UNKNOWN_SESSION = /\bsession\b|not initialized/i;
/** Largest refusal that is read, in bytes. */
const MAX_REFUSAL = 8192;

/** Whether a message may reach the server twice. */
export function isSafeToRepeat({ kind, method }: Outline): boolean {
  return kind === "notification" || (method !== undefined && SAFE.test(method));
}

/** Reads a refusal. @returns it, to be sent on, and whether it names the session */
export async function readRefusal(answer: Answer): Promise<[Answer, boolean]> {
  const length = Number(answer.headers.get("content-length") ?? 0);
  if (length > MAX_REFUSAL || answer.body.kind === "empty") return [answer, false];
  const bytes = await collect(answer, MAX_REFUSAL);
  const { body } = fromResponse(new Response(bytes as Uint8Array<ArrayBuffer>));
  return [{ ...answer, body }, namesSession(new TextDecoder().decode(bytes))];
}

/** Whether a refusal is about the session. @param text of the error, or the whole body */
export function namesSession(text: string | undefined): boolean {
  return text !== undefined && UNKNOWN_SESSION.test(text);
}

/** A driver has no such session: no byte has left. */
export function isLost(cause: unknown): boolean {
  return isProxyError(cause) && cause.code === "SESSION_NOT_FOUND";
}
