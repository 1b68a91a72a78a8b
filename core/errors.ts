/** One row of the code table. */
interface ErrorRow {
  /** HTTP status when no byte of the answer has gone out. */
  status: number;
  /** JSON-RPC code. Own codes lie outside -32768…-32000, which JSON-RPC and MCP reserve: -31000 minus the status. */
  rpc: number;
  /** What is shown. `{server}` and `{plugin}` are filled in. */
  text: string;
}

/** Every code there is. */
export type ErrorCode =
  | "BAD_CONFIG"
  | "BAD_OPTION"
  | "PATH_TAKEN"
  | "UNAUTHENTICATED"
  | "INVALID_CREDENTIAL"
  | "INSUFFICIENT_SCOPE"
  | "ISSUER_UNAVAILABLE"
  | "FORBIDDEN"
  | "FORBIDDEN_HOST"
  | "FORBIDDEN_ORIGIN"
  | "INVALID_TARGET"
  | "INVALID_HTTP"
  | "HTTP_VERSION"
  | "TARGET_TOO_LONG"
  | "HEAD_TOO_LARGE"
  | "HEAD_TIMEOUT"
  | "EXPECTATION_FAILED"
  | "OVERLOADED"
  | "NOT_FOUND"
  | "METHOD_NOT_ALLOWED"
  | "UNSUPPORTED_MEDIA_TYPE"
  | "BODY_TOO_LARGE"
  | "BODY_TIMEOUT"
  | "PARSE_ERROR"
  | "HEADER_MISMATCH"
  | "INVALID_REQUEST"
  | "INVALID_ENVELOPE"
  | "INVALID_REQUEST_STATE"
  | "CLIENT_GONE"
  | "INVALID_SESSION"
  | "SESSION_NOT_FOUND"
  | "SESSION_REQUIRED"
  | "TOO_MANY_SESSIONS"
  | "SESSIONS_EXHAUSTED"
  | "EVENT_NOT_FOUND"
  | "ANSWER_LOST"
  | "STORE_FULL"
  | "RATE_LIMITED"
  | "LOOP_DETECTED"
  | "PLUGIN_FAILED"
  | "INTERNAL"
  | "STOPPING"
  | "UPSTREAM_UNREACHABLE"
  | "UPSTREAM_TLS"
  | "UPSTREAM_CONNECT_TIMEOUT"
  | "UPSTREAM_TIMEOUT"
  | "UPSTREAM_SILENT"
  | "UPSTREAM_BROKE"
  | "UPSTREAM_INVALID"
  | "UPSTREAM_TOO_LARGE"
  | "UPSTREAM_REDIRECT"
  | "UPSTREAM_UNAUTHORIZED"
  | "UPSTREAM_TOKEN_REFUSED"
  | "UPSTREAM_TOKEN_UNAVAILABLE"
  | "NO_UPSTREAM_TOKEN"
  | "OUTBOUND_FAILED"
  | "LOGIN_REQUIRED"
  | "SERVER_START_FAILED"
  | "SERVER_BUSY"
  | "SERVER_LOST_SESSION"
  | "SERVER_SUSPENDED"
  | "STALLED_CLIENT";

