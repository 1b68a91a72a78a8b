/**
 * The plugin contract. A plugin author needs this file and one example.
 *
 * Words: *up* is towards the server, *down* towards the client. *Legacy* are the revisions 2024-11-05 to 2025-11-25
 * (they open with `initialize`), *modern* is 2026-07-28 and later (every request stands alone).
 */
import type { Deadlines } from "./deadlines.ts";
import type { ProxyError } from "./errors.ts";
import type { Logger } from "./log.ts";
import type { Sealer } from "./seal.ts";
import type { Store } from "./store.ts";

export type Awaitable<T> = T | Promise<T>;
export type Direction = "up" | "down";
export type Era = "legacy" | "modern";
export type Kind = "request" | "notification" | "response";
export type Json = Record<string, unknown>;

/** A JSON-RPC 2.0 error object. */
export interface RpcError {
  code: number;
  message: string;
  data?: unknown;
}

/** One JSON-RPC 2.0 message. A numeric id beyond 2^53 keeps its text on the wire even when a hook changes the message. */
export interface Message {
  jsonrpc: "2.0";
  id?: string | number | null;
  method?: string;
  params?: Json;
  result?: Json;
  error?: RpcError;
}

/** One event of a stream (WHATWG HTML §9.2). Only the core writes SSE; a plugin yields frames to {@link sse}. */
export interface Frame {
  /** Written as one `data:` line. */
  message?: Message;
  id?: string;
  event?: string;
  /** Reconnection time, in milliseconds. */
  retry?: number;
  comment?: string;
}

/** Opaque, and for one reader. Made by `json()`, `sse()`, `fromResponse()`; read by `collect()`. */
export interface Body {
  readonly kind: "empty" | "bytes" | "stream";
}

/** Status, headers and body on their way to the client. A hook may change it in place or return another. */
export interface Answer {
  status: number;
  headers: Headers;
  body: Body;
}

/** An answer that ends the hook chain, or nothing to go on. */
export type Early = Answer | Response | void;

/**
 * Answers for the other side. From an `up` hook: it is this exchange's answer, the server is never called. From a `down`
 * hook on a server's request: the client never sees the request, and the reply goes to the server through the `forward`
 * hooks as a POST of its own, exactly as if the client had posted it.
 */
export interface Reply {
  reply: { result: Json } | { error: RpcError };
}

/** A typed key for {@link Slots}; made by `defineState`. */
export interface State<T> {
  readonly name: string;
  /** Never set; carries the type. */
  readonly type?: T;
}

/** Where a plugin keeps what it remembers about a mount or an exchange. */
export interface Slots {
  get<T>(state: State<T>): T | undefined;
  set<T>(state: State<T>, value: T): void;
}

/** Who is asking. Without an authenticating plugin every caller is `ANONYMOUS`: one principal for all. */
export interface Principal {
  readonly id: string;
  readonly scopes: readonly string[];
  readonly claims?: Readonly<Json>;
}

/** The request line and headers of an HTTP request. The body is not part of it. */
export interface RequestHead {
  readonly method: string;
  readonly url: URL;
  readonly headers: Headers;
  /** Address of the socket's peer; empty when the host runtime does not tell. */
  readonly ip: string;
  /** Asked from this machine: a loopback peer, a loopback Host, and no field of a proxy in between. */
  readonly local: boolean;
  /** Under which origin, and path prefix if there is one, the client knows this proxy; without trailing slash. Fit for metadata and challenges. */
  readonly publicUrl: string;
  /** Its client speaks stdio, and has no header fields: this proxy made those that are there. */
  readonly stdio?: boolean;
}

/** What the client said about itself: in this request's envelope (modern), else in the `initialize` of its session (legacy). */
export interface ClientInfo {
  readonly era: Era;
  /** Protocol revision, e.g. `2025-11-25`. */
  readonly version: string;
  /** `undefined` when this proxy has not seen the declaration (a session opened before a restart, or no session at all). */
  readonly capabilities: Json | undefined;
  /** `clientInfo` as declared. */
  readonly info?: Json;
}

