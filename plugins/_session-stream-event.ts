import {
  type Message,
  ProxyError,
  findMembers,
  hasId,
  holdsResponse,
  isRecord,
  mayHoldMethod,
  parseEvent,
  replaceSpans,
  writeEvent,
} from "../core/index.ts";

const LF = 0x0a;
const CR = 0x0d;
const encoder = new TextEncoder();

/** One event of a server, as far as its session is concerned. */
export interface StreamEvent {
  /** What goes on to the client, without the server's event id; nothing where the event only speaks to whoever resumes. */
  bytes: Uint8Array | undefined;
  /** The server's event id (WHATWG HTML §9.2.6). */
  id?: string;
  /** What the server says how long to wait before it is asked again, in milliseconds. */
  retry?: number;
  /** Nothing but a sign of life: not kept. */
  isComment: boolean;
  /** It answers a request of the client. */
  responds: boolean;
  /** The question that it carries, by its id for the client. */
  question?: string;
}

/** Gives a server's requests ids of the session's own. */
export interface Renaming {
  /** @param idText as the server wrote it @returns the id for the client; nothing where the question cannot be put */
  ask(idText: string, method: string): string | undefined;
  /** The server takes a question back. @returns its id for the client, where it is open */
  takeBack(idText: string): string | undefined;
}

/** @param bytes one event with its end @returns nothing for a blank line */
export function readEvent(bytes: Buffer, renaming: Renaming): StreamEvent | undefined {
  if (bytes.length <= 2 && bytes.every((byte) => byte === LF || byte === CR)) return undefined;
  const event: StreamEvent = { bytes, isComment: false, responds: false };
  if (hasFields(bytes)) readFields(bytes, event);
  if (event.bytes === undefined || event.isComment) return event;
  if (!mayNameRequest(bytes)) return event;
  if (mayHoldMethod(bytes)) readMethod(bytes, event, renaming);
  else event.responds = holdsResponse(bytes);
  return event;
}

/** Whether all events that begin and end in these bytes have nothing but data, which names no request. */
export function isPlainChunk(chunk: Uint8Array): boolean {
  const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
  const start = bytes.toString("latin1", 0, 6);
  if (!start.startsWith("data:") && !start.startsWith("event:")) return false;
  // An id, a time to wait, a comment, or another line end.
  return (
    !bytes.includes("\nid") &&
    !bytes.includes("\nretry") &&
    !bytes.includes("\n:") &&
    !bytes.includes(CR) &&
    !mayNameRequest(bytes)
  );
}

/** Whether there may be an `id` or a `requestId`: most events of a long stream have neither, and need no parsing. */
function mayNameRequest(bytes: Buffer): boolean {
  return bytes.includes('id"') || bytes.includes('Id"') || bytes.includes("\\u00");
}

/** Whether a line may say something else than `data` and `event`: found without taking the event apart. */
function hasFields(bytes: Buffer): boolean {
  const start = bytes.toString("latin1", 0, 6);
  if (!start.startsWith("data") && !start.startsWith("event")) return true;
  return hasId(bytes);
}

function readFields(bytes: Buffer, event: StreamEvent): void {
  const { data, others } = parseEvent(bytes.toString(), false);
  let hasName = false;
  for (const line of others) {
    const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line)!;
    if (field === "id" && !value!.includes("\0")) event.id = value;
    else if (field === "retry" && /^\d+$/.test(value!)) event.retry = Number(value);
    if (field !== "") hasName = true;
  }
  event.isComment = data === undefined && !hasName;
  if (event.isComment) return;
  // MCP 2025-11-25, Transports: an id with empty data only says from where to resume.
  if (data === undefined || (data === "" && event.id !== undefined)) event.bytes = undefined;
  else if (event.id !== undefined) event.bytes = withoutId(bytes);
}

/** The same bytes without the lines that have an id. */
function withoutId(bytes: Buffer): Uint8Array {
  const text = bytes.toString("latin1");
  return Buffer.from(text.replace(/(?<=^|[\n\r])id(?::[^\n\r]*)?(?:\r\n|\n|\r)/g, ""), "latin1");
}

function readMethod(bytes: Buffer, event: StreamEvent, renaming: Renaming): void {
  const { data, event: type, others } = parseEvent(bytes.toString(), false);
  if (data === undefined || type !== "message") return;
  let json: unknown;
  try {
    json = JSON.parse(data);
  } catch {
    // Whoever reads messages says what is wrong with it.
    return;
  }
  // 2025-03-26 servers may send a batch.
  const renamed = Array.isArray(json) ? renameAll(json, event, renaming) : rename(json, data, event, renaming);
  if (renamed === undefined) return;
  const rest = others.filter((line) => !/^id(?::|$)/.test(line));
  // Line breaks stand between tokens only.
  event.bytes = renamed === "" ? undefined : encoder.encode(writeEvent(renamed.replaceAll("\n", " "), rest));
}

/** @returns the text to send instead: none for the same, an empty one to leave it out */
function rename(json: unknown, text: string, event: StreamEvent, renaming: Renaming): string | undefined {
  if (!isRecord(json)) return undefined;
  const message = json as unknown as Message;
  if (typeof message.method !== "string") {
    event.responds ||= message.result !== undefined || message.error !== undefined;
    return undefined;
  }
  const isRequest = message.id !== undefined;
  if (!isRequest && message.method !== "notifications/cancelled") return undefined;
  const bytes = Buffer.from(text);
  const span = isRequest
    ? findMembers(bytes, { id: true })?.get("id")
    : findMembers(bytes, { params: { requestId: true } })?.get("params.requestId");
  const idText = span && bytes.toString("utf8", ...span);
  // Neither a text nor a number: nobody can answer it.
  if (idText === undefined || !/^["\d-]/.test(idText)) return undefined;
  const id = isRequest ? renaming.ask(idText, message.method) : renaming.takeBack(idText);
  if (id === undefined) return isRequest ? "" : undefined;
  if (isRequest) event.question = id;
  return Buffer.concat(replaceSpans(bytes, [[span!, JSON.stringify(id)]])).toString();
}

function renameAll(batch: unknown[], event: StreamEvent, renaming: Renaming): string | undefined {
  let changed = false;
  const texts = batch.map((element) => {
    const text = JSON.stringify(element);
    const renamed = rename(element, text, event, renaming);
    changed ||= renamed !== undefined;
    return renamed ?? text;
  });
  return changed ? `[${texts.filter((text) => text !== "").join(",")}]` : undefined;
}

/** A message with another id. What else stands in posted bytes stays as it is. @param idText in place of the id */
export function withId(message: Message | Uint8Array, idText: string): Uint8Array {
  const bytes = Buffer.from(message instanceof Uint8Array ? message : JSON.stringify(message));
  const span = findMembers(bytes, { id: true })?.get("id");
  return span ? Buffer.concat(replaceSpans(bytes, [[span, idText]])) : bytes;
}

/** An error response. @param idText of the request, as it was written */
export function errorText(idText: string, code: number, message: string, data?: object): string {
  return `{"jsonrpc":"2.0","id":${idText},"error":${JSON.stringify({ code, message, data })}}`;
}

/** An error response to a call, as an event. @param server its name, for the message */
export function errorEvent(idText: string, { code, details }: ProxyError, server: string): Uint8Array {
  const { rpcCode, message } = new ProxyError(code, { ...details, server });
  return encoder.encode(`data: ${errorText(idText, rpcCode, message, { code })}\n\n`);
}