const table: Record<ErrorCode, ErrorRow> = {
  BAD_CONFIG: { status: 500, rpc: -32603, text: "The configuration is not valid." },
  BAD_OPTION: { status: 500, rpc: -32603, text: "An option of {plugin} is not valid." },
  PATH_TAKEN: { status: 500, rpc: -32603, text: "Two claims on one path." },
  UNAUTHENTICATED: {
    status: 401,
    rpc: -31401,
    text: "This proxy wants to know who is asking, and no credential was accepted.",
  },
  INVALID_CREDENTIAL: {
    status: 400,
    rpc: -32600,
    text: "The Authorization field is malformed. Send one: `Authorization: Bearer TOKEN`.",
  },
  INSUFFICIENT_SCOPE: {
    status: 403,
    rpc: -31403,
    text: "The credential does not allow this at server '{server}'. Log in again, for the scopes that WWW-Authenticate names.",
  },
  ISSUER_UNAVAILABLE: {
    status: 503,
    rpc: -31503,
    text: "Tokens cannot be checked now, because their authorization server does not answer. Try again.",
  },
  FORBIDDEN: {
    status: 403,
    rpc: -31403,
    text: "This is shown to callers on the proxy's own machine, and to callers with a credential.",
  },
  FORBIDDEN_HOST: {
    status: 403,
    rpc: -31403,
    text: "This proxy is not known under the Host of the request. Add it to the option `hosts` of the plugin host-guard.",
  },
  FORBIDDEN_ORIGIN: {
    status: 403,
    rpc: -31403,
    text: "Web pages of this Origin may not call this proxy. Add it to the option `origins` of the plugin host-guard.",
  },
  INVALID_TARGET: {
    status: 400,
    rpc: -32600,
    text: "The request line or the Host field is not valid, or can be read in two ways.",
  },
  INVALID_HTTP: { status: 400, rpc: -32600, text: "This is not HTTP/1.1, or it can be read in two ways." },
  HTTP_VERSION: { status: 505, rpc: -31505, text: "Only HTTP/1.1 and HTTP/1.0 are spoken here." },
  TARGET_TOO_LONG: { status: 414, rpc: -31414, text: "The request line is longer than 8 KiB." },
  HEAD_TOO_LARGE: { status: 431, rpc: -31431, text: "The header fields are more than 200, or larger than 16 KiB." },
  HEAD_TIMEOUT: { status: 408, rpc: -31408, text: "The header fields did not arrive in time." },
  EXPECTATION_FAILED: { status: 417, rpc: -31417, text: "No expectation but 100-continue can be met." },
  OVERLOADED: { status: 503, rpc: -31503, text: "The proxy has as many connections as it can hold. Try again." },
  NOT_FOUND: {
    status: 404,
    rpc: -31404,
    text: "Nothing is served here. Servers are reached at /{server}/mcp; `penstock routes` lists the paths.",
  },
  METHOD_NOT_ALLOWED: { status: 405, rpc: -31405, text: "This HTTP method is not served here." },
  UNSUPPORTED_MEDIA_TYPE: {
    status: 415,
    rpc: -31415,
    text: "The body of a POST must be application/json, without content coding.",
  },
  BODY_TOO_LARGE: {
    status: 413,
    rpc: -31413,
    text: "The posted message is larger than this server's limit (maxRequestBytes).",
  },
  BODY_TIMEOUT: { status: 408, rpc: -31408, text: "The posted message did not arrive in time." },
  PARSE_ERROR: { status: 400, rpc: -32700, text: "The body is not one valid JSON text in UTF-8." },
  HEADER_MISMATCH: { status: 400, rpc: -32020, text: "A header says something else than the body." },
  INVALID_REQUEST: { status: 400, rpc: -32600, text: "The body is not one JSON-RPC 2.0 message." },
  INVALID_ENVELOPE: {
    status: 400,
    rpc: -32602,
    text: "The metadata that every request of this protocol revision carries (params._meta) is missing or not valid.",
  },
  INVALID_REQUEST_STATE: {
    status: 400,
    rpc: -32602,
    text: "No call of this client waits under this requestState: it was used, it has expired, or it belongs to another request. Call again without requestState.",
  },
  CLIENT_GONE: { status: 499, rpc: -32603, text: "The client left before there was an answer." },
  INVALID_SESSION: {
    status: 400,
    rpc: -32600,
    text: "Mcp-Session-Id is no session id: those are 1 to 8192 visible ASCII characters.",
  },
  SESSION_NOT_FOUND: {
    status: 404,
    rpc: -32001,
    text: "This session is not known here, or has ended. Begin a new one with initialize.",
  },
  SESSION_REQUIRED: {
    status: 400,
    rpc: -32000,
    text: "Server '{server}' keeps a session for each client: begin with initialize, or add the plugin sessions.",
  },
  TOO_MANY_SESSIONS: {
    status: 429,
    rpc: -31429,
    text: "This caller has as many sessions with server '{server}' as one may have. End some of them, or wait.",
  },
  SESSIONS_EXHAUSTED: {
    status: 503,
    rpc: -31503,
    text: "There are as many sessions with server '{server}' as it may have. Try again.",
  },
  EVENT_NOT_FOUND: {
    status: 400,
    rpc: -32600,
    text: "Last-Event-ID names no event that is kept for this session. Open a new stream without it.",
  },
  STORE_FULL: {
    status: 503,
    rpc: -31503,
    text: "The proxy keeps as much as its store may hold. Try again.",
  },
  ANSWER_LOST: {
    status: 502,
    rpc: -32603,
    text: "The proxy was restarted, or is another one, and the answer to this call is lost. The call may have run.",
  },
  RATE_LIMITED: { status: 429, rpc: -31429, text: "Too many requests for server '{server}'." },
  LOOP_DETECTED: {
    status: 508,
    rpc: -31508,
    text: "The request has been here before: the url of server '{server}' leads back to this proxy.",
  },
  PLUGIN_FAILED: {
    status: 500,
    rpc: -32603,
    text: "Plugin '{plugin}' failed; the request to server '{server}' was refused. The log of the proxy has the cause.",
  },
  INTERNAL: { status: 500, rpc: -32603, text: "The proxy failed. Its log has the cause." },
  STOPPING: { status: 503, rpc: -31503, text: "The proxy is stopping. Try again." },
  UPSTREAM_UNREACHABLE: {
    status: 502,
    rpc: -32603,
    text: "Server '{server}' cannot be reached. Check that it runs and that its url is right.",
  },
  UPSTREAM_TLS: {
    status: 502,
    rpc: -32603,
    text: "No secure connection to server '{server}': its certificate was not accepted, or it does not speak TLS. See `tls` in its configuration.",
  },
  UPSTREAM_CONNECT_TIMEOUT: {
    status: 504,
    rpc: -32603,
    text: "Server '{server}' did not accept a connection in time (timeouts.connect).",
  },
  UPSTREAM_TIMEOUT: {
    status: 504,
    rpc: -32603,
    text: "Server '{server}' did not answer in time (timeouts.headers, timeouts.call).",
  },
  UPSTREAM_SILENT: {
    status: 504,
    rpc: -32603,
    text: "Server '{server}' stopped in the middle of its answer (timeouts.body, timeouts.stream).",
  },
  UPSTREAM_BROKE: {
    status: 502,
    rpc: -32603,
    text: "Server '{server}' closed the connection before its answer was complete. The call may have run.",
  },
  UPSTREAM_INVALID: {
    status: 502,
    rpc: -32603,
    text: "Server '{server}' answered with something that is not valid HTTP, or not the JSON or event stream that MCP asks for.",
  },
  UPSTREAM_TOO_LARGE: {
    status: 502,
    rpc: -32603,
    text: "Server '{server}' sent a message larger than a plugin may read (maxMessageBytes).",
  },
  UPSTREAM_REDIRECT: {
    status: 502,
    rpc: -32603,
    text: "Server '{server}' redirects elsewhere. Put the final URL into its configuration.",
  },
  UPSTREAM_UNAUTHORIZED: {
    status: 502,
    rpc: -32603,
    text: "Server '{server}' did not accept the proxy's credential, or wants one. Set it in `headers`, or have the plugin oauth-client get it; where callers log in at the server themselves, set `auth: \"passthrough\"` and add the plugin oauth-relay.",
  },
  UPSTREAM_TOKEN_REFUSED: {
    status: 502,
    rpc: -32603,
    text: "The proxy got no access token for server '{server}': its authorization server gave none that can be used.",
  },
  UPSTREAM_TOKEN_UNAVAILABLE: {
    status: 503,
    rpc: -31503,
    text: "The proxy got no access token for server '{server}': its authorization server cannot be reached, or is in trouble. Try again.",
  },
  NO_UPSTREAM_TOKEN: {
    status: 403,
    rpc: -31403,
    text: "The proxy has no access token of this caller for server '{server}'.",
  },
  OUTBOUND_FAILED: {
    status: 502,
    rpc: -32603,
    text: "What a login needs could not be fetched from where it should be, or was refused. The log of the proxy has the cause.",
  },
  LOGIN_REQUIRED: {
    status: 401,
    rpc: -31401,
    text: "Server '{server}' wants a login.",
  },
  SERVER_START_FAILED: {
    status: 502,
    rpc: -32603,
    text: "Server '{server}' could not be started. Check its command, args and env; the log and /health have what it wrote.",
  },
  SERVER_BUSY: {
    status: 503,
    rpc: -31503,
    text: "Server '{server}' does not read what is sent to it. Try again.",
  },
  SERVER_LOST_SESSION: {
    status: 503,
    rpc: -31503,
    text: "Server '{server}' had lost its session, and a new one was opened. This call did not run: call again.",
  },
  SERVER_SUSPENDED: {
    status: 503,
    rpc: -31503,
    text: "Server '{server}' failed several times in a row and is left alone for a moment. Try again.",
  },
  STALLED_CLIENT: { status: 499, rpc: -32603, text: "The client stopped reading its stream." },
};