/**
 * What a legacy client and this proxy have agreed on with `initialize`. Bound to principal, mount and server by whichever plugin
 * keeps sessions; other plugins put there what they remember of it.
 */
export interface Session extends Slots {
  /** Fit for a log: not what the client sends. */
  readonly id: string;
  readonly client: ClientInfo;
}

/** One server with the public paths that lead to it. */
export interface Mount extends Slots {
  /** The server's name in the configuration. */
  readonly server: string;
  /** The first public path, e.g. `/docs/mcp`. */
  readonly path: string;
  /** Every public path, the first one included. */
  readonly paths: readonly string[];
  /** Public paths of its HTTP+SSE stream (MCP 2024-11-05), for clients of old. */
  readonly ssePaths: readonly string[];
  /** How its server is spoken to. */
  readonly transport: "http" | "sse" | "stdio";
  /** The server's URL without user, password and query, or `stdio`: fit for a log. */
  readonly upstream: string;
  /** Which revisions its server speaks, where the configuration says so. */
  readonly era: Era | "auto";
  /** Who checks the callers' tokens: with `"passthrough"` the server does, and their `Authorization` goes on to it. */
  readonly auth: "passthrough" | undefined;
  /** Names of the header fields that its configuration sets (`headers`), in lower case. No plugin can set them to something else. */
  readonly headerNames: readonly string[];
  /** Its limits in time, with the defaults where its configuration says nothing. */
  readonly timeouts: Readonly<Required<Timeouts>>;
  /** Largest message of its server that is held in memory, in bytes. */
  readonly maxMessageBytes: number;
}

/** What a posted message is, found without parsing it. */
export interface Outline {
  readonly kind: Kind;
  /** The text of `id` as it was posted, quotes included; `undefined` when there is none. */
  readonly idText: string | undefined;
  /** `undefined` for a response. */
  readonly method: string | undefined;
}

/** One HTTP request and its answer, however long the stream. */
export interface Exchange extends Slots {
  /** Unique in this process, and fit for a header and a log. */
  readonly id: string;
  /** `proxy`: a plugin opened it with `app.call`; no client waits for it. `probe`: so, to find out what the server is; nothing translates. */
  readonly origin: "client" | "proxy" | "probe";
  readonly mount: Mount;
  readonly request: RequestHead;
  readonly principal: Principal;
  readonly client: ClientInfo;
  /** Set by the plugin that keeps sessions, in its `request` or `forward` hook; {@link client} then tells what that session began with. */
  session: Session | undefined;
  /** The posted message as the message hooks left it; `undefined` for GET and DELETE, and before it was read (`request` hooks). To change it, return another from a message hook. */
  readonly message: Message | undefined;
  /** The same before any hook saw it, in outline: costs nothing to look at. */
  readonly posted: Outline | undefined;
  /** What was posted, byte for byte, before any hook saw it. Where no hook changes it, it is the body that `forward` hooks are given: compare with `===`. */
  readonly postedBody: Uint8Array | undefined;
  /** An HTTP+SSE client opens its stream with it: the proxy answers, whatever the server offers to listen to. */
  readonly opensChannel: boolean;
  /** The server has been asked. Where it has not, a plugin or the proxy itself answers. */
  readonly asked: boolean;
  readonly log: Logger;
  /** Aborts when the client is gone. What that means for the server is the `forward` hooks' decision. */
  readonly signal: AbortSignal;
  /** For a `forward` hook that answers by itself: calls `run`, once at most, when nobody waits for the answer to `request` any more. */
  whenLeft(request: UpstreamRequest, run: () => void): void;
  /** Calls `run` about every `ms` milliseconds until the exchange ends. One timer serves all exchanges, so the first call may come early. */
  every(ms: number, run: () => void): void;
}

