/** An event stream that this proxy makes of messages: a body that others read at their own pace. */
import type { Receiver, Source } from "./body.ts";
import { joinChunks } from "./sse.ts";
import type { ProxyError } from "../errors.ts";

/** Bytes that may wait for whoever reads; more, and the queue says that it is full. */
const FULL = 256 * 1024;
const BEFORE = Buffer.from("event: message\ndata: ");
const AFTER = Buffer.from("\n\n");

/** Told by a queue about its reader. */
export interface QueueWatch {
  /** More waits than should; what goes on coming is still kept. */
  full(): void;
  /** There is room again, or nothing will come any more. */
  room(): void;
  /** Nobody reads on. */
  left(): void;
}

export class EventQueue implements Source {
  readonly #watch: QueueWatch;
  #receiver: Receiver | undefined;
  #waiting: Uint8Array[] = [];
  #size = 0;
  #paused = true;
  #isFull = false;
  #end: "no" | "well" | "cancelled" | ProxyError = "no";
  /** The end was told, or nobody is there to be told. */
  #over = false;

  constructor(watch: QueueWatch) {
    this.#watch = watch;
  }

  get ended(): boolean {
    return this.#end !== "no";
  }

  /** Its reader wants a pause, or has not begun. */
  get stalled(): boolean {
    return this.#paused && !this.#over;
  }

  /** One message as one event. @param pieces its bytes, without line breaks */
  push(pieces: readonly Uint8Array[]): void {
    if (this.ended) return;
    for (const piece of [BEFORE, ...pieces, AFTER]) {
      this.#waiting.push(piece);
      this.#size += piece.length;
    }
    this.#flow();
    if (this.#size <= FULL || this.#isFull) return;
    this.#isFull = true;
    this.#watch.full();
  }

  /** @param cancelled whoever asked wants no answer any more */
  end(cancelled = false): void {
    this.#finish(cancelled ? "cancelled" : "well");
  }

  fail(error: ProxyError): void {
    this.#finish(error);
  }

  start(receiver: Receiver): void {
    this.#receiver = receiver;
    this.resume();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#flow();
  }

  abort(): void {
    if (this.#over) return;
    this.#over = true;
    this.#waiting = [];
    this.#size = 0;
    if (this.ended) return;
    this.#end = "well";
    this.#release();
    this.#watch.left();
  }

  whole(): Uint8Array | undefined {
    return this.#end === "well" && !this.#over ? joinChunks(this.#waiting) : undefined;
  }

  #finish(how: "well" | "cancelled" | ProxyError): void {
    if (this.ended) return;
    this.#end = how;
    // What waits now is all that ever will: it is nobody else's concern how fast it is read.
    this.#release();
    this.#flow();
  }

  #flow(): void {
    const receiver = this.#receiver;
    if (!receiver) return;
    while (this.#waiting.length > 0 && !this.#paused && !this.#over) {
      const pieces = this.#waiting;
      this.#waiting = [];
      this.#size = 0;
      // Pieces of one turn go out together; a reader that has enough says so, and gets what is under way all the same.
      receiver.data(joinChunks(pieces));
    }
    if (this.#over || this.#paused || this.#waiting.length > 0) return;
    this.#release();
    if (!this.ended) return;
    this.#over = true;
    if (this.#end === "well" || this.#end === "cancelled") receiver.end(this.#end === "cancelled");
    else receiver.fail(this.#end as ProxyError);
  }

  #release(): void {
    if (!this.#isFull) return;
    this.#isFull = false;
    this.#watch.room();
  }
}
