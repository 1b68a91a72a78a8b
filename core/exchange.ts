/**
 * One exchange, start to end. The only file that knows the order of the house:
 *
 *   request hooks ▶ up: read, scan, message hooks ▶ forward onion ▶ driver ▶ server
 *   byte transforms ◀ down: message hooks ◀ response hooks ◀ forward onion ◀ driver ◀
 */
import { type AnyBody, BytesBody, collect, discard, empty, fromResponse, jsonText, onePiece } from "./body/body.ts";
import { SseFramer } from "./body/framer.ts";
import { errorResponse, isReply, replyTo, writeMessage } from "./body/message.ts";
import { Pipe } from "./body/pipe.ts";
import { MessageReader } from "./body/reader.ts";
import { type Scan, ScanError, scan } from "./body/scan.ts";
import { writeEvent } from "./body/sse.ts";
import { ANONYMOUS } from "./define.ts";
import { ProxyError, isProxyError } from "./errors.ts";
import { HeaderList } from "./headers.ts";
import type { MessageRow } from "./hooks.ts";
import type { Logger } from "./log.ts";
import { callHook, showMessage } from "./messages.ts";
import type { MountRuntime } from "./mount.ts";
import { SlotMap } from "./slots.ts";
import type { Answer, ByteTransform, ClientInfo, Early, Exchange, Kind, Message, Next, Outcome, Principal, RequestHead, UpstreamRequest } from "./types.ts";
import { forwardedHeaders } from "./upstream/http.ts";

const NEVER: AbortSignal = new AbortController().signal;

/** A request as a front hands it in. */
export interface Incoming {
  head: RequestHead;
  method: "POST" | "GET" | "DELETE";
  /** Header fields as they came: name, value, name, value … */
  fields: readonly string[];
  /** Reads the posted body, whole and within the mount's limit. @throws ProxyError */
  read(): Promise<Uint8Array>;
}

/** An answer ready to be written: bytes, or a pipe that waits for its outlet. */
export interface Outgoing {
  status: number;
  headers: HeaderList;
  body: Uint8Array | Pipe | null;
}

export class ExchangeRun extends SlotMap implements Exchange {
  readonly mount: MountRuntime;
  readonly principal: Principal = ANONYMOUS;
  message: Message | undefined;
  readonly #incoming: Incoming;
  readonly #startedAt = performance.now();
  #id: string | undefined;
  #client: ClientInfo | undefined;
  #scan: Scan | undefined;
  #row: MessageRow | undefined;
  #gone = false;
  #controller: AbortController | undefined;
  #onGone: (() => void)[] = [];
  #timers: (() => void)[] = [];
  #pipe: Pipe | undefined;
  #reader: MessageReader | undefined;
  #framer: SseFramer | undefined;
  #status = 0;
  #bytesUp = 0;
  #bytesDown = 0;
  #error: ProxyError | undefined;
  #finished = false;

  constructor(mount: MountRuntime, incoming: Incoming) {
    super();
    this.mount = mount;
    this.#incoming = incoming;
  }

  get id(): string {
    return (this.#id ??= crypto.randomUUID());
  }
  get request(): RequestHead {
    return this.#incoming.head;
  }
  get log(): Logger {
    return this.mount.log;
  }
  get client(): ClientInfo {
    return (this.#client ??= this.mount.clients.read(this.request, this.message, this.#owner));
  }
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#gone) this.#controller.abort();
    return this.#controller.signal;
  }
  get #owner(): string {
    return `${this.principal.id}\0${this.mount.server}`;
  }

  every(ms: number, run: () => void): void {
    this.#timers.push(this.mount.timers.every(ms, run));
  }

