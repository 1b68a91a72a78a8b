/** What an exchange knows and how it ends; the way that it goes is in `exchange.ts`. */
import { errorResponse, writeMessage } from "./body/message.ts";
import { Pipe } from "./body/pipe.ts";
import type { Scan } from "./body/scan.ts";
import { mentionsClient } from "./clients.ts";
import { ANONYMOUS } from "./define.ts";
import type { Outgoing } from "./down.ts";
import { ProxyError, describeAside, isProxyError } from "./errors.ts";
import type { MessageRow } from "./hooks.ts";
import type { Logger } from "./log.ts";
import type { MountRuntime } from "./mount.ts";
import { SlotMap } from "./slots.ts";
import type {
  Answer,
  Awaitable,
  ClientInfo,
  Exchange,
  Message,
  Outcome,
  Principal,
  RequestHead,
  Session,
  UpstreamRequest,
} from "./types.ts";

/** A request as a front hands it in. */
export interface Incoming extends RequestHead {
  /** name, value, name, value … as they came; names in lower case. */
  readonly fields: readonly string[];
  /** Reads the posted body, whole. @param limit in bytes @throws ProxyError */
  read(limit: number): Awaitable<Uint8Array>;
}

/** What a front adds whose clients have one channel, and not an answer for each message. */
export interface Front {
  /** It is known who asks, and nothing else has been done. @throws ProxyError */
  admit?(principal: Principal): void;
  /** Answers in place of the server. What was posted is not read. @throws ProxyError */
  answer?(): Answer;
  /** The message has passed every hook, and goes to the server next. @throws ProxyError */
  accept?(posted: Scan): Awaitable<void>;
  /** Something is under way that a stop waits for. */
  readonly isBusy?: boolean;
}

export abstract class ExchangeState extends SlotMap implements Exchange {
  readonly mount: MountRuntime;
  readonly origin: Exchange["origin"];
  principal: Principal = ANONYMOUS;
  protected readonly incoming: Incoming;
  readonly #startedAt = performance.now();
  #id: string | undefined;
  protected heldClient: ClientInfo | undefined;
  #session: Session | undefined;
  posted: Scan | undefined;
  postedBody: Uint8Array | undefined;
  row: MessageRow | undefined;
  protected gone = false;
  #controller: AbortController | undefined;
  protected onGone: (() => void)[] = [];
  #timers: (() => void)[] = [];
  protected outgoing: Outgoing | undefined;
  protected front: Front | undefined;
  protected body: Message | Uint8Array | null = null;
  protected heldMessage: Message | undefined;
  protected bytesUp = 0;
  #error: ProxyError | undefined;
  asked = false;
  #finished = false;

  constructor(mount: MountRuntime, incoming: Incoming, origin: Exchange["origin"] = "client") {
    super();
    this.mount = mount;
    this.incoming = incoming;
    this.origin = origin;
  }

