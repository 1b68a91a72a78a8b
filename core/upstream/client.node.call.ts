/** One request on Node, from its dispatch to the last byte of its answer, and what its failures mean. */
import type { Dispatcher } from "undici";
import type { Receiver, Source } from "../body/body.ts";
import { joinChunks } from "../body/sse.ts";
import type { Deadline, Deadlines } from "../deadlines.ts";
import { ProxyError } from "../errors.ts";
import type { WireAnswer } from "./http.ts";

/** Bytes held for an answer that nobody has started to read. */
const MAX_EARLY = 64 * 1024;

/** One request: undici's handler towards the socket, a source towards the answer. */
export class Call implements Dispatcher.DispatchHandler, Source, WireAnswer {
  status = 0;
  headers: WireAnswer["headers"] = {};
  readonly source: Source = this;
  readonly #name: string;
  readonly #resolve: (answer: WireAnswer) => void;
  readonly #reject: (error: ProxyError) => void;
  readonly #release: () => void;
  readonly #deadlines: Deadlines;
  #controller: Dispatcher.DispatchController | undefined;
  #receiver: Receiver | undefined;
  /** What came before anyone listened: as a rule the whole of a small answer. */
  #early: Buffer[] = [];
  #earlySize = 0;
  #end: "no" | "well" | ProxyError = "no";
  /** Why we ended it ourselves, if we did. */
  #verdict: ProxyError | undefined;
  #limit: Deadline | undefined;
  #gap = 0;

  constructor(
    name: string,
    resolve: (answer: WireAnswer) => void,
    reject: (error: ProxyError) => void,
    release: () => void,
    deadlines: Deadlines,
    headersTimeout: number,
  ) {
    this.#name = name;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#release = release;
    this.#deadlines = deadlines;
    if (headersTimeout > 0)
      this.#limit = deadlines.after(headersTimeout, () =>
        this.#stop("UPSTREAM_TIMEOUT", `no head after ${headersTimeout} ms`),
      );
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#verdict) controller.abort(this.#verdict);
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (status < 200) return;
    this.#limit?.cancel();
    this.#limit = undefined;
    this.status = status;
    this.headers = headers as WireAnswer["headers"];
    this.#resolve(this);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#limit?.restart();
    if (this.#receiver) return this.#receiver.data(chunk);
    this.#early.push(chunk);
    this.#earlySize += chunk.length;
    // Whoever takes the answer reads within a few turns; a small one is whole by then, and its connection free again.
    if (this.#earlySize > MAX_EARLY) controller.pause();
  }

  onResponseEnd(): void {
    this.#limit?.cancel();
    this.#release();
    this.#end = "well";
    this.#receiver?.end();
  }

  onResponseError(_controller: Dispatcher.DispatchController, cause: Error): void {
    this.#limit?.cancel();
    this.#release();
    const error = this.#verdict ?? toProxyError(this.#name, cause, this.status > 0);
    this.#end = error;
    if (this.status === 0) this.#reject(error);
    else this.#receiver?.fail(error);
  }

  limitGap(ms: number): void {
    this.#gap = ms;
  }

  start(receiver: Receiver): void {
    this.#receiver = receiver;
    for (const chunk of this.#early) receiver.data(chunk);
    this.#early = [];
    if (this.#end === "well") return receiver.end();
    if (this.#end !== "no") return receiver.fail(this.#end);
    this.#watchGap();
    if (this.#earlySize > MAX_EARLY) this.resume();
  }

  whole(): Uint8Array | undefined {
    return this.#end === "well" ? joinChunks(this.#early) : undefined;
  }

  pause(): void {
    // The client is slow, not the server.
    if (this.#gap > 0) this.#limit?.cancel();
    this.#controller?.pause();
  }

  resume(): void {
    if (this.#end !== "no") return;
    this.#watchGap();
    this.#controller?.resume();
  }

  /** A limit that was cancelled cannot be restarted. */
  #watchGap(): void {
    this.#limit?.cancel();
    if (this.#gap > 0)
      this.#limit = this.#deadlines.after(this.#gap, () =>
        this.#stop("UPSTREAM_SILENT", `no byte for ${this.#gap} ms`),
      );
  }

  abort(): void {
    this.#stop("CLIENT_GONE");
  }

  #stop(code: "CLIENT_GONE" | "UPSTREAM_TIMEOUT" | "UPSTREAM_SILENT", detail?: string): void {
    if (this.#verdict || this.#end !== "no") return;
    this.#verdict = new ProxyError(code, { server: this.#name, detail });
    this.#limit?.cancel();
    // Before a connection exists there is nothing to abort: the wait ends here, and the request when its turn comes.
    if (this.#controller) this.#controller.abort(this.#verdict);
    else this.#reject(this.#verdict);
  }
}

/** undici's and Node's codes, as far as they tell a user something different. */
function toProxyError(server: string, cause: Error & { code?: string }, started: boolean): ProxyError {
  const code = cause.code ?? "";
  if (code === "UND_ERR_CONNECT_TIMEOUT" || code === "ETIMEDOUT")
    return new ProxyError("UPSTREAM_CONNECT_TIMEOUT", { server, cause });
  if (/^(?:ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|EPROTO|ERR_OSSL)/.test(code))
    return new ProxyError("UPSTREAM_TLS", { server, cause });
  // undici's parser leaves the code of its error empty.
  if (cause.name === "HTTPParserError" || /^(?:UND_ERR_HEADERS_OVERFLOW|UND_ERR_INVALID|UND_ERR_RES)/.test(code)) {
    return new ProxyError(started ? "UPSTREAM_BROKE" : "UPSTREAM_INVALID", { server, cause });
  }
  if (
    /^(?:ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|EADDRNOTAVAIL|EACCES|EPERM|ENOENT)$/.test(code) ||
    cause instanceof AggregateError
  ) {
    return new ProxyError("UPSTREAM_UNREACHABLE", { server, cause });
  }
  return new ProxyError("UPSTREAM_BROKE", { server, cause });
}
