/** One client's view of a channel: POST and GET as a server of Streamable HTTP takes them. */
import { empty } from "../body/body.ts";
import { type Members, findMembers, replaceSpans } from "../body/members.ts";
import { writeMessage } from "../body/message.ts";
import { ProxyError } from "../errors.ts";
import type { Answer, UpstreamRequest } from "../types.ts";
import { keyOf } from "./channel-asked.ts";
import { type CallEnd, PendingAnswer, type DescribeHead } from "../pending-answer.ts";
import type { Channel, Pending } from "./channel.ts";
import type { Holder } from "./channel-holds.ts";
import { Listener } from "./channel-listener.ts";
import type { OnAbort } from "./wire.ts";

/** What a driver sends. */
export type ChannelRequest = Omit<UpstreamRequest, "signal">;

/** What a driver wants to know of one answer. */
export interface PostOptions {
  head?: DescribeHead;
  /** The request has come to its end. */
  ended?: (how: CallEnd) => void;
  /** Whoever asked is gone; a legacy request goes on. */
  left?: () => void;
}

/** Progress tokens of tasks, whose requests have long been answered. */
const MAX_TOKENS = 256;
const LOG_LEVEL = "io.modelcontextprotocol/logLevel";
const UP = {
  id: true,
  method: true,
  params: { requestId: true, task: true, _meta: { progressToken: true, [LOG_LEVEL]: true } },
} as const;

export class ChannelSession {
  readonly #channel: Channel;
  /** In the order they came. */
  readonly #pending = new Set<Pending>();
  readonly #tokens = new Map<number, string>();
  readonly #listener: Listener;
  #over = false;
  /** It asked to be told about resources. */
  subscribes = false;

  constructor(channel: Channel) {
    this.#channel = channel;
    this.#listener = new Listener(channel.holds);
  }

  /** Requests under way. */
  get pending(): number {
    return this.#pending.size;
  }

  /** Somebody listens to what belongs to no request. */
  get listens(): boolean {
    return this.#listener.isOpen;
  }

  /**
   * Sends what a client posted.
   *
   * @returns 202 for notifications and responses; for a request JSON when its response is the first thing that comes, else an event stream
   * @throws ProxyError
   */
  async post(request: ChannelRequest, onAbort: OnAbort, idText?: string, options: PostOptions = {}): Promise<Answer> {
    const { body } = request;
    const bytes =
      body instanceof Uint8Array
        ? Buffer.from(body.buffer, body.byteOffset, body.byteLength)
        : Buffer.from(body === null ? "" : writeMessage(body, idText));
    const text = oneLine(bytes);
    const members = findMembers(text, UP);
    if (!members) throw new ProxyError("INVALID_REQUEST");
    const id = valueOf(text, members, "id");
    const method = valueOf(text, members, "method");
    if (method !== undefined && id !== undefined)
      return this.#request(request, text, members, id, JSON.parse(method) as string, onAbort, options);
    if (method === undefined) await this.#reply(text, id);
    else await this.#notify(text, members, JSON.parse(method) as string);
    return empty(202);
  }

  /** Opens the stream of what belongs to no request. */
  get(onAbort: OnAbort): Answer {
    return this.#listener.open(onAbort);
  }

