import { type Exchange, type Outcome, type Plugin, isRecord } from "../core/index.ts";

/** Options of {@link requestLog}. */
export interface RequestLogOptions {
  /** Header that carries the id of the exchange to the client; `false` for none. @default "x-request-id" */
  header?: string | false;
}

/** Ends that are nobody's fault, or the client's. */
const GOOD_ENDS: ReadonlySet<Outcome["end"]> = new Set(["complete", "client-gone", "refused"] as const);

/**
 * One line per exchange: HTTP and JSON-RPC method, tool, server, principal, status, duration, bytes, id. Good ends at `info`,
 * bad ones at `warn`; nothing is formatted where the level is off. No arguments, no results.
 *
 * The id is the client's `X-Request-Id` where it sent a plain one; the server gets it as the client sent it.
 */
export function requestLog(options: RequestLogOptions = {}): Plugin {
  const { header = "x-request-id" } = options;
  return {
    name: "request-log",
    order: "pre",
    ...(header !== false && {
      response(exchange, answer) {
        answer.headers.set(header, exchange.id);
      },
    }),
    done(exchange, outcome) {
      // The stream that a GET opens is optional: that there is none, or that it ends, is no failure.
      const good = GOOD_ENDS.has(outcome.end) || (exchange.request.method === "GET" && outcome.status < 500);
      exchange.log[good ? "info" : "warn"](() => line(exchange, outcome));
    },
  };
}

function line(exchange: Exchange, outcome: Outcome): string {
  const { message, mount, principal, request } = exchange;
  const { end, status, bytesUp, bytesDown, ms, error } = outcome;
  return [
    request.method,
    mount.server,
    message ? shown(message.method ?? "response") : "-",
    subjectOf(message?.params),
    shown(principal.id),
    status,
    `${Math.round(ms)}ms`,
    `${bytesUp}B up`,
    `${bytesDown}B down`,
    ...(end === "complete" ? [] : [end]),
    ...(error ? [error.code] : []),
    `id=${exchange.id}`,
  ]
    .filter((part) => part !== undefined)
    .join(" ");
}

/** The tool, prompt or resource that is named. */
function subjectOf(params: unknown): string | undefined {
  if (!isRecord(params)) return undefined;
  const { name, uri } = params;
  if (typeof name === "string") return shown(name);
  // A URI may carry a token in its query, or behind it.
  return typeof uri === "string" ? shown(uri.split(/[?#]/, 1)[0]!) : undefined;
}

/** Longest name that is written whole, in characters. */
const MAX_NAME = 200;

/** A caller's text as one word: neither blanks nor length of it may make up, or cut off, what stands behind it. */
function shown(text: string): string {
  if (text.length <= MAX_NAME && /^[^\s"\\\p{C}]+$/u.test(text)) return text;
  return JSON.stringify(text.length > MAX_NAME ? `${text.slice(0, MAX_NAME)}… (${text.length} characters)` : text);
}
