/** One request, from the moment somebody asks for it to the last byte of its answer. */
import type { Receiver, Source } from "../../body/body.ts";
import { joinChunks } from "../../body/sse.ts";
import type { Deadline, Deadlines } from "../../deadlines.ts";
import { ProxyError } from "../../errors.ts";
import type { WireAnswer, WireRequest } from "../wire.ts";
import { type Phase, toProxyError } from "./failure.ts";

/** Bytes held for an answer that nobody has started to read. */
const MAX_EARLY = 64 * 1024;
const NO_HEADERS: readonly string[] = [];

/** What carries a call: first an attempt to connect, then a connection. */
export interface Carrier {
  pause(): void;
  resume(): void;
  /** Ends it at once; the call is told nothing any more. */
  destroy(): void;
}

/** Towards the connection a request that waits for its answer, towards the exchange an answer and its source. */
export class Call implements Source, WireAnswer {
  status = 0;
  headers: readonly string[] = NO_HEADERS;
  readonly source: Source = this;
  readonly request: WireRequest;
  /** Settles with the head of the answer. */
  readonly answer: Promise<WireAnswer>;
  /** While the call is under way. */
  carrier: Carrier | undefined;
  /** A byte of the request may have left. */
  sent = false;
  /** A byte came that belongs to the answer. */
  answering = false;
  readonly #name: string;
  readonly #deadlines: Deadlines;
  #resolve!: (answer: WireAnswer) => void;
  #reject!: (error: ProxyError) => void;
  #receiver: Receiver | undefined;
  /** What came before anyone listened: as a rule the whole of a small answer. */
  #early: Buffer[] = [];
  #earlySize = 0;
  #end: "no" | "well" | ProxyError = "no";
  /** Whoever reads the answer wants a pause. */
  #stopped = false;
  #limit: Deadline | undefined;
  #total: Deadline | undefined;
  #gap = 0;

  constructor(name: string, request: WireRequest, deadlines: Deadlines) {
    this.#name = name;
    this.request = request;
    this.#deadlines = deadlines;
    this.answer = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    const { headersTimeout, totalTimeout = 0 } = request;
    if (headersTimeout > 0)
      this.#limit = deadlines.after(headersTimeout, () =>
        this.#stop("UPSTREAM_TIMEOUT", `no head after ${headersTimeout} ms`),
      );
    if (totalTimeout > 0)
      this.#total = deadlines.after(totalTimeout, () =>
        this.#stop("UPSTREAM_TIMEOUT", `not at its end after ${totalTimeout} ms`),
      );
  }

  get over(): boolean {
    return this.#end !== "no";
  }

  head(status: number, headers: readonly string[]): void {
    this.#limit?.cancel();
    this.#limit = undefined;
    this.status = status;
    this.headers = headers;
    this.#resolve(this);
  }

  data(chunk: Buffer): void {
    this.#limit?.restart();
    if (this.#receiver) return this.#receiver.data(chunk);
    this.#early.push(chunk);
    this.#earlySize += chunk.length;
    // Whoever takes the answer reads within a few turns; a small one is whole by then, and its connection free again.
    if (this.#earlySize > MAX_EARLY) this.carrier?.pause();
  }

  finish(): void {
    if (!this.#over("well")) return;
    this.#receiver?.end();
  }

  /** @param cause what the connection said, or the verdict itself */
  fail(cause: unknown): void {
    const error = toProxyError(this.#name, cause, this.#phase);
    if (!this.#over(error)) return;
    if (this.status === 0) this.#reject(error);
    else this.#receiver?.fail(error);
  }

  get #phase(): Phase {
    if (this.status > 0) return "answered";
    if (this.answering) return "answering";
    return this.sent ? "sent" : "connecting";
  }

  limitGap(ms: number): void {
    this.#gap = ms;
  }

  start(receiver: Receiver): void {
    this.#receiver = receiver;
    const early = this.#early;
    const ended = this.#end;
    this.#early = [];
    for (const chunk of early) {
      receiver.data(chunk);
      // It aborted, and has been told so.
      if (this.#end !== ended) return;
    }
    if (ended === "well") return receiver.end();
    if (ended !== "no") return receiver.fail(ended);
    // It may have had enough already.
    if (!this.#stopped) this.resume();
  }

  whole(): Uint8Array | undefined {
    return this.#end === "well" ? joinChunks(this.#early) : undefined;
  }

  pause(): void {
    this.#stopped = true;
    // The client is slow, not the server.
    if (this.#gap > 0) this.#limit?.cancel();
    this.carrier?.pause();
  }

  resume(): void {
    this.#stopped = false;
    if (this.over) return;
    this.#watchGap();
    this.carrier?.resume();
  }

  abort(): void {
    this.#stop("CLIENT_GONE");
  }

  /** A limit that was cancelled cannot be restarted. */
  #watchGap(): void {
    this.#limit?.cancel();
    if (this.#gap > 0)
      this.#limit = this.#deadlines.after(this.#gap, () =>
        this.#stop("UPSTREAM_SILENT", `no byte for ${this.#gap} ms`),
      );
  }

  #stop(code: "CLIENT_GONE" | "UPSTREAM_TIMEOUT" | "UPSTREAM_SILENT", detail?: string): void {
    const { carrier } = this;
    if (this.over) return;
    this.fail(new ProxyError(code, { server: this.#name, detail }));
    carrier?.destroy();
  }

  #over(how: "well" | ProxyError): boolean {
    if (this.over) return false;
    this.#end = how;
    this.#limit?.cancel();
    this.#total?.cancel();
    // Whatever carries the next call must not be stopped by somebody who still holds this one.
    this.carrier = undefined;
    return true;
  }
}
