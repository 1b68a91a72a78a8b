/** What a proxy says to a server by itself: it opens a session, says again what its client wanted, asks whether one is still known, and ends it. */
import {
  type Call,
  type CallReply,
  type Json,
  type Message,
  type Mount,
  ProxyError,
  ask,
  copyHeaders,
  discard,
} from "../core/index.ts";
import { isLost, namesSession } from "./_session-refusals.ts";

/** A session as a server opened it. */
export interface Opened {
  /** `undefined` where the server keeps no session. */
  id: string | undefined;
  /** The protocol revision that it chose. */
  version: string;
}

export const SESSION_ID = "mcp-session-id";
export const VERSION_FIELD = "mcp-protocol-version";
/** A server has this long for the end of a session, in milliseconds: nobody waits for it. */
const GOODBYE_MS = 5000;
/** The same for the question whether a session is still known. */
const CHECK_MS = 10_000;
/** Where the server sets no limit. */
const HANDSHAKE_MS = 60_000;
/** Of the client's request, and not of the client: they would say something wrong of another one. */
const OF_THE_MESSAGE = [
  "accept",
  "content-type",
  "content-length",
  "last-event-id",
  "mcp-method",
  "mcp-name",
  SESSION_ID,
];

/** The fields of a client's request for a request of the proxy's own on its behalf. */
export function ownFields(of: Headers | undefined, more: Record<string, string | undefined> = {}): Headers {
  const fields = copyHeaders(of);
  for (const name of OF_THE_MESSAGE) fields.delete(name);
  for (const [name, value] of Object.entries(more)) {
    if (value === undefined) fields.delete(name);
    else fields.set(name, value);
  }
  return fields;
}

/**
 * Opens a session: `initialize`, then `notifications/initialized`. One limit covers both.
 *
 * @param params of `initialize`
 * @param onReply is shown what the server said to it
 * @returns the HTTP status where the server refuses
 * @throws ProxyError when there is no answer
 */
export async function openSession(
  call: Call,
  mount: Mount,
  params: Json,
  fields?: Headers,
  onReply?: (reply: CallReply) => void,
): Promise<Opened | number> {
  const ms = mount.timeouts.headers || HANDSHAKE_MS;
  const signal = AbortSignal.timeout(ms);
  let id: string | undefined;
  try {
    const reply = await ask(
      call,
      {
        message: { jsonrpc: "2.0", id: "penstock-initialize", method: "initialize", params },
        headers: Object.fromEntries(ownFields(fields, { [VERSION_FIELD]: undefined })),
        signal,
      },
      ({ headers }) => (id = headers.get(SESSION_ID) ?? undefined),
    );
    onReply?.(reply);
    const version = reply.response?.result?.protocolVersion;
    if (reply.status >= 300 || typeof version !== "string") {
      if (id !== undefined) endSession(call, id, fields);
      return reply.status;
    }
    const headers = ownFields(fields, { [SESSION_ID]: id, [VERSION_FIELD]: version });
    discard(await call({ headers, body: { jsonrpc: "2.0", method: "notifications/initialized" }, signal }));
    return { id, version };
  } catch (cause) {
    if (id !== undefined) endSession(call, id, fields);
    if (!signal.aborted) throw cause;
    throw new ProxyError("UPSTREAM_TIMEOUT", { server: mount.server, detail: `initialize took ${ms} ms`, cause });
  }
}

/**
 * Tells a session that was opened anew what its client had told the one before. One limit covers all.
 *
 * @returns how many of the messages were not answered as they should
 */
export async function sayAgain(
  call: Call,
  messages: readonly Message[],
  id: string | undefined,
  fields?: Headers,
): Promise<number> {
  if (messages.length === 0) return 0;
  const headers = Object.fromEntries(ownFields(fields, { [SESSION_ID]: id }));
  const signal = AbortSignal.timeout(CHECK_MS);
  const said = await Promise.allSettled(messages.map((message) => ask(call, { message, headers, signal })));
  return said.filter((one) => one.status === "rejected" || one.value.response?.result === undefined).length;
}

/** Ends a session at its server. Nobody waits for it, and nothing depends on it. */
export function endSession(call: Call, id: string, fields?: Headers): Promise<void> {
  const headers = ownFields(fields, { [SESSION_ID]: id });
  return call({ method: "DELETE", headers, signal: AbortSignal.timeout(GOODBYE_MS) }).then(discard, () => {});
}

/** Waits for what ends by itself, as long as a goodbye may take. */
export async function briefly(work: Promise<unknown> | undefined): Promise<void> {
  if (!work) return;
  let limit: ReturnType<typeof setTimeout> | undefined;
  const over = new Promise((resolve) => {
    limit = setTimeout(resolve, GOODBYE_MS);
    limit.unref?.();
  });
  await Promise.race([work.catch(() => {}), over]);
  clearTimeout(limit);
}

/** Whether a server says that it does not know a session. Where it says nothing the session counts as known. */
export async function isForgotten(call: Call, id: string, fields?: Headers): Promise<boolean> {
  try {
    const { status, response } = await ask(call, {
      message: { jsonrpc: "2.0", id: "penstock-ping", method: "ping" },
      headers: Object.fromEntries(ownFields(fields, { [SESSION_ID]: id })),
      signal: AbortSignal.timeout(CHECK_MS),
    });
    return status === 404 || (status === 400 && namesSession(response?.error?.message));
  } catch (cause) {
    return isLost(cause);
  }
}
