/** From an answer to what is written to the client: message hooks on its messages, byte transforms on its bytes. */
import { type AnyBody, BytesBody, collect, onePiece } from "./body/body.ts";
import { SseFramer, holdsResponse, mayHold, mayHoldMethod, namesType } from "./body/framer.ts";
import { isReply, replyTo } from "./body/message.ts";
import { Pipe } from "./body/pipe.ts";
import { MessageReader } from "./body/reader.ts";
import { ResponseWatch } from "./body/response-watch.ts";
import type { Scan } from "./body/scan.ts";
import { asBuffer, endsWithBlankLine, writeEvent } from "./body/sse.ts";
import { ProxyError, isProxyError } from "./errors.ts";
import { HeaderList, isEventStream, isFinalStatus } from "./headers.ts";
import type { MessageRow } from "./hooks.ts";
import { callHook, showMessage } from "./messages.ts";
import type { MountRuntime } from "./mount.ts";
import type { Answer, Awaitable, ByteTransform, Exchange, Message } from "./types.ts";

/** An answer ready to be written: bytes, or a pipe that waits for its outlet. */
export interface Outgoing {
  status: number;
  headers: HeaderList;
  body: Uint8Array | Pipe | null;
}

/** Largest body that is handed over in one piece, in bytes. */
const WHOLE = 256 * 1024;

/** What the way down needs of its exchange. */
export interface DownHost extends Exchange {
  readonly mount: MountRuntime;
  /** The message that was posted, if one was. */
  readonly posted: Scan | undefined;
  /** The message hooks of this exchange, if it has any. */
  readonly row: MessageRow | undefined;
  /** Sends a reply to a server's request. @param idText the id as the server wrote it */
  answerServer(reply: Message, idText: string | undefined): void;
  /** Notes why the exchange ends badly. */
  fail(error: ProxyError): void;
  /** A JSON-RPC error response to the posted message. */
  errorText(error: ProxyError): string;
}

/** @throws ProxyError when a hook must read the answer and cannot */
export function sendDown(exchange: DownHost, answer: Answer): Awaitable<Outgoing> {
  if (!isFinalStatus(answer.status))
    throw new ProxyError("INTERNAL", { detail: `a plugin's answer has the status ${answer.status}` });
  const headers = answer.headers instanceof HeaderList ? answer.headers : HeaderList.from(answer.headers);
  const isStream = isEventStream(headers);
  const body = wholeBody(answer.body as AnyBody);
  const reader = readerFor(exchange, body, isStream, headers);
  if (reader && headers.has("content-encoding")) throw invalid(exchange, "a content coding that was not asked for");
  if (reader && !isStream)
    return readJson(exchange, reader, { ...answer, body }).then(([read, status]) =>
      send(exchange, { status, headers, body: read }, false, undefined),
    );
  return send(exchange, { status: answer.status, headers, body }, isStream, reader);
}

/** A stream that has ended already is bytes, and what looks after open streams has nothing to do: most answers are like that. */
function wholeBody(body: AnyBody): AnyBody {
  const bytes = body.kind === "stream" ? body.source.whole?.() : undefined;
  return bytes === undefined ? body : new BytesBody(bytes);
}

/** A reader, where a hook asks for messages that this answer can hold. */
function readerFor(
  exchange: DownHost,
  body: AnyBody,
  isStream: boolean,
  headers: HeaderList,
): MessageReader | undefined {
  const wants = exchange.row?.wants;
  if (!wants || body.kind === "empty") return;
  // Only an event stream can carry a server's requests and notifications; JSON answers the request that was posted.
  const wanted = isStream
    ? wants.request || wants.notification || wants.response
    : wants.response && exchange.posted?.kind === "request";
  const texts = exchange.row?.texts;
  if (!wanted || (isStream && (!wants.response || texts) && isWholeResponse(body, texts))) return;
  if (!isStream && texts && !mayHoldInJson(body, headers, texts)) return;
  const reader = new MessageReader(wants, (message) => {
    const finish = (shown: Awaited<ReturnType<typeof showMessage>>) => {
      if (!shown || !isReply(shown)) return shown;
      exchange.answerServer(replyTo(message, shown), reader.idText(message));
      return [];
    };
    const shown = showMessage(exchange.row!.down, exchange, message);
    return shown instanceof Promise ? shown.then(finish) : finish(shown);
  });
  return reader;
}

/** The whole stream is here, answers the request, and asks for nothing: most streams are like that, and need no framer. */
function isWholeResponse(body: AnyBody, texts: readonly string[] | undefined): boolean {
  if (body.kind !== "bytes") return false;
  const bytes = asBuffer(body.bytes);
  if (texts && mayHold(bytes, texts)) return false;
  return !mayHoldMethod(bytes) && !namesType(bytes) && endsWithBlankLine(bytes) && holdsResponse(bytes);
}

/** A large answer is not kept in memory for a hook that nearly never has anything to do. */
function mayHoldInJson(body: AnyBody, headers: HeaderList, texts: readonly string[]): boolean {
  if (body.kind === "bytes") return body.bytes.length <= WHOLE && mayHold(asBuffer(body.bytes), texts);
  const length = headers.get("content-length");
  return length !== null && Number(length) <= WHOLE;
}

