/**
 * One exchange, start to end. The only file that knows the order of the house:
 *
 *   authenticate ▶ request hooks ▶ up: read, scan, message hooks ▶ forward onion ▶ driver ▶ server
 *   byte transforms ◀ down: message hooks ◀ response hooks ◀ forward onion ◀ driver ◀
 */
import { collect, discard, empty, fromResponse, jsonText, watchEnd } from "./body/body.ts";
import { isReply, replyTo, writeMessage } from "./body/message.ts";
import { type Scan, ScanError, scan } from "./body/scan.ts";
import { type DownHost, type Outgoing, sendDown } from "./down.ts";
import { ProxyError } from "./errors.ts";
import { decideEra, eraOf } from "./era.ts";
import { ExchangeState, type Front } from "./exchange-state.ts";
import { HeaderList } from "./headers.ts";
import type { CompiledMessageHook, HookTable } from "./hooks.ts";
import { callHook, showMessage } from "./messages.ts";
import { checkMirrors, renewMirrors } from "./mirrors.ts";
import { unauthenticated } from "./routes.ts";
import type { Answer, Awaitable, Early, Message, Next, UpstreamRequest } from "./types.ts";
import { forwardedHeaders } from "./upstream/fields.ts";

export class ExchangeRun extends ExchangeState implements DownHost {
  /** The message as it was posted, where a hook has changed it. */
  #before: Message | undefined;

