/** The two ends of a session's streams without a proxy: a server that is pushed by hand, and readers that note what came. */
import {
  type Answer,
  type Exchange,
  type Message,
  type Mount,
  type ProxyError,
  type Receiver,
  empty,
  fromSource,
  sourceOf,
} from "../../core/index.ts";
import { SessionStreams, type StreamOptions } from "../../plugins/_session-streams.ts";
import { vi } from "vitest";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** One event stream of the server. */
export function serverStream(headers: Record<string, string> = {}) {
  let receiver: Receiver | undefined;
  const state = { paused: false, aborted: false };
  const early: ((to: Receiver) => void)[] = [];
  const tell = (what: (to: Receiver) => void) => (receiver ? what(receiver) : void early.push(what));
  const source = {
    start(to: Receiver) {
      receiver = to;
      for (const what of early) what(to);
    },
    pause: () => void (state.paused = true),
    resume: () => void (state.paused = false),
    abort: () => void (state.aborted = true),
  };
  return {
    state,
    answer: fromSource(source, { "content-type": "text/event-stream", ...headers }),
    send: (text: string) => tell((to) => to.data(encoder.encode(text))),
    message: (message: object, fields = "") =>
      tell((to) => to.data(encoder.encode(`${fields}data: ${JSON.stringify(message)}\n\n`))),
    end: () => tell((to) => to.end()),
    fail: (error: ProxyError) => tell((to) => to.fail(error)),
  };
}

/** One event as a client reads it. */
export interface Seen {
  id?: string;
  data?: string;
  message?: Message;
}

/** Reads an answer as a client does. */
export function reader(answer: Answer, { paused = false } = {}) {
  const source = sourceOf(answer);
  const state: { text: string; end?: "well" | ProxyError } = { text: "" };
  if (paused) source.pause();
  source.start({
    data: (chunk) => void (state.text += decoder.decode(chunk)),
    end: () => void (state.end = "well"),
    fail: (error) => void (state.end = error),
  });
  const events = (): Seen[] =>
    state.text
      .split("\n\n")
      .slice(0, -1)
      .map((event) => {
        const id = /(?:^|\n)id: ([^\n]*)/.exec(event)?.[1];
        const data = /(?:^|\n)data: ?([^\n]*)/.exec(event)?.[1];
        return { id, data, ...(data && { message: JSON.parse(data) as Message }) };
      });
  return {
    state,
    events,
    messages: () => events().flatMap(({ message }) => (message === undefined ? [] : [message])),
    lastId: () => events().findLast(({ id }) => id !== undefined)?.id,
    pause: () => source.pause(),
    resume: () => source.resume(),
    leave: () => source.abort(),
  };
}

export type Reading = ReturnType<typeof reader>;

const createId = () => crypto.randomUUID().slice(0, 8);

/** The streams of one session with scripted ends. @param id the same one: the same session in another process */
export function session(options: StreamOptions = {}, version = "2025-11-25", id: string = createId()) {
  const answers: string[] = [];
  const listens: { lastEventId: string | undefined; signal: AbortSignal }[] = [];
  const log: string[] = [];
  /** What each GET to the server is answered with; the last one stays. */
  const script: ((lastEventId: string | undefined) => Answer | Promise<Answer>)[] = [];
  const at = (level: string) => (text: string | (() => string)) =>
    void log.push(`${level} ${typeof text === "function" ? text() : text}`);
  const logger = { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
  const slots = new Map<object, unknown>();
  const mount = {
    server: "one",
    get: (key: object) => slots.get(key),
    set: (key: object, value: unknown) => void slots.set(key, value),
  } as unknown as Mount;
  const host = {
    mount,
    log: logger,
    id,
    version,
    async listen(lastEventId: string | undefined, signal: AbortSignal) {
      listens.push({ lastEventId, signal });
      const answer = script.length > 1 ? script.shift() : script[0];
      if (!answer) throw new Error("no answer was prepared");
      return answer(lastEventId);
    },
    async answer(body: Uint8Array) {
      answers.push(decoder.decode(body));
    },
  };
  const streams = new SessionStreams(host, options);
  const exchange = (lastEventId?: string, idText?: string) =>
    ({
      posted: idText === undefined ? undefined : { kind: "request", idText, method: "tools/call" },
      signal: new AbortController().signal,
      request: { headers: new Headers(lastEventId === undefined ? {} : { "last-event-id": lastEventId }) },
    }) as unknown as Exchange;
  return {
    streams,
    id,
    mount,
    answers,
    listens,
    script,
    log,
    /** Posts a call whose answer is a stream. */
    async call(id: number | string, upstream: ReturnType<typeof serverStream>) {
      const body = encoder.encode(JSON.stringify({ jsonrpc: "2.0", id, method: "tools/call", params: { name: "x" } }));
      return streams.relay(
        exchange(undefined, JSON.stringify(id)),
        { method: "POST", headers: new Headers(), body },
        async () => upstream.answer,
      );
    },
    /** Posts the client's `notifications/cancelled`. */
    async cancel(requestId: number | string) {
      const message = { jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId } };
      const from = { ...exchange(), posted: { kind: "notification", method: message.method }, message } as never;
      await streams.relay(from, { method: "POST", headers: new Headers(), body: null }, async () => empty(202));
    },
    get: (lastEventId?: string) => streams.get(exchange(lastEventId)),
    /** The text that goes to the server for a response of the client; nothing where it is dropped. */
    answered(message: object) {
      const bytes = streams.answered(message as Message, encoder.encode(JSON.stringify(message)));
      return bytes && decoder.decode(bytes);
    },
  };
}

/** Waits until something holds. */
export const until = (check: () => void): Promise<void> => vi.waitFor(check, { interval: 5, timeout: 3000 });

export const response = (id: number | string, text = "done") => ({ jsonrpc: "2.0", id, result: { text } });
export const progress = (n: number) => ({ jsonrpc: "2.0", method: "notifications/progress", params: { n } });
export const question = (id: number | string, method = "elicitation/create") => ({
  jsonrpc: "2.0",
  id,
  method,
  params: { message: "which?" },
});