  get id(): string {
    return (this.#id ??= plainId(this.request.headers.get("x-request-id")) ?? this.mount.nextId());
  }
  get request(): RequestHead {
    return this.incoming;
  }
  get opensChannel(): boolean {
    return this.front?.answer !== undefined;
  }
  get log(): Logger {
    return this.mount.log;
  }
  /** Parsed when somebody looks: of most messages nobody needs more than the method, which the scan found. */
  get message(): Message | undefined {
    if (this.heldMessage === undefined && this.body instanceof Uint8Array)
      this.heldMessage = JSON.parse(new TextDecoder().decode(this.body)) as Message;
    return this.heldMessage;
  }
  get client(): ClientInfo {
    return (this.heldClient ??= this.mount.clients.read(
      this.request,
      this.#saysWho() ? this.message : outlineOf(this.posted),
      this.owner,
      this.#session,
    ));
  }
  get session(): Session | undefined {
    return this.#session;
  }
  set session(session: Session | undefined) {
    this.#session = session;
    // Whoever looked before knew less.
    this.heldClient = undefined;
  }
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.gone) this.#controller.abort();
    return this.#controller.signal;
  }
  /** Whether the posted message tells about its client: it opens a session, or has an envelope. */
  #saysWho(): boolean {
    if (this.posted?.method === "initialize" || !(this.body instanceof Uint8Array)) return true;
    return mentionsClient(this.body);
  }
  protected get owner(): string {
    return `${this.principal.id}\0${this.mount.server}`;
  }

  abstract whenLeft(request: UpstreamRequest, run: () => void): void;

  every(ms: number, run: () => void): void {
    if (!this.#finished) this.#timers.push(this.mount.timers.every(ms, run));
  }

  protected leave(outgoing: Outgoing): Outgoing {
    this.outgoing = outgoing;
    if (this.gone && outgoing.body instanceof Pipe) outgoing.body.abort();
    return outgoing;
  }

  /** The client's side is over. `whole`: everything was handed to it. */
  closed(whole: boolean): void {
    if (this.#finished) return;
    this.#finished = true;
    if (!whole) {
      this.gone = true;
      this.#controller?.abort();
      for (const leave of this.onGone) leave();
      if (this.outgoing?.body instanceof Pipe) this.outgoing.body.abort();
    }
    for (const stop of this.#timers) stop();
    if (this.mount.hooks.done.length === 0 || this.origin !== "client") return;
    const outcome: Outcome = {
      end: this.#error ? endOf(this.#error) : whole ? "complete" : "client-gone",
      status: this.outgoing?.status ?? 499,
      bytesUp: this.bytesUp,
      bytesDown: sizeOf(this.outgoing?.body),
      ms: performance.now() - this.#startedAt,
      error: this.#error,
    };
    for (const { plugin, handler } of this.mount.hooks.done) {
      try {
        handler(this, outcome);
      } catch (cause) {
        this.log.error(() => `${this.mount.server}: ${describeAside(plugin.name, "done", cause)}`);
      }
    }
  }

  /** The proxy stops: streams are brought to their end by the transforms that know how. */
  drain(): void {
    if (!this.front?.isBusy && this.outgoing?.body instanceof Pipe) this.outgoing.body.drain();
  }

  /** Why it ended badly. */
  get failure(): ProxyError | undefined {
    return this.#error;
  }

  errorText(error: ProxyError): string {
    const idText = this.posted?.kind === "request" ? this.posted.idText : undefined;
    const id = idText === undefined ? null : (JSON.parse(idText) as string | number);
    return writeMessage(
      errorResponse(id, { code: error.rpcCode, message: error.message, data: { code: error.code } }),
      idText,
    );
  }

  /** @param handled a plugin has an answer that is no failure */
  fail(error: ProxyError, handled = false): void {
    // One exchange ends badly once; what follows from the first cause is no news.
    if (this.#error) return;
    this.#error = error;
    const line = () => `${this.mount.server}: ${error.toLog()}`;
    // The stream that a GET opens is optional (MCP 2025-11-25, Transports): that it ends is nothing amiss.
    const optional = handled || (this.incoming.method === "GET" && this.outgoing !== undefined);
    if (optional || endOf(error) === "refused") this.log.debug(line);
    else this.log.warn(line);
  }

  protected asError(cause: unknown): ProxyError {
    if (!isProxyError(cause)) return new ProxyError("INTERNAL", { cause });
    const { server } = cause.details;
    return server ? cause : new ProxyError(cause.code, { ...cause.details, server: this.mount.server });
  }
}

/** A client's id for its request, where it is fit for a header and a log line. */
function plainId(id: string | null): string | undefined {
  return id !== null && /^[\w.:-]{1,128}$/.test(id) ? id : undefined;
}

/** What a scan tells of a message whose body nobody needs: enough to decide its era. */
function outlineOf(posted: Scan | undefined): Message | undefined {
  if (posted === undefined) return undefined;
  const { kind, method } = posted;
  if (kind === "response") return { jsonrpc: "2.0", id: 0, result: NOTHING };
  return kind === "request" ? { jsonrpc: "2.0", id: 0, method } : { jsonrpc: "2.0", method };
}

const NOTHING = Object.freeze({});

function sizeOf(body: Outgoing["body"] | undefined): number {
  return body instanceof Pipe ? body.bytes : (body?.length ?? 0);
}

function endOf(error: ProxyError): Outcome["end"] {
  if (error.code === "CLIENT_GONE") return "client-gone";
  if (error.code.startsWith("UPSTREAM_")) return "upstream-broke";
  return error.code === "PLUGIN_FAILED" || error.code === "INTERNAL" ? "failed" : "refused";
}