/** How an exchange ended; given to `done`. */
export interface Outcome {
  end: "complete" | "client-gone" | "upstream-broke" | "refused" | "failed";
  /** HTTP status that was, or would have been, sent. */
  status: number;
  /** Body bytes received from and sent to the client. */
  bytesUp: number;
  bytesDown: number;
  /** Duration in milliseconds. */
  ms: number;
  error?: ProxyError;
}

/**
 * A request on its way to the server: already free of client credentials and hop-by-hop headers. The body is whole and
 * bounded, so `next()` may be called again with it.
 */
export interface UpstreamRequest {
  method: "POST" | "GET" | "DELETE";
  headers: Headers;
  body: Message | Uint8Array | null;
  /** Of a plugin's own call: path and query on the server's origin, in place of those of its URL. Such a call passes no hooks: they speak MCP. */
  path?: string;
  /** In place of the server's `timeouts`, for this request. */
  timeouts?: RequestTimeouts;
  /** Ends the upstream leg in place of the client's leaving; a `forward` hook may set it. @default it ends when the client leaves */
  signal?: AbortSignal;
  /**
   * The client has left before the end of its answer: called in place of ending the upstream leg, which `end` does. Without a
   * `signal` only, and cheaper than one. @default `end()`
   */
  left?(end: () => void): void;
}

/** Limits in time of one request to a server, in milliseconds; 0 means none. What is left out is as for all. */
export interface RequestTimeouts {
  /** From the request to the head of the answer. */
  headers?: number;
  /** Between two pieces of an answer that is not an event stream. */
  body?: number;
  /** Between two pieces of an event stream. */
  stream?: number;
  /** From the request to the end of the answer, event streams included. @default 0 */
  total?: number;
}

/** The rest of the onion: inner `forward` hooks, then the server. Rejects with a `ProxyError` when there is no answer. */
export type Next = (request: UpstreamRequest) => Promise<Answer>;

/** The client's side of a byte transform. */
export interface Sink {
  emit(chunk: Uint8Array): void;
  /** Ends the answer well: what was emitted is flushed, then the body ends. */
  end(): void;
  /** Cuts the connection, so that the client can tell that the answer is not whole. */
  cut(reason: ProxyError): void;
  /** The client does not read: bytes wait in this process. */
  readonly blocked: boolean;
  /** The server is not read: the client is slow, or a message hook is at work. */
  readonly paused: boolean;
}

/** Bytes in, bytes out, on the client's side of the message hooks. A missing method passes on what it would have received. */
export interface ByteTransform {
  /** The head has been sent; bytes may be emitted before the first `write`. */
  open?(sink: Sink): void;
  write?(chunk: Uint8Array, sink: Sink): void;
  /** The answer ended well. Must call `sink.end()`. */
  end?(sink: Sink): void;
  /** The proxy stops: bring the answer to its end soon. */
  drain?(sink: Sink): void;
  /** Exactly once, also after an abort. */
  close?(): void;
}

/**
 * A hook on JSON-RPC messages. One message at a time per stream and direction; a slow handler is back-pressure.
 *
 * `filter.method` of a response is the method that it answers; where that is unknown (a resumed stream), every response
 * hook is called. Return nothing for the same bytes · a message, or several, to send instead · a {@link Reply} ·
 * `null` to drop a notification.
 */
export interface MessageHook {
  filter: {
    direction: Direction;
    kind: Kind;
    method?: string | readonly string[];
    era?: Era;
    /**
     * Of responses on their way down: ASCII text that those have which the hook is for. Where all hooks name one, what does not
     * hold it passes unread, and so does a JSON answer of more than 256 KiB; the hook may be shown others all the same.
     */
    text?: string;
  };
  handler(exchange: Exchange, message: Message): Awaitable<Message | readonly Message[] | Reply | null | void>;
}

/** Who may call a route: everybody · whoever the root list's plugins know (everybody where none asks) · local and known callers. */
export type Access = "public" | "principal" | "details";

