/** Looks at the beginning of an answer that may still be sent on: nothing of it is lost, however long it is. */
import {
  type Answer,
  type ProxyError,
  type Receiver,
  type Source,
  fromSource,
  sourceOf,
  wholeBody,
} from "../../core/index.ts";

/** @returns the answer, to be sent on in place of the other, and its body where that is whole within the limit */
export async function peek(answer: Answer, limit: number): Promise<[Answer, Buffer | undefined]> {
  const whole = wholeBody(answer);
  if (whole)
    return [answer, whole.length > limit ? undefined : Buffer.from(whole.buffer, whole.byteOffset, whole.length)];
  const beginning = new Beginning(sourceOf(answer), limit);
  const bytes = await beginning.read;
  return [fromSource(beginning, answer.headers, answer.status), bytes];
}

/** A source that was started, and can be started again. */
class Beginning implements Source, Receiver {
  readonly read: Promise<Buffer | undefined>;
  readonly #source: Source;
  readonly #limit: number;
  #resolve!: (bytes: Buffer | undefined) => void;
  #chunks: Uint8Array[] = [];
  #size = 0;
  #receiver: Receiver | undefined;
  #end: (() => void) | undefined;
  #paused = false;

  constructor(source: Source, limit: number) {
    this.#source = source;
    this.#limit = limit;
    this.read = new Promise((resolve) => (this.#resolve = resolve));
    source.start(this);
  }

  data(chunk: Uint8Array): void {
    if (this.#receiver && !this.#paused) return this.#receiver.data(chunk);
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    if (this.#size <= this.#limit) return;
    this.#source.pause();
    this.#resolve(undefined);
  }

  end(cancelled?: boolean): void {
    this.#resolve(cancelled ? undefined : Buffer.concat(this.#chunks));
    this.#finish((receiver) => receiver.end(cancelled));
  }

  fail(error: ProxyError): void {
    this.#resolve(undefined);
    this.#finish((receiver) => receiver.fail(error));
  }

  start(receiver: Receiver): void {
    this.#receiver = receiver;
    this.resume();
  }

  pause(): void {
    this.#paused = true;
    if (!this.#end) this.#source.pause();
  }

  resume(): void {
    this.#paused = false;
    for (let chunk = this.#chunks.shift(); chunk; chunk = this.#chunks.shift()) {
      this.#receiver!.data(chunk);
      if (this.#paused) return;
    }
    if (this.#end) this.#end();
    else this.#source.resume();
  }

  abort(): void {
    this.#source.abort();
  }

  #finish(tell: (receiver: Receiver) => void): void {
    const end = () => {
      this.#end = () => {};
      tell(this.#receiver!);
    };
    this.#end = end;
    if (this.#receiver && !this.#paused) this.resume();
  }
}