function send(
  exchange: DownHost,
  answer: { status: number; headers: HeaderList; body: Answer["body"] },
  isStream: boolean,
  reader: MessageReader | undefined,
): Outgoing {
  const { status, headers } = answer;
  const body = answer.body as AnyBody;
  const transforms = transformsFor(exchange, answer);
  // RFC 9110 §8.6: no length where there can be no body.
  if (reader || transforms.length > 0 || status === 204) headers.delete("content-length");
  if (body.kind === "empty") return { status, headers, body: null };
  const watch = reader || !isStream ? undefined : watchFor(exchange, body);
  if (watch) headers.delete("content-length");
  // Without a length of its own a stream gets none from us, however short it is.
  if (transforms.length === 0 && !reader && (!isStream || headers.has("content-length"))) {
    // A small answer is all here by now, and leaves in one write.
    const bytes = body.kind === "bytes" ? body.bytes : undefined;
    if (bytes && status === 204) return { status, headers, body: null };
    // A hook may have changed the body.
    if (bytes) headers.set("content-length", String(bytes.length));
    // A large one waits for its client as a stream does.
    if (bytes && bytes.length <= WHOLE) return { status, headers, body: bytes };
  }
  const framer = reader && new SseFramer(reader, exchange.mount.maxMessageBytes, exchange.row?.texts);
  const pipe = new Pipe({
    source: body.kind === "bytes" ? onePiece(body.bytes) : body.source,
    framer: framer ?? watch,
    transforms,
    stall: exchange.mount.stall,
    lastWords: framer
      ? (error) => answerPending(exchange, framer, reader, error && named(exchange, error))
      : watch && ((error) => answerModern(exchange, watch, error && named(exchange, error))),
    onEnd(error) {
      if (error && error.code !== "CLIENT_GONE") exchange.fail(named(exchange, error));
    },
  });
  return { status, headers, body: pipe };
}

function transformsFor(exchange: DownHost, answer: Answer): ByteTransform[] {
  const transforms: ByteTransform[] = [];
  for (const hook of exchange.mount.hooks.body) {
    const transform = callHook(hook, "body", exchange, () => hook.handler(exchange, answer)) as
      | ByteTransform
      | undefined;
    if (transform) transforms.push(transform);
  }
  return transforms;
}

async function readJson(
  exchange: DownHost,
  reader: MessageReader,
  answer: Answer,
): Promise<readonly [BytesBody, status: number]> {
  const { status } = answer;
  const bytes = await collect(answer, exchange.mount.maxMessageBytes);
  if (bytes.length === 0) return [new BytesBody(bytes), status];
  try {
    const messages = await reader.read(new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes));
    if (!messages) return [new BytesBody(bytes), status];
    // MCP 2026-07-28, Server Features, "Missing required client capability": the error has a status of its own.
    const isInability = status === 200 && messages.some(({ error }) => error?.code === -32021);
    return [new BytesBody(reader.write(messages)), isInability ? 400 : status];
  } catch (error) {
    // An error page has no message to hide; a success that no hook can read is withheld.
    if (answer.status >= 400 && isProxyError(error) && error.code === "UPSTREAM_INVALID")
      return [new BytesBody(bytes), status];
    throw error;
  }
}

/** A framed stream never ends without an answer to the posted request: clients would wait for their own time limit. */
function answerPending(
  exchange: DownHost,
  framer: SseFramer,
  reader: MessageReader,
  error: ProxyError | undefined,
): Uint8Array | undefined {
  // The request counts as answered: clients that go by the standard must see that answer too.
  if (!error && framer.endsOpen) return new TextEncoder().encode("\n\n");
  if (exchange.posted?.kind !== "request" || reader.responded || (!error && framer.resumable)) return;
  const reason =
    error ??
    new ProxyError("UPSTREAM_BROKE", { server: exchange.mount.server, detail: "the stream ended without a response" });
  exchange.fail(reason);
  return new TextEncoder().encode((framer.unfinished ? "\n\n" : "") + writeEvent(exchange.errorText(reason)));
}

/**
 * MCP 2026-07-28, Streamable HTTP: a stream cannot be resumed, so it never ends without an answer to its request: clients would
 * wait for their own time limit.
 */
function watchFor(exchange: DownHost, body: AnyBody): ResponseWatch | undefined {
  if (exchange.posted?.kind !== "request" || exchange.client.era !== "modern") return;
  if (body.kind === "bytes" && holdsResponse(asBuffer(body.bytes))) return;
  return new ResponseWatch();
}

function answerModern(exchange: DownHost, watch: ResponseWatch, error: ProxyError | undefined): Uint8Array | undefined {
  if (watch.responded) return;
  const { server } = exchange.mount;
  const reason = error ?? new ProxyError("UPSTREAM_BROKE", { server, detail: "the stream ended without a response" });
  exchange.fail(reason);
  return new TextEncoder().encode((watch.unfinished ? "\n\n" : "") + writeEvent(exchange.errorText(reason)));
}

/** Parts of the way do not know for which server they work; the client is told. */
function named(exchange: DownHost, error: ProxyError): ProxyError {
  const { server } = exchange.mount;
  return error.details.server === undefined ? new ProxyError(error.code, { ...error.details, server }) : error;
}

function invalid(exchange: DownHost, detail: string): ProxyError {
  return new ProxyError("UPSTREAM_INVALID", { server: exchange.mount.server, detail });
}
