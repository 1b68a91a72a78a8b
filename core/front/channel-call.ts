/** One message of a channel's client: an exchange, and what becomes of its answer. */
import { onOneLine } from "../body/event-reader.ts";
import { Pipe } from "../body/pipe.ts";
import type { Scan } from "../body/scan.ts";
import type { Outgoing } from "../down.ts";
import { ProxyError } from "../errors.ts";
import type { Front } from "../exchange-state.ts";
import type { ExchangeRun } from "../exchange.ts";
import type { Principal } from "../types.ts";
import { type AnswerTaker, errorFor, kindOfLine, readAnswer } from "./channel-answer.ts";
import type { ChannelHead } from "./channel-request.ts";
import type { ChannelClient, PostOptions } from "./channel.ts";

/** A message that did not get as far as the server, and why. */
export interface Refusal {
  readonly outgoing: Outgoing;
  /** It has been told, or nobody was there any more. */
  closed(whole: boolean): void;
}

export class ChannelCall implements Front, AnswerTaker {
  readonly #channel: ChannelClient;
  readonly #exchange: ExchangeRun;
  readonly #options: PostOptions;
  /** As the client sent it. */
  readonly head: ChannelHead;
  posted: Scan | undefined;
  /** The server has it, or it never got there. */
  readonly settled: Promise<void>;
  #settle!: () => void;
  #accept: (() => void) | undefined;
  #status = 0;
  #answered = false;
  #over = false;
  /** It was full once. */
  #pipe: Pipe | undefined;
  onClosed: (() => void) | undefined;

  constructor(channel: ChannelClient, head: ChannelHead, exchange: ExchangeRun, options: PostOptions) {
    this.#channel = channel;
    this.head = head;
    this.#exchange = exchange;
    this.#options = options;
    this.posted = options.posted;
    this.settled = new Promise((resolve) => (this.#settle = resolve));
  }

  get isModern(): boolean {
    return this.#options.isModern ?? false;
  }
  /** A response to it is due. */
  get isPending(): boolean {
    return this.posted?.kind === "request" && !this.#answered;
  }
  get id(): unknown {
    return this.posted?.idText === undefined ? undefined : JSON.parse(this.posted.idText);
  }

  /** @returns nothing once it is accepted; else why it is refused */
  run(): Promise<Refusal | undefined> {
    const accepted = new Promise<undefined>((resolve) => (this.#accept = () => resolve(undefined)));
    // A server that checks the callers' tokens itself says so with its answer's head.
    const early = this.#exchange.mount.auth === "passthrough" ? undefined : accepted;
    const answered = this.#exchange.run(this.#options.verdict, this).then((outgoing) => this.#take(outgoing));
    return early ? Promise.race([early, answered]) : answered;
  }

  admit(principal: Principal): void {
    this.#options.admit?.(principal);
  }

  accept(posted: Scan): Promise<void> | undefined {
    this.posted = posted;
    const wait = this.#channel.accepted(this, posted);
    this.#accept!();
    this.#accept = undefined;
    return wait;
  }

  /** The client no longer waits for it. */
  leave(): void {
    if (this.#over) return;
    this.#end(false);
  }

  /** @returns the answer, where it is for whoever posted the message and not for the channel */
  #take(outgoing: Outgoing): Refusal | undefined {
    this.#settle();
    const { status, headers, body } = outgoing;
    if (this.#over) {
      if (body instanceof Pipe) body.abort();
      return undefined;
    }
    const isAccepted = this.#accept === undefined;
    const isRefusal = this.#exchange.mount.auth === "passthrough" ? status === 401 || status === 403 : !isAccepted;
    if (isRefusal && status >= 400 && !this.#options.inBand) {
      this.#over = true;
      return {
        outgoing,
        closed: (isWhole) => {
          this.onClosed?.();
          this.#exchange.closed(isWhole);
        },
      };
    }
    this.posted ??= this.#exchange.posted;
    this.#status = status;
    if (status < 300 && this.posted?.method === "initialize")
      this.#channel.opened(headers.get("mcp-session-id") ?? undefined);
    readAnswer(outgoing, this.#exchange.mount.maxMessageBytes, this);
    return undefined;
  }

  message(line: Buffer): void {
    if (this.#over) return;
    const kind = kindOfLine(line);
    if (kind === undefined) return this.#exchange.log.debug(() => `${this.#server}: dropped what is no message`);
    if (this.isPending && kind === "response") {
      this.#answered = true;
      if (this.posted!.method === "initialize") this.#readVersion(line);
    }
    this.#channel.send(line);
  }

  cancelled(): void {
    this.#answered = true;
  }

  end(whole: boolean, body?: Buffer): void {
    if (this.#over) return;
    const { posted } = this;
    if (body && body.length > 0 && (!posted || posted.kind === "request")) {
      const line = this.#status < 400 || !posted ? onOneLine(body) : errorFor(posted.idText!, body);
      if (line) this.message(line);
    }
    if (this.#status >= 400 && posted && posted.kind !== "request")
      this.#exchange.log.warn(
        () => `${this.#server}: ${posted.method ?? "a response"} was answered with HTTP ${this.#status}`,
      );
    // Nobody may wait for ever, whatever the server did.
    if (this.isPending) this.#fail(whole, body);
    this.#end(whole);
    if (posted?.method === "notifications/initialized" && this.#status < 300) this.#channel.listen();
  }

  isFull(pipe: Pipe): boolean {
    this.#pipe = pipe;
    return this.#channel.isFull(pipe);
  }

  #fail(whole: boolean, body: Buffer | undefined): void {
    const server = this.#server;
    const error =
      this.#exchange.failure ??
      (whole && body !== undefined
        ? new ProxyError("UPSTREAM_INVALID", { server, hint: `The status was ${this.#status}.` })
        : new ProxyError("UPSTREAM_BROKE", {
            server,
            detail: whole ? "the stream ended without a response" : "the answer broke off",
          }));
    this.#exchange.fail(error);
    this.#answered = true;
    this.#channel.send(Buffer.from(this.#exchange.errorText(error)));
  }

  #end(whole: boolean): void {
    this.#over = true;
    if (this.#pipe) this.#channel.forget(this.#pipe);
    this.#settle();
    this.#accept?.();
    this.onClosed?.();
    this.#exchange.closed(whole);
  }

  #readVersion(line: Buffer): void {
    try {
      const { result } = JSON.parse(line.toString()) as { result?: { protocolVersion?: unknown } };
      if (typeof result?.protocolVersion === "string") this.#channel.negotiated(result.protocolVersion);
    } catch {
      // The client will say what it makes of it.
    }
  }

  get #server(): string {
    return this.#exchange.mount.server;
  }
}