/** What a route's handler is given: the request, and its body, read within 256 KiB. */
export interface RouteRequest extends RequestHead {
  /** Who asks, where that was established: never on `public` routes. */
  readonly principal: Principal | undefined;
  /** Whoever asks may see details of the servers: a local or a known caller. */
  readonly trusted: boolean;
  /** @throws ProxyError `BODY_TOO_LARGE`, `BODY_TIMEOUT` or `CLIENT_GONE` */
  text(): Promise<string>;
}

/** An HTTP route of a plugin, beside the mounts. HEAD is served by GET; other methods of the path get 405. */
export interface Route {
  method: "GET" | "POST" | "PUT" | "DELETE" | "OPTIONS";
  /** A pathname; `:name` and `**` as in h3. */
  path: string;
  access: Access;
  handler(request: RouteRequest): Awaitable<Answer | Response>;
}

/** On whose behalf a plugin calls a server, and why (for the log). */
export interface CallAs {
  /** @default ANONYMOUS */
  principal?: Principal;
  reason: string;
  /** It is asked what the server is: no hook may answer for it, or translate. @default false */
  probe?: boolean;
}

/** One plugin's view of the proxy. */
export interface App {
  /** The mounts that this plugin applies to. */
  readonly mounts: readonly Mount[];
  readonly log: Logger;
  /** As configured, without trailing slash; {@link RequestHead.publicUrl} is never absent. */
  readonly publicUrl: string | undefined;
  /** The proxy stops: no new work, what is under way is finished. */
  readonly draining: boolean;
  /** What outlives an exchange, and with a shared store the process. Keys begin with the plugin's name. */
  readonly store: Store;
  /** Makes tokens that clients carry and only this proxy, and those with the same secret, can read. */
  readonly sealer: Sealer;
  /** Time limits, at the price of no timer each. */
  readonly deadlines: Deadlines;
  /** Adds a route. @throws ProxyError `PATH_TAKEN` when something else serves it, `BAD_OPTION` when it is not classified */
  route(route: Route): void;
  /** Calls `run` about every `ms` milliseconds until the proxy closes, never twice at once. Does not keep the process alive. */
  every(ms: number, run: () => Awaitable<void>): void;
  /** Adds to what is told about a mount, by `/health` and `penstock doctor`. */
  health(report: (mount: Mount) => Json | void): void;
  /** What all plugins tell about a mount. */
  report(mount: Mount): Json;
  /**
   * Calls a server on behalf of this plugin: a probe, a list, work without a client. Passes the `forward` hooks that come
   * after this plugin, and no other hook (with a `path`, none). Its limit in time is `request.signal`; the answer's body must be read or let go.
   *
   * @param request defaults: POST, no fields but those that the body needs, no limit
   * @throws ProxyError
   */
  call(mount: Mount, request: Partial<UpstreamRequest>, as: CallAs): Promise<Answer>;
}

