/** The driver for Streamable HTTP servers: one request in, one answer out, raw in between. */
import { StreamBody } from "../body/body.ts";
import { writeMessage } from "../body/message.ts";
import { ProxyError } from "../errors.ts";
import { HOP_BY_HOP, HeaderList, connectionOptions, isEventStream } from "../headers.ts";
import type { Answer, Message, ServerConfig, Timeouts, UpstreamRequest } from "../types.ts";
import { connectHttp1 } from "./http1/client.ts";

/** reliability defaults, in milliseconds. */
const TIMEOUTS: Required<Timeouts> = { connect: 5000, headers: 60_000, call: 300_000, body: 30_000, stream: 0 };
const MAX_REDIRECTS = 3;

/** Ends with this hop: the server is another one, reached by its own name, and the client's credentials are not for it. */
const NOT_FORWARDED: ReadonlySet<string> = new Set([
  ...HOP_BY_HOP,
  "authorization",
  "dpop",
  "cookie",
  "x-api-key",
  "api-key",
  "x-auth-token",
  "host",
  "content-length",
  "expect",
  // Replaced: content codings would hide the events from the framer, and their buffers would delay them.
  "accept-encoding",
  // Checked at this edge; a server compares it with the Host that *it* sees, and would refuse.
  "origin",
  "referer",
  "forwarded",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-port",
  "x-forwarded-proto",
  "x-real-ip",
  "x-original-url",
  "x-rewrite-url",
]);
/** Cookies of a server would be shared by all servers behind this origin. */
const NOT_RETURNED = new Set([...HOP_BY_HOP, "set-cookie", "location"]);

/** One request as an HTTP client sends it. */
export interface WireRequest {
  method: string;
  /** Path and query. */
  path: string;
  /** name, value, name, value … */
  headers: string[];
  body: Uint8Array | null;
  /** Wait for the head of the answer, in milliseconds; 0 waits for ever. */
  headersTimeout: number;
}

/** What an HTTP client of some runtime gives back. */
export interface WireAnswer {
  status: number;
  /** name, value, name, value …; names in lower case, repeated fields apart. */
  headers: readonly string[];
  source: StreamBody["source"];
  /** Ends the answer when no byte came for so long, in milliseconds. Called before the source is started. */
  limitGap(ms: number): void;
}

/** An HTTP client for one origin. */
export interface WireClient {
  /** @param onAbort takes a function that ends the request @throws ProxyError */
  send(request: WireRequest, onAbort: OnAbort): Promise<WireAnswer>;
  close(): Promise<void>;
}

/** Tells a function when nobody waits any longer. */
export type OnAbort = (abort: () => void) => void;

/** Speaks to one server. All drivers look the same from inside. */
export interface Driver {
  /** @param method JSON-RPC method of the body, where known @throws ProxyError */
  send(request: Omit<UpstreamRequest, "signal">, onAbort: OnAbort, method?: string, idText?: string): Promise<Answer>;
  close(): Promise<void>;
}

/** @param name the server's name, for error messages */
export function createHttpDriver(name: string, config: ServerConfig): Driver {
  const url = new URL(config.url);
  const timeouts = { ...TIMEOUTS, ...config.timeouts };
  const client: WireClient = connectHttp1(name, url, timeouts.connect, config.tls);
  const configured = Object.entries(config.headers ?? {}).flatMap(([key, value]) => [key.toLowerCase(), value]);

  async function send(
    request: Omit<UpstreamRequest, "signal">,
    onAbort: OnAbort,
    method?: string,
    idText?: string,
  ): Promise<Answer> {
    const wire: WireRequest = {
      method: request.method,
      path: request.path ?? url.pathname + url.search,
      headers: withConfigured(request.headers, configured),
      body:
        request.body === null || request.body instanceof Uint8Array
          ? request.body
          : Buffer.from(writeMessage(request.body as Message, idText)),
      headersTimeout: method === "tools/call" ? timeouts.call : timeouts.headers,
    };
    let answer = await client.send(wire, onAbort);
    for (let hops = 0; answer.status >= 300 && answer.status < 400; hops++) {
      const target = redirectTarget(answer, wire, url);
      answer.source.abort();
      if (!target || hops === MAX_REDIRECTS) throw new ProxyError("UPSTREAM_REDIRECT", { server: name });
      wire.path = target.pathname + target.search;
      answer = await client.send(wire, onAbort);
    }
    const headers = responseHeaders(answer.headers);
    answer.limitGap(isEventStream(headers) ? timeouts.stream : timeouts.body);
    return { status: answer.status, headers, body: new StreamBody(answer.source) };
  }
  return { send, close: () => client.close() };
}

/** What is left out on the way to one server. @param credentials fields that plugins read credentials from, for this proxy only */
export function notForwarded(auth: ServerConfig["auth"], credentials: readonly string[]): ReadonlySet<string> {
  const names = new Set(NOT_FORWARDED);
  // RFC 9449: a DPoP proof belongs to the token.
  if (auth === "passthrough") for (const name of ["authorization", "dpop"]) names.delete(name);
  for (const name of credentials) names.add(name.toLowerCase());
  return names;
}

/**
 * The client's header fields that may go on to a server.
 *
 * @param flat name, value, name, value … as they came
 * @param left names that may not
 */
export function forwardedHeaders(flat: readonly string[], left: ReadonlySet<string> = NOT_FORWARDED): HeaderList {
  const kept: string[] = [];
  let options: string[] | undefined;
  for (let i = 0; i < flat.length; i += 2) {
    const name = flat[i]!.toLowerCase();
    if (name === "connection") options = [...(options ?? []), ...connectionOptions(flat[i + 1])];
    if (!left.has(name)) kept.push(name, flat[i + 1]!);
  }
  kept.push("accept-encoding", "identity");
  const list = new HeaderList(kept);
  for (const option of options ?? []) list.delete(option);
  return list;
}

function withConfigured(headers: Headers, configured: readonly string[]): string[] {
  const list = headers instanceof HeaderList ? headers : HeaderList.from(headers);
  if (configured.length === 0) return list.flat;
  for (let i = 0; i < configured.length; i += 2) list.delete(configured[i]!);
  return [...list.flat, ...configured];
}

function responseHeaders(given: readonly string[]): HeaderList {
  const flat: string[] = [];
  let options: string[] | undefined;
  for (let i = 0; i < given.length; i += 2) {
    const name = given[i]!;
    if (name === "connection") options = [...(options ?? []), ...connectionOptions(given[i + 1])];
    if (!NOT_RETURNED.has(name)) flat.push(name, given[i + 1]!);
  }
  const list = new HeaderList(flat);
  for (const option of options ?? []) list.delete(option);
  return list;
}

/**
 * Where to send the same request again: a redirect within the origin that keeps the method (RFC 9110 §15.4), such as the
 * trailing slash that many frameworks add. The request was not processed, so this is no second delivery.
 */
function redirectTarget(answer: WireAnswer, wire: WireRequest, url: URL): URL | undefined {
  const keepsMethod =
    answer.status === 307 || answer.status === 308 || (wire.method === "GET" && answer.status !== 304);
  const location = only(answer.headers, "location");
  if (!keepsMethod || location === undefined || !URL.canParse(location, url)) return undefined;
  const target = new URL(location, url);
  return target.origin === url.origin ? target : undefined;
}

/** The value of a field that stands there once. */
function only(flat: readonly string[], name: string): string | undefined {
  let found: string | undefined;
  for (let i = 0; i < flat.length; i += 2) {
    if (flat[i] !== name) continue;
    if (found !== undefined) return undefined;
    found = flat[i + 1];
  }
  return found;
}
