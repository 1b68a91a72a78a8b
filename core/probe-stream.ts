/** Whether a server can speak without being asked: the event stream of a GET, or what a modern one declares. */
import { type Call, describeFailure, mediaType } from "./ask.ts";
import { type AnyBody, discard } from "./body/body.ts";
import { isRecord } from "./body/message.ts";
import { eventEnd, joinChunks, parseEvent } from "./body/sse.ts";
import type { Answer, Json } from "./types.ts";

/** Whether a server can tell of changes by itself. A server that cannot is none the worse. */
export interface Push {
  available: boolean;
  /** How it does, or why it does not. */
  reason: string;
}

/** A stream that ends within this time was never one, in milliseconds. */
const SETTLED = 100;
/** An event that names an endpoint is short. */
const LIMIT = 64 * 1024;

/** Opens the event stream of a legacy server, and lets it go at once. Never rejects. @param timeout in milliseconds */
export async function probePush(call: Call, headers: Record<string, string>, timeout: number): Promise<Push> {
  const deadline = AbortSignal.timeout(timeout);
  try {
    const answer = await call({ method: "GET", headers: new Headers(headers), signal: deadline });
    const refused = refusedStream(answer);
    if (refused !== undefined) {
      discard(answer);
      return { available: false, reason: refused };
    }
    const ended = await endsEarly(answer, SETTLED);
    return ended === undefined ? { available: true, reason: "event stream" } : { available: false, reason: ended };
  } catch (cause) {
    if (deadline.aborted) return { available: false, reason: `no answer within ${timeout} ms` };
    return { available: false, reason: describeFailure(cause) };
  }
}

/** Why the answer to a GET is no event stream; `undefined` when it is one. */
export function refusedStream({ status, headers }: Pick<Answer, "status" | "headers">): string | undefined {
  if (status < 200 || status > 299) return `HTTP ${status}`;
  const type = mediaType(headers);
  return type === "text/event-stream" ? undefined : `wrong media type (${type || "none"})`;
}

/** MCP 2026-07-28, Subscriptions: no stream of its own; a client listens for what the capabilities offer. */
export function modernPush(capabilities: Json | undefined): Push {
  const offers = (name: string, key: string) => {
    const capability = capabilities?.[name];
    return isRecord(capability) && capability[key] === true;
  };
  const available =
    ["tools", "prompts", "resources"].some((name) => offers(name, "listChanged")) || offers("resources", "subscribe");
  return { available, reason: available ? "subscriptions/listen" : "no capability declares changes" };
}

/** The name of the first event of a GET: `endpoint` on HTTP+SSE (MCP 2024-11-05). `undefined` when there is none. */
export async function firstEvent(call: Call, signal: AbortSignal): Promise<string | undefined> {
  const answer = await call({ method: "GET", signal });
  const body = answer.body as AnyBody;
  if (refusedStream(answer) !== undefined || body.kind !== "stream") return void discard(answer);
  const { source } = body;
  let read: Uint8Array = new Uint8Array();
  return new Promise((resolve) => {
    source.start({
      data(chunk) {
        read = joinChunks([read, chunk]);
        for (let at = 0, end = eventEnd(read, 0); end !== -1; at = end, end = eventEnd(read, at)) {
          const { data, event } = parseEvent(new TextDecoder().decode(read.subarray(at, end)), at === 0);
          if (data === undefined) continue;
          // Before the abort, which the source tells as a failure.
          resolve(event);
          return source.abort();
        }
        if (read.length <= LIMIT) return;
        resolve(undefined);
        source.abort();
      },
      end: () => resolve(undefined),
      fail: () => resolve(undefined),
    });
  });
}

/** Lets go of a stream after `ms`. @returns how it ended, if it did so itself */
function endsEarly(answer: Answer, ms: number): Promise<string | undefined> {
  const body = answer.body as AnyBody;
  if (body.kind !== "stream") return Promise.resolve("ended at once");
  const { source } = body;
  return new Promise((resolve) => {
    const settled = setTimeout(() => {
      resolve(undefined);
      source.abort();
    }, ms);
    const over = (how: string) => () => {
      clearTimeout(settled);
      resolve(how);
    };
    source.start({ data() {}, end: over("ended at once"), fail: over("reset") });
  });
}