/** A behaviour. A plain object, made by a factory with typed options. */
export interface Plugin {
  /** The file's name, in kebab-case. */
  name: string;
  /** `pre` plugins come before, `post` plugins after all others. */
  order?: "pre" | "post";
  /** Whether there is anything to do for a server. Where not, it is as if the plugin were not in that server's list. @default every server */
  applies?(server: ServerConfig): boolean;
  /** What an exception in a hook does: `deny` (default) fails that exchange, `skip` goes on without the hook. A thrown `ProxyError` is a verdict, never a failure. */
  onFailure?: "deny" | "skip";
  /** When the proxy is made: change the configuration, or return another. May not change `plugins`. Each plugin sees what the one before left. */
  config?(config: PenstockConfig): PenstockConfig | void;
  /** Once per plugin object, before the first request. */
  setup?(app: App): Awaitable<void>;
  /**
   * Every HTTP request, before routing. Plugins of the root list only. First answer wins.
   *
   * @param added fields set here go out with whatever answers the request, refusals included
   */
  guard?(request: RequestHead, added: Headers): Early;
  /**
   * Who is asking? Every request to a mount or to a route that is not public, before all other hooks. The first principal or
   * answer counts; where a plugin asks and none knows, the request is refused.
   *
   * @param mount `undefined` for a route
   */
  authenticate?(request: RequestHead, mount: Mount | undefined): Awaitable<Principal | Answer | Response | void>;
  /** Header fields that carry credentials for this plugin. They never go on to a server. */
  credentials?: readonly string[];
  /** Before the body is looked at. First answer wins. */
  request?(exchange: Exchange): Awaitable<Early>;
  message?: MessageHook | readonly MessageHook[];
  /** Wraps the call to the server: retry, time limits, caches. Outermost first. */
  forward?(exchange: Exchange, request: UpstreamRequest, next: Next): Promise<Answer>;
  /** Every answer, whoever made it, before its first byte. Last plugin first. */
  response?(exchange: Exchange, answer: Answer): Awaitable<Answer | void>;
  /** A transform for the bytes of this answer, or nothing. Last plugin first. */
  body?(exchange: Exchange, answer: Answer): ByteTransform | void;
  /** No answer could be had, or a plugin failed; only before the head has gone out. Last plugin first, first answer wins. */
  error?(exchange: Exchange, error: ProxyError): Awaitable<Early>;
  /** Once per exchange, at its very end. Observers: all run, and what they throw changes nothing. */
  done?(exchange: Exchange, outcome: Outcome): void;
  /** The proxy closes. All run. */
  close?(): Awaitable<void>;
}

/** What a list of plugins may contain: presets nest, falsy entries vanish. */
export type PluginOption = Plugin | false | null | undefined | "" | 0 | readonly PluginOption[];

/** Limits towards clients. Times are in milliseconds; 0 means none. */
export interface ClientLimits {
  /** For the head of a request, from its first byte or from the connection's beginning. @default 15000 */
  headers?: number;
  /** For each KiB of a posted body, or what is left of it. @default 30000 */
  body?: number;
  /** A client is cut off that takes nothing for this long of what waits for it. @default 60000 */
  write?: number;
  /** Until the next request on a connection. @default 75000 */
  idle?: number;
  /** Connections at a time; more are answered 503. @default what the limit of open files leaves room for */
  connections?: number;
}

/** Limits in time, in milliseconds. 0 means none. */
export interface Timeouts {
  /** TCP and TLS set-up. @default 5000 */
  connect?: number;
  /** From the request to the head of the answer. @default 60000 */
  headers?: number;
  /** The same for `tools/call`, where tools work long before they answer. @default 300000 */
  call?: number;
  /** Between two pieces of an answer that is not an event stream. @default 30000 */
  body?: number;
  /** Between two pieces of an event stream: silence is normal there. @default 0 */
  stream?: number;
}

/** TLS towards a server. Values are PEM text; in a config file also paths, relative to the file. */
export interface TlsOptions {
  ca?: string | string[];
  cert?: string;
  key?: string;
  passphrase?: string;
  /** @default true */
  rejectUnauthorized?: boolean;
}

/** TLS towards clients. Values are PEM text or paths; in a config file paths are relative to the file. */
export interface ListenTls {
  /** The certificate, followed by those of intermediate authorities. */
  cert: string;
  key: string;
  /** Of an encrypted key. */
  passphrase?: string;
}

/** What can be said of every server. */
interface AnyServerConfig {
  /** Public path(s). Without it the plugin `mounts` gives `/{server}/mcp`. */
  path?: string | string[];
  /**
   * Public path(s) of the event stream for HTTP+SSE clients (MCP 2024-11-05); their messages are posted beside it, where `messages`
   * stands in place of the last segment. Without it, and without a `path`, the plugin `mounts` gives `/{server}/sse`.
   */
  ssePath?: string | string[];
  /**
   * Which revisions it speaks: `"legacy"` 2024-11-05 to 2025-11-25, `"modern"` 2026-07-28 and later, and nothing else. Clients of
   * the other era are translated for. @default "auto": it is asked
   */
  era?: Era | "auto";
  /** Added to the root list, for this server only. */
  plugins?: PluginOption;
  timeouts?: Timeouts;
  /** Largest body that a client may post, in bytes. @default 4194304 */
  maxRequestBytes?: number;
  /** Largest JSON answer or single event that is held in memory for a message hook, in bytes. @default 16777216 */
  maxMessageBytes?: number;
}