  /**
   * Runs the exchange up to the answer's head. Never rejects.
   *
   * @param verdict refuses it before any hook but the last ones
   * @param front takes part where the exchange is one of several of a channel
   */
  async run(verdict?: ProxyError, front?: Front): Promise<Outgoing> {
    this.front = front;
    let answer: Answer | undefined;
    try {
      if (verdict) throw verdict;
      const { hooks } = this.mount;
      let asked: Awaitable<Answer | undefined>;
      answer =
        (hooks.authenticate.length > 0 && (await this.#authenticate())) ||
        front?.admit?.(this.principal) ||
        ((asked = this.#requestHooks()) instanceof Promise ? await asked : asked) ||
        front?.answer?.() ||
        (await this.#up()) ||
        (front?.accept && (await front.accept(this.posted!))) ||
        this.#checkCredential(await this.#forward(this.#upstreamRequest(), 0));
      this.#remember(answer);
      const shown = this.#responseHooks(answer);
      answer = shown instanceof Promise ? await shown : shown;
      const outgoing = sendDown(this, answer);
      return this.leave(outgoing instanceof Promise ? await outgoing : outgoing);
    } catch (cause) {
      // An error takes its place: nobody reads what the server still sends.
      if (answer) discard(answer);
      return this.#refuse(this.asError(cause));
    }
  }

  /** The first plugin that knows the caller decides. Where one asks and none knows, nobody passes. */
  async #authenticate(): Promise<Answer | undefined> {
    for (const hook of this.mount.hooks.authenticate) {
      const found = await callHook(hook, "authenticate", this, () => hook.handler(this.request, this.mount));
      if (found && "id" in found) return void (this.principal = found);
      if (found) return toAnswer(found);
    }
    throw unauthenticated(this.mount.server);
  }

  /** What the server says of the proxy's own credential is no answer to the client, which would log in somewhere else for it. */
  #checkCredential(answer: Answer): Answer {
    const { status, headers } = answer;
    if (this.mount.auth === "passthrough" || (status !== 401 && status !== 403)) return answer;
    if (status === 403 && !headers.has("www-authenticate")) return answer;
    discard(answer);
    throw new ProxyError("UPSTREAM_UNAUTHORIZED", { server: this.mount.server, detail: `HTTP ${status}` });
  }

  /** @returns a promise only where a hook does: most of them look at a field, and have no need to wait */
  #requestHooks(from = 0): Awaitable<Answer | undefined> {
    const { request } = this.mount.hooks;
    for (let i = from; i < request.length; i++) {
      const hook = request[i]!;
      const early = callHook(hook, "request", this, () => hook.handler(this));
      if (early instanceof Promise) return early.then((later) => (later ? toAnswer(later) : this.#requestHooks(i + 1)));
      if (early) return toAnswer(early);
    }
  }

  /** Reads and checks what was posted, and shows it to the hooks. */
  async #up(): Promise<Answer | undefined> {
    const { hooks } = this.mount;
    if (this.incoming.method !== "POST") {
      // MCP 2026-07-28, Transports: there is neither a stream to open nor a session to end.
      if (eraOf(this.request.headers.get("mcp-protocol-version")) === "modern")
        throw new ProxyError("METHOD_NOT_ALLOWED", { headers: { allow: "POST" } });
      this.row = hooks.messages("legacy", undefined);
      return;
    }
    let bytes = this.incoming.read(this.mount.maxRequestBytes);
    if (bytes instanceof Promise) bytes = await bytes;
    this.bytesUp = bytes.length;
    try {
      this.posted = scan(bytes);
    } catch (cause) {
      throw cause instanceof ScanError ? new ProxyError(cause.code, { hint: cause.message, cause }) : cause;
    }
    // Not before the scan: what it refuses is no message, and nobody may read it as one.
    this.body = this.postedBody = bytes;
    // A request hook may have looked when only the headers were known; the body is the truth.
    this.heldClient = undefined;
    if (!hooks.hasMessageHooks) return;
    // A posted response has no method: it answers a server's request that went down another stream.
    this.row = hooks.messages(this.client.era, this.posted.method);
    if (!this.row.up.some((hook) => asksFor(hook, this.posted!))) return;
    const message = this.message!;
    this.#checkHead(message);
    const shown = await showMessage(this.row.up, this, message);
    if (shown === undefined) return;
    if (isReply(shown)) return jsonText(writeMessage(replyTo(message, shown), this.posted.idText));
    if (shown.length === 0) return empty(202);
    if (shown.length > 1)
      throw new ProxyError("PLUGIN_FAILED", {
        plugin: "?",
        hook: "message",
        detail: "one posted message became several",
      });
    this.#before = message;
    this.heldMessage = this.body = shown[0]!;
  }

  /**
   * Where a plugin decides about the message, header fields that mirror it must not tell the server something else. Without such
   * a plugin that is the server's affair.
   */
  #checkHead(message: Message): void {
    const { refusal } = decideEra("POST", this.request.headers, message);
    if (refusal) throw refusal;
    checkMirrors(this.incoming.fields, message, this.client.era);
  }

  /**
   * The way of a plugin's own request: the onion from hook `from` on. The exchange ends with the answer's body.
   *
   * @throws ProxyError
   */
  async call(request: UpstreamRequest, from: number): Promise<Answer> {
    if (request.signal) listen(request.signal, () => this.closed(false));
    this.body = request.body;
    try {
      const answer = await this.#forward(request, from, aboutOf(request.body));
      return { ...answer, body: watchEnd(answer.body, () => this.closed(true)) };
    } catch (cause) {
      this.closed(true);
      throw this.asError(cause);
    }
  }

  /** A plain object, so that a hook may spread it. Without a signal of its own the core tells the driver, which costs less. */
  #upstreamRequest(): UpstreamRequest {
    const { method, fields } = this.incoming;
    const headers = forwardedHeaders(fields, this.mount.fields);
    if (this.#before) renewMirrors(headers, this.#before, this.heldMessage!, this.client.era);
    return { method: method as UpstreamRequest["method"], headers, body: this.body };
  }

  /** The onion: the hooks from `i` on, then the driver. @param about what is known of the message that is sent */
  #forward(request: UpstreamRequest, i: number, about: Partial<Scan> | undefined = this.posted): Promise<Answer> {
    const hook = this.mount.hooks.forward[i];
    if (hook) return this.#forwardThrough(hook, request, i, about);
    this.asked = true;
    return this.mount.driver.send(request, (leave) => this.whenLeft(request, leave), about?.method, about?.idText);
  }

  /** A forward hook may have put a signal there; without one, the core's own wire from client to server counts. */
  whenLeft(request: UpstreamRequest, leave: () => void): void {
    if (request.signal) return listen(request.signal, leave);
    const gone = request.left ? () => request.left!(leave) : leave;
    if (this.gone) gone();
    else this.onGone.push(gone);
  }

  /** One layer of the onion, at the price of two promises. */
  #forwardThrough(
    hook: HookTable["forward"][number],
    request: UpstreamRequest,
    i: number,
    about: Partial<Scan> | undefined,
  ): Promise<Answer> {
    let sent: Promise<Answer> | undefined;
    const inner: Next = (again) => {
      // A hook may send something of its own.
      const known = again.body === request.body ? about : aboutOf(again.body);
      return (sent = this.#forward(again, i + 1, known));
    };
    let called: Awaitable<Answer | undefined>;
    try {
      called = callHook(hook, "forward", this, () => hook.handler(this, request, inner));
    } catch (cause) {
      // Outer hooks wait for a promise.
      return Promise.reject(cause);
    }
    // A hook that is passed over may have called the server already: a call is never delivered a second time for that.
    return Promise.resolve(called).then((answer) => answer ?? sent ?? inner(request));
  }

  #remember(answer: Answer): void {
    // Where a plugin keeps sessions, it also knows what they began with.
    const began = this.posted?.method === "initialize" && this.session === undefined;
    const session = began ? answer.headers.get("mcp-session-id") : undefined;
    if (session) this.mount.clients.remember(this.owner, session, this.client);
    if (this.incoming.method !== "DELETE") return;
    const ended = this.request.headers.get("mcp-session-id");
    if (ended) this.mount.clients.forget(this.owner, ended);
  }

