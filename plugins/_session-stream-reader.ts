import type { ProxyError, Receiver, Source } from "../core/index.ts";

/** What a reader asks of its stream. */
export interface ReaderHost {
  begun(): void;
  flows(): void;
  left(): void;
  caughtUp(): boolean;
}

/** How a stream ended. */
export interface StreamEnd {
  error: ProxyError | undefined;
  /** Without a response, because the client wants none any more. */
  cancelled: boolean;
}

/** One connection of the client. */
export class Reader implements Source {
  readonly #host: ReaderHost;
  #receiver: Receiver | undefined;
  #ended: StreamEnd | undefined;
  #over = false;
  isPaused = false;

  constructor(host: ReaderHost) {
    this.#host = host;
  }

  get isReady(): boolean {
    return this.#receiver !== undefined && !this.#over;
  }

  start(receiver: Receiver): void {
    this.#receiver = receiver;
    if (this.#ended) return this.end(this.#ended);
    this.#host.begun();
  }
  pause(): void {
    this.isPaused = true;
  }
  resume(): void {
    this.isPaused = false;
    if (this.isReady) this.#host.flows();
  }
  abort(): void {
    if (this.#over) return;
    this.#over = true;
    this.#host.left();
  }

  emit(bytes: Uint8Array): void {
    if (!this.#over) this.#receiver!.data(bytes);
  }

  /** A sign of life of the server; not worth waiting for. */
  comment(bytes: Uint8Array): void {
    if (this.isReady && !this.isPaused && this.#host.caughtUp()) this.#receiver!.data(bytes);
  }

  end(how: StreamEnd = { error: undefined, cancelled: false }): void {
    if (this.#over) return;
    this.#ended = how;
    if (!this.#receiver) return;
    this.#over = true;
    if (how.error) this.#receiver.fail(how.error);
    else this.#receiver.end(how.cancelled);
  }
}