/** A server that is reached by HTTP. */
export interface HttpServerConfig extends AnyServerConfig {
  /** Its endpoint, e.g. `https://docs.example.com/mcp`; of an HTTP+SSE server its event stream. */
  url: string;
  /** `"http"`: Streamable HTTP. `"sse"`: HTTP+SSE (MCP 2024-11-05). @default "http" */
  transport?: "http" | "sse";
  /** Sent with every request to it, in place of what the client sent under that name. */
  headers?: Record<string, string>;
  /**
   * `"passthrough"`: the server checks the callers' tokens itself, so their `Authorization` goes on to it. For a server that is
   * protected by OAuth, together with the plugin `oauth-relay`. @default a caller's credential never reaches the server
   */
  auth?: "passthrough";
  tls?: TlsOptions;
  command?: undefined;
}

/** A server that is started by a command and speaks over its standard input and output. */
export interface StdioServerConfig extends AnyServerConfig {
  /** A program, found as a shell would find it; no shell reads it. */
  command: string;
  args?: string[];
  /** Added to `HOME`, `LOGNAME`, `PATH`, `SHELL`, `TERM` and `USER`, which is all that it gets of the proxy's own. */
  env?: Record<string, string>;
  /** Where it is started. In a config file relative to the file. @default the proxy's working directory */
  cwd?: string;
  transport?: "stdio";
  /** One process for all sessions, for a server that keeps nothing of a client. @default one process per session */
  shared?: boolean;
  /** A process that nothing was asked of for this long is stopped, in milliseconds; the next request starts another. 0 means never. @default 0 */
  idleTimeout?: number;
  /** Processes at a time; a session more is answered 503. @default 100 */
  maxProcesses?: number;
  url?: undefined;
  headers?: undefined;
  auth?: undefined;
  tls?: undefined;
}

/** One MCP server. */
export type ServerConfig = HttpServerConfig | StdioServerConfig;

/** The configuration. */
export interface PenstockConfig {
  servers: Record<string, ServerConfig>;
  /** Applied to every server. `createPenstock` runs exactly these; the CLI puts `standard()` where the key is absent. */
  plugins?: PluginOption;
  /** Port to listen on; 0 picks a free one. @default 3333 */
  port?: number;
  /** Address to listen on. @default "127.0.0.1" */
  host?: string;
  /** Listen on this Unix socket instead of a port. Only the user who starts the proxy may connect (mode 0600). In a config file relative to the file. */
  socket?: string;
  /** Listen with TLS. */
  tls?: ListenTls;
  clientLimits?: ClientLimits;
  /** How long a stop waits for answers under way, in milliseconds. @default 20000 */
  drainTimeout?: number;
  /** How long a stop still takes new connections while `/readyz` says 503 already, so that load balancers notice first, in milliseconds. @default 0 */
  lameDuck?: number;
  /** Listen on an address that other machines can reach, although no plugin authenticates callers. @default false */
  allowUnauthenticated?: boolean;
  /** Where clients reach this proxy, e.g. `https://mcp.example.com` or `https://example.com/team`. @default what a trusted proxy says, else the request's Host */
  publicUrl?: string;
  /**
   * What sessions are sealed with: 32 characters or more, the same on every replica. Of several the first seals, and all open, so
   * that a new one can be put in front before the old one goes. @default a new one with each start (the CLI keeps one in a file)
   */
  secret?: string | string[];
  /** Where plugins keep what outlives an exchange. The proxy does not close it. @default the memory of this process */
  store?: Store;
  /** Addresses of proxies in front whose forwarding fields count: `"loopback"`, addresses, or CIDR blocks. @default none */
  trustedProxies?: string[];
}