  /** The client ends it. The server is told to stop what nobody waits for. */
  close(): void {
    if (this.#over) return;
    const left = [...this.#pending];
    this.break(new ProxyError("SESSION_NOT_FOUND", { server: this.#channel.options.server }));
    for (const pending of left) this.#channel.tellCancelled(pending, "The session has ended.");
    this.#channel.close(this);
  }

  /** For the channel. */
  break(error: ProxyError): void {
    if (this.#over) return;
    this.#over = true;
    for (const { call } of this.#pending) call.fail(error);
    this.#listener.end(error.code === "SESSION_NOT_FOUND" ? undefined : error);
  }

  /** For the channel: a request of the server. @returns false when nobody could answer it */
  ask(text: Buffer): boolean {
    return this.#give(text);
  }

  /**
   * For the channel: a notification, for the one stream where it belongs.
   *
   * @param ofNoRequest it is about none, so that the stream of one, which its client may have lost, is second best
   */
  tell(text: Buffer, ofNoRequest: boolean): void {
    if (ofNoRequest && this.#listener.isOpen) this.#listener.push(text);
    else if (!this.#give(text)) this.#listener.keep(text);
  }

  /** For the channel: a notification for everybody. */
  tellAll(text: Buffer): void {
    if (this.#listener.isOpen) this.#listener.push(text);
    else this.#listener.keep(text);
  }

  /** For the channel: the progress token of a task. */
  tokenOf(id: number): string | undefined {
    return this.#tokens.get(id);
  }

  #give(text: Buffer): boolean {
    const [first] = this.#pending;
    const only = this.#pending.size === 1 && first!.call.listens ? first!.call : undefined;
    if (only) only.push([text]);
    else if (this.#listener.isOpen) this.#listener.push(text);
    else {
      const newest = [...this.#pending].findLast(({ call }) => call.listens);
      if (!newest) return false;
      newest.call.push([text]);
    }
    return true;
  }

  async #request(
    { headers, timeouts: own }: ChannelRequest,
    text: Buffer,
    members: Members,
    idText: string,
    method: string,
    onAbort: OnAbort,
    { head, ended, left }: PostOptions,
  ): Promise<Answer> {
    const channel = this.#channel;
    const { server, deadlines, timeouts, kind } = channel.options;
    const id = channel.nextId();
    const token = members.get("params._meta.progressToken");
    const call = new PendingAnswer({
      server,
      deadlines,
      timeouts: {
        headers: own?.headers ?? (method === "tools/call" ? timeouts.call : timeouts.headers),
        stream: own?.stream ?? timeouts.stream,
        total: own?.total ?? 0,
      },
      // In which era a server refuses a handshake is found out from the whole answer.
      streams: method !== "initialize" && takesStreams(headers),
      head,
      onEnd: (how) => {
        channel.remove(pending);
        this.#pending.delete(pending);
        ended?.(how);
        if (how === "timed out") channel.tellCancelled(pending, "The request timed out.");
        else if (pending.token !== undefined && members.has("params.task")) this.#keepToken(id, pending.token);
      },
      onLeft: () => {
        left?.();
        // Only for a modern client that is a cancellation (MCP 2026-07-28, Transports); a legacy one says so if it means it.
        if (kind !== "modern") return;
        call.fail(new ProxyError("CLIENT_GONE", { server }));
        channel.tellCancelled(pending, "The client has left.");
      },
      onFull: () => channel.holds.add(holder),
      onRoom: () => channel.holds.remove(holder),
    });
    const holder: Holder = { call, cut: (error) => call.fail(error) };
    const pending: Pending = {
      id,
      idText,
      method,
      token: token && text.toString("utf8", ...token),
      logs: members.has(`params._meta.${LOG_LEVEL}`),
      session: this,
      call,
    };
    channel.add(pending);
    this.#pending.add(pending);
    if (method === "resources/subscribe") this.subscribes = true;
    const edits = [members.get("id")!, ...(token ? [token] : [])].map((span) => [span, String(id)] as const);
    try {
      const sent = channel.send(Buffer.concat(replaceSpans(text, edits)));
      sent?.catch((cause: unknown) => call.fail(asError(cause, server)));
    } catch (cause) {
      call.fail(asError(cause, server));
    }
    onAbort(() => call.leave());
    return call.answer;
  }

  async #reply(text: Buffer, id: string | undefined): Promise<void> {
    if (id !== undefined && this.#channel.takeAsked(id, this)) return this.#channel.send(text);
    const { log, server } = this.#channel.options;
    log.debug(() => `${server}: dropped an answer to nothing that it asked`);
  }

  async #notify(text: Buffer, members: Members, method: string): Promise<void> {
    if (method !== "notifications/cancelled") return this.#channel.send(text);
    // In 2026-07-28 the end of the answer cancels, and an id says nothing about whose it is.
    if (this.#channel.options.kind === "modern") return;
    const requestId = valueOf(text, members, "params.requestId");
    const key = requestId && keyOf(requestId);
    const pending = [...this.#pending].findLast(({ idText }) => keyOf(idText) === key);
    if (!pending || pending.method === "initialize") return;
    const sent = this.#channel.send(
      Buffer.concat(replaceSpans(text, [[members.get("params.requestId")!, String(pending.id)]])),
    );
    pending.call.cancel();
    return sent;
  }

  #keepToken(id: number, token: string): void {
    this.#tokens.set(id, token);
    if (this.#tokens.size > MAX_TOKENS) this.#tokens.delete(this.#tokens.keys().next().value!);
  }
}

/** RFC 9110 §12.5.1: without the field anything will do. */
function takesStreams(headers: Headers): boolean {
  const accept = headers.get("accept");
  return accept === null || /text\/(?:event-stream|\*)|\*\/\*/i.test(accept);
}

/** Line breaks between the members of a message are blanks; within a string there are none. */
function oneLine(bytes: Buffer): Buffer {
  if (!bytes.includes(0x0a) && !bytes.includes(0x0d)) return bytes;
  const line = Buffer.from(bytes);
  for (let at = 0; at < line.length; at++) if (line[at] === 0x0a || line[at] === 0x0d) line[at] = 0x20;
  return line;
}

function valueOf(text: Buffer, members: Members, path: string): string | undefined {
  const span = members.get(path);
  return span && text.toString("utf8", ...span);
}

function asError(cause: unknown, server: string): ProxyError {
  return cause instanceof ProxyError ? cause : new ProxyError("UPSTREAM_BROKE", { server, cause });
}
