/** The public names of `mcp-penstock`. */
export { createPenstock } from "./app.ts";
export { ask, describeFailure, mediaType, outageOf } from "./ask.ts";
export type { Call, Reply as CallReply } from "./ask.ts";
export type { Penstock, PenstockOptions } from "./app.ts";
export { collect, discard, empty, fromResponse, json, jsonText, readJson, sse } from "./body/body.ts";
export { EventQueue } from "./body/event-queue.ts";
export type { QueueWatch } from "./body/event-queue.ts";
export { onOneLine } from "./body/event-reader.ts";
export { EventSplitter, events, fromSource, sourceOf, wholeBody } from "./body/events.ts";
export type { Receiver, Source } from "./body/body.ts";
export { hasId, holdsResponse, mayHoldMethod } from "./body/framer.ts";
export { JsonObject } from "./body/json-object.ts";
export type { JsonText } from "./body/json-object.ts";
export { findElements, findMembers, replaceSpans } from "./body/members.ts";
export type { Members, Span, Wanted } from "./body/members.ts";
export { isRecord } from "./body/message.ts";
export { replaceTexts } from "./body/replace.ts";
export type { Replacement } from "./body/replace.ts";
export { parseEvent, writeEvent } from "./body/sse.ts";
export type { ParsedEvent } from "./body/sse.ts";
export { ANONYMOUS, defineConfig, defineState } from "./define.ts";
export { LATEST_LEGACY, META, MODERN, decideEra, eraOf } from "./era.ts";
export type { EraDecision } from "./era.ts";
export { digest } from "./digest.ts";
export { ERRORS, ProxyError, isProxyError } from "./errors.ts";
export type { ErrorCode, ErrorDetails } from "./errors.ts";
export { copyHeaders, isEventStream } from "./headers.ts";
export { createLogger } from "./log.ts";
export type { LogFormat, LogLevel, LogText, Logger, LoggerOptions } from "./log.ts";
export { checkMirrors, decodeMirror, encodeMirror, mirrorsOf } from "./mirrors.ts";
export { messagesPath } from "./paths.ts";
export type { PathClaim } from "./paths.ts";
export { createGuardedFetch } from "./outbound/guarded-fetch.ts";
export type { GuardedFetch, GuardedFetchInit, GuardedFetchOptions } from "./outbound/guarded-fetch.ts";
export { PendingAnswer } from "./pending-answer.ts";
export type { CallEnd, CallOptions, DescribeHead } from "./pending-answer.ts";
export { probeServer, versionsIn } from "./probe.ts";
export type { Probe, ProbeOptions } from "./probe.ts";
export { refusedStream } from "./probe-stream.ts";
export type { Push } from "./probe-stream.ts";
export { isLoopbackAddress, isLoopbackHost, mountUrl } from "./public-url.ts";
export { createRedactor } from "./redact.ts";
export type { Redactor } from "./redact.ts";
export { createSealer } from "./seal.ts";
export type { Sealer } from "./seal.ts";
export { memoryStore } from "./memory-store.ts";
export type { MemoryStoreOptions } from "./memory-store.ts";
export type { LogEntry, LogLimits, Store } from "./store.ts";
export { ServerEras } from "./server-era.ts";
export type { ServerErasOptions } from "./server-era.ts";
export type { PenstockServer, ServeOptions } from "./serve.ts";
export type { Deadline, Deadlines } from "./deadlines.ts";
export type { Driver, DriverHost, OnAbort } from "./upstream/wire.ts";
export type {
  Access,
  Answer,
  App,
  Awaitable,
  Body,
  ByteTransform,
  CallAs,
  ClientInfo,
  ClientLimits,
  Direction,
  Early,
  Era,
  Exchange,
  Frame,
  HttpServerConfig,
  Json,
  Kind,
  ListenTls,
  Message,
  MessageHook,
  Mount,
  Next,
  Outcome,
  Outline,
  PenstockConfig,
  Plugin,
  PluginOption,
  Principal,
  Reply,
  RequestHead,
  RequestTimeouts,
  Route,
  RouteRequest,
  RpcError,
  ServerConfig,
  Session,
  Sink,
  Slots,
  State,
  StdioServerConfig,
  Timeouts,
  TlsOptions,
  UpstreamRequest,
} from "./types.ts";
export { VERSION } from "./version.ts";