  #responseHooks(answer: Answer, from = 0): Awaitable<Answer> {
    const { response } = this.mount.hooks;
    let current = answer;
    for (let i = from; i < response.length; i++) {
      const hook = response[i]!;
      const changed = callHook(hook, "response", this, () => hook.handler(this, current));
      if (changed instanceof Promise) return changed.then((later) => this.#responseHooks(later ?? current, i + 1));
      current = changed ?? current;
    }
    return current;
  }

  /** A reply to a server's request goes up as a POST of its own, as if the client had sent it. */
  answerServer(reply: Message, idText: string | undefined): void {
    this.#post(reply, idText).catch((cause: unknown) => {
      this.log.warn(
        () => `${this.mount.server}: the reply to its request did not arrive: ${this.asError(cause).toLog()}`,
      );
    });
  }

  async #post(reply: Message, idText: string | undefined): Promise<void> {
    const headers = forwardedHeaders(this.incoming.fields, this.mount.fields);
    headers.set("content-type", "application/json");
    headers.set("accept", "application/json, text/event-stream");
    headers.delete("last-event-id");
    // The server waits for it, whether the client that it asked is still there or not.
    const answer = await this.#forward(
      { method: "POST", headers, body: reply, signal: new AbortController().signal },
      0,
      { idText },
    );
    discard(answer);
    if (answer.status >= 300)
      this.log.warn(() => `${this.mount.server}: the reply to its request was answered with HTTP ${answer.status}`);
  }

  async #refuse(error: ProxyError): Promise<Outgoing> {
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
      this.log.error(() => this.asError(cause).toLog());
      answer = this.#errorAnswer(error);
    }
    this.fail(error, answer.status < 500);
    const body = answer.body.kind === "empty" ? null : await collect(answer);
    return this.leave({ status: answer.status, headers: HeaderList.from(answer.headers), body });
  }

  #errorAnswer(error: ProxyError): Answer {
    return jsonText(this.errorText(error), error.status, error.details.headers);
  }
}

/** @throws ProxyError when a hook's answer is none */
function toAnswer(early: Exclude<Early, void>): Answer {
  return early instanceof Response ? fromResponse(early) : early;
}

/** Whether a hook will be shown what was posted. */
function asksFor({ kind, methods }: CompiledMessageHook, posted: Scan): boolean {
  return kind === posted.kind && (!methods || methods.has(posted.method!));
}

function aboutOf(body: UpstreamRequest["body"]): Partial<Scan> | undefined {
  if (body === null) return undefined;
  if (body instanceof Uint8Array) return scan(body);
  return { method: body.method, idText: body.id === undefined ? undefined : JSON.stringify(body.id) };
}

function listen(signal: AbortSignal, leave: () => void): void {
  if (signal.aborted) leave();
  else signal.addEventListener("abort", leave, { once: true });
}