/** The code table; documentation and tests are made from it. */
export const ERRORS: Readonly<Record<ErrorCode, Readonly<ErrorRow>>> = table;

/** What belongs to one occurrence of an error. */
export interface ErrorDetails {
  server?: string;
  plugin?: string;
  hook?: string;
  /** Added to the message that the client sees: no secret, no internal host. */
  hint?: string;
  /** For the log only. */
  detail?: string;
  /** Of a server that broke off: bytes of its answer had come. */
  answered?: boolean;
  /** Headers of the answer, e.g. `retry-after`. */
  headers?: Record<string, string>;
  cause?: unknown;
}

/**
 * The one error of Penstock. Thrown by a plugin it is a verdict, and becomes the answer.
 * Recognise it with {@link isProxyError}, not `instanceof`: two copies of the package may meet in one process.
 */
export class ProxyError extends Error {
  override readonly name: string = "ProxyError";
  readonly code: ErrorCode;
  readonly status: number;
  readonly rpcCode: number;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, details: ErrorDetails = {}) {
    const row = table[code];
    const { server, plugin } = details;
    let { text } = row;
    if (server !== undefined) text = text.replace("'{server}'", `'${server}'`);
    if (plugin !== undefined) text = text.replace("'{plugin}'", `'${plugin}'`).replace("{plugin}", plugin);
    super(details.hint ? `${text} ${details.hint}` : text, { cause: details.cause });
    this.code = code;
    this.status = row.status;
    this.rpcCode = row.rpc;
    this.details = details;
  }

  /** What the log shows: the message, then detail and cause, which clients never see. */
  toLog(): string {
    const { plugin, hook, detail, cause } = this.details;
    const where = plugin ? ` [${hook ? `${plugin}.${hook}` : plugin}]` : "";
    const why = [detail, textOf(cause)].filter(Boolean).join(": ");
    return `${this.code}${where}: ${this.message}${why ? ` (${why})` : ""}`;
  }
}

/** The log line for a hook that failed where no request depends on it: `done`, `close`, `every`. */
export function describeAside(plugin: string, hook: string, cause: unknown): string {
  return `PLUGIN_FAILED [${plugin}.${hook}]: Plugin '${plugin}' failed; no request was refused for that. (${textOf(cause)})`;
}

function textOf(cause: unknown): unknown {
  return cause instanceof Error ? ((cause as { code?: string }).code ?? cause.message) : cause;
}

/** Whether a caught value is a {@link ProxyError}, from whichever copy of the package. */
export function isProxyError(error: unknown): error is ProxyError {
  return error instanceof Error && error.name === "ProxyError" && "rpcCode" in error;
}
