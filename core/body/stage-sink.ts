import type { ProxyError } from "../errors.ts";
import type { Sink } from "../types.ts";
import type { Pipe } from "./pipe.ts";

/** What transform `i - 1` sees of the rest of the way. */
export class StageSink implements Sink {
  readonly #pipe: Pipe;
  readonly #next: number;

  constructor(pipe: Pipe, next: number) {
    this.#pipe = pipe;
    this.#next = next;
  }
  emit(chunk: Uint8Array): void {
    this.#pipe.emit(this.#next, chunk);
  }
  end(): void {
    this.#pipe.finish(this.#next);
  }
  cut(reason: ProxyError): void {
    this.#pipe.cut(reason);
  }
  get blocked(): boolean {
    return this.#pipe.blocked;
  }
  get paused(): boolean {
    return this.#pipe.paused;
  }
}