  /** Runs the exchange up to the answer's head. Never rejects. @param verdict refuses it before any hook but the last ones */
  async run(verdict?: ProxyError): Promise<Outgoing> {
    try {
      if (verdict) throw verdict;
      const { hooks } = this.mount;
      let answer = (hooks.request.length > 0 && (await this.#requestHooks())) || (await this.#up()) || (await this.#forward(this.#upstreamRequest(), 0));
      this.#remember(answer);
      if (hooks.response.length > 0) answer = await this.#responseHooks(answer);
      return await this.#down(answer);
    } catch (cause) {
      return this.#refuse(this.#asError(cause));
    }
  }

  /** The client's side is over. `whole`: everything was handed to it. */
  closed(whole: boolean): void {
    if (this.#finished) return;
    this.#finished = true;
    if (!whole) {
      this.#gone = true;
      this.#controller?.abort();
      for (const leave of this.#onGone) leave();
      this.#pipe?.abort();
    }
    for (const stop of this.#timers) stop();
    if (this.mount.hooks.done.length === 0) return;
    const outcome: Outcome = {
      end: this.#error ? endOf(this.#error) : whole ? "complete" : "client-gone",
      status: this.#status || 499,
      bytesUp: this.#bytesUp,
      bytesDown: this.#pipe?.bytes ?? this.#bytesDown,
      ms: performance.now() - this.#startedAt,
      error: this.#error,
    };
    for (const { plugin, handler } of this.mount.hooks.done) {
      try {
        handler(this, outcome);
      } catch (cause) {
        this.log.error(() => new ProxyError("PLUGIN_FAILED", { plugin: plugin.name, hook: "done", server: this.mount.server, cause }).toLog());
      }
    }
  }

  /** The proxy stops: streams are brought to their end by the transforms that know how. */
  drain(): void {
    this.#pipe?.drain();
  }

  async #requestHooks(): Promise<Answer | undefined> {
    for (const hook of this.mount.hooks.request) {
      let early = callHook(hook, "request", this, () => hook.handler(this));
      if (early instanceof Promise) early = await early;
      if (early) return toAnswer(early);
    }
  }

  /** Reads and checks what was posted, and shows it to the hooks. */
  async #up(): Promise<Answer | undefined> {
    const { hooks } = this.mount;
    if (this.#incoming.method !== "POST") {
      this.#row = hooks.messages("legacy", undefined);
      return;
    }
    const bytes = await this.#incoming.read();
    this.#bytesUp = bytes.length;
    this.#body = bytes;
    try {
      this.#scan = scan(bytes);
    } catch (cause) {
      throw cause instanceof ScanError ? new ProxyError(cause.code, { hint: cause.message, cause }) : cause;
    }
    if (hooks.readsMessages) this.message = JSON.parse(new TextDecoder().decode(bytes)) as Message;
    if (!hooks.hasMessageHooks) return;
    // A posted response has no method: it answers a server's request that went down another stream.
    this.#row = hooks.messages(this.client.era, this.#scan.method);
    if (this.#row.up.length === 0) return;
    const shown = await showMessage(this.#row.up, this, this.message!);
    if (shown === undefined) return;
    if (isReply(shown)) return jsonText(writeMessage(replyTo(this.message!, shown), this.#scan.idText));
    if (shown.length === 0) return empty(202);
    if (shown.length > 1) throw new ProxyError("PLUGIN_FAILED", { plugin: "?", hook: "message", detail: "one posted message became several" });
    this.message = this.#body = shown[0]!;
  }
  #body: Message | Uint8Array | null = null;

  /** A plain object, so that a hook may spread it. Without hooks nobody looks at the signal: the driver is told in a cheaper way. */
  #upstreamRequest(): UpstreamRequest {
    const { method, fields } = this.#incoming;
    const signal = this.mount.hooks.forward.length > 0 ? this.signal : NEVER;
    return { method, headers: forwardedHeaders(fields), body: this.#body, signal };
  }

  /** The onion: the hooks from `i` on, then the driver. */
  #forward(request: UpstreamRequest, i: number): Promise<Answer> {
    const hook = this.mount.hooks.forward[i];
    if (hook) {
      const next: Next = (inner) => this.#forward(inner, i + 1);
      return (async () => (await callHook(hook, "forward", this, () => hook.handler(this, request, next))) ?? next(request))();
    }
    const onAbort = (leave: () => void) => {
      // A forward hook may have put another signal there; without one, the core's own wire from client to server counts.
      if (request.signal !== NEVER) listen(request.signal, leave);
      else if (this.#gone) leave();
      else this.#onGone.push(leave);
    };
    return this.mount.driver.send(request, onAbort, this.#scan?.method, this.#scan?.idText);
  }

  #remember(answer: Answer): void {
    const session = this.message?.method === "initialize" ? answer.headers.get("mcp-session-id") : undefined;
    if (session) this.mount.clients.remember(this.#owner, session, this.client);
    if (this.#incoming.method !== "DELETE") return;
    const ended = this.request.headers.get("mcp-session-id");
    if (ended) this.mount.clients.forget(this.#owner, ended);
  }

  async #responseHooks(answer: Answer): Promise<Answer> {
    for (const hook of this.mount.hooks.response) {
      let changed = callHook(hook, "response", this, () => hook.handler(this, answer));
      if (changed instanceof Promise) changed = await changed;
      if (changed) answer = changed;
    }
    return answer;
  }

  /** Message hooks and byte transforms, then out. */
  async #down(answer: Answer): Promise<Outgoing> {
    const headers = answer.headers instanceof HeaderList ? answer.headers : HeaderList.from(answer.headers);
    let body = answer.body as AnyBody;
    const wants = this.#row?.wants;
    const isStream = headers.get("content-type")?.startsWith("text/event-stream") ?? false;
    const framed = wants !== undefined && body.kind !== "empty" && (isStream ? wants.request || wants.notification || wants.response : wants.response && this.#scan?.kind === "request");
    if (framed) {
      if (headers.has("content-encoding")) throw new ProxyError("UPSTREAM_INVALID", { server: this.mount.server, detail: "a content coding that was not asked for" });
      this.#reader = new MessageReader(wants, (message, kind) => this.#showDown(message, kind));
      if (!isStream) body = await this.#readJson(answer);
    }
    const transforms = this.#transforms({ ...answer, headers });
    this.#status = answer.status;
    if (framed || transforms.length > 0) headers.delete("content-length");
    if (body.kind === "empty" || (body.kind === "bytes" && transforms.length === 0 && !isStream)) return this.#whole(answer.status, headers, body.kind === "bytes" ? body.bytes : null);
    // A small answer is all here by now, and leaves in one write.
    const whole = body.kind === "stream" && !isStream && transforms.length === 0 ? body.source.whole?.() : undefined;
    if (whole) return this.#whole(answer.status, headers, whole);
    const source = body.kind === "bytes" ? onePiece(body.bytes) : body.source;
    if (framed && isStream) this.#framer = new SseFramer(this.#reader!, this.mount.maxMessageBytes);
    this.#pipe = new Pipe({
      source,
      framer: this.#framer,
      transforms,
      lastWords: this.#framer ? (error) => this.#answerPending(error) : undefined,
      onEnd: (error) => {
        if (error && error.code !== "CLIENT_GONE") this.#fail(error);
      },
    });
    if (this.#gone) this.#pipe.abort();
    return { status: answer.status, headers, body: this.#pipe };
  }

  #whole(status: number, headers: HeaderList, bytes: Uint8Array | null): Outgoing {
    if (bytes) headers.set("content-length", String(bytes.length));
    this.#bytesDown = bytes?.length ?? 0;
    return { status, headers, body: bytes };
  }

  async #readJson(answer: Answer): Promise<BytesBody> {
    const bytes = await collect(answer, this.mount.maxMessageBytes);
    if (bytes.length === 0) return new BytesBody(bytes);
    try {
      const messages = await this.#reader!.read(new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes));
      return new BytesBody(messages ? this.#reader!.write(messages) : bytes);
    } catch (error) {
      // An error page has no message to hide; a success that no hook can read is withheld.
      if (answer.status >= 400 && isProxyError(error) && error.code === "UPSTREAM_INVALID") return new BytesBody(bytes);
      throw error;
    }
  }

  #showDown(message: Message, kind: Kind) {
    const finish = (shown: Awaited<ReturnType<typeof showMessage>>) => {
      if (!shown || !isReply(shown)) return shown;
      void this.#answerServer(kind, replyTo(message, shown));
      return [];
    };
    const shown = showMessage(this.#row!.down, this, message);
    return shown instanceof Promise ? shown.then(finish) : finish(shown);
  }

  /** A reply to a server's request goes up as a POST of its own, as if the client had sent it. */
  async #answerServer(kind: Kind, reply: Message): Promise<void> {
    try {
      const headers = forwardedHeaders(this.#incoming.fields);
      headers.set("content-type", "application/json");
      headers.set("accept", "application/json, text/event-stream");
      headers.delete("last-event-id");
      const request: UpstreamRequest = { method: "POST", headers, body: reply, signal: new AbortController().signal };
      const answer = await this.#forward(request, 0);
      discard(answer);
      if (answer.status >= 300) this.log.debug(`${this.mount.server}: the reply to its ${kind} was answered with ${answer.status}`);
    } catch (cause) {
      this.log.warn(() => `${this.mount.server}: the reply to its ${kind} did not arrive: ${this.#asError(cause).toLog()}`);
    }
  }

  #transforms(answer: Answer): ByteTransform[] {
    const transforms: ByteTransform[] = [];
    for (const hook of this.mount.hooks.body) {
      const transform = callHook(hook, "body", this, () => hook.handler(this, answer)) as ByteTransform | undefined;
      if (transform) transforms.push(transform);
    }
    return transforms;
  }

  /** A framed stream never ends without an answer to the posted request: clients would wait for their own time limit. */
  #answerPending(error: ProxyError | undefined): Uint8Array | undefined {
    if (this.#scan?.kind !== "request" || this.#reader!.responded || (!error && this.#framer!.resumable)) return;
    const reason = error ?? new ProxyError("UPSTREAM_BROKE", { server: this.mount.server });
    this.#fail(reason);
    return new TextEncoder().encode(writeEvent(this.#errorText(reason)));
  }

  async #refuse(error: ProxyError): Promise<Outgoing> {
    this.#fail(error);
    let answer: Answer | undefined;
    try {
      for (const hook of this.mount.hooks.error) {
        const early = await callHook(hook, "error", this, () => hook.handler(this, error));
        if (early) {
          answer = toAnswer(early);
          break;
        }
      }
      answer = await this.#responseHooks(answer ?? this.#errorAnswer(error));
    } catch (cause) {
      this.log.error(() => this.#asError(cause).toLog());
      answer = this.#errorAnswer(error);
    }
    this.#status = answer.status;
    const headers = HeaderList.from(answer.headers);
    return this.#whole(answer.status, headers, answer.body.kind === "empty" ? null : await collect(answer));
  }

  #errorAnswer(error: ProxyError): Answer {
    return jsonText(this.#errorText(error), error.status, error.details.headers);
  }

  #errorText(error: ProxyError): string {
    const idText = this.#scan?.kind === "request" ? this.#scan.idText : undefined;
    const id = idText === undefined ? null : (JSON.parse(idText) as string | number);
    return writeMessage(errorResponse(id, { code: error.rpcCode, message: error.message, data: { code: error.code } }), idText);
  }

  #fail(error: ProxyError): void {
    this.#error ??= error;
    const line = () => `${this.mount.server}: ${error.toLog()}`;
    if (endOf(error) === "refused") this.log.debug(line);
    else this.log.warn(line);
  }

  #asError(cause: unknown): ProxyError {
    if (!isProxyError(cause)) return new ProxyError("INTERNAL", { cause });
    const { server } = cause.details;
    return server ? cause : new ProxyError(cause.code, { ...cause.details, server: this.mount.server });
  }
}

/** @throws ProxyError when a hook's answer is none */
function toAnswer(early: Exclude<Early, void>): Answer {
  return early instanceof Response ? fromResponse(early) : early;
}

function listen(signal: AbortSignal, leave: () => void): void {
  if (signal.aborted) leave();
  else signal.addEventListener("abort", leave, { once: true });
}

function endOf(error: ProxyError): Outcome["end"] {
  if (error.code === "CLIENT_GONE") return "client-gone";
  if (error.code.startsWith("UPSTREAM_")) return "upstream-broke";
  return error.code === "PLUGIN_FAILED" || error.code === "INTERNAL" ? "failed" : "refused";
}
