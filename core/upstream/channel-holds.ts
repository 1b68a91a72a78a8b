/** Back-pressure of a channel: while one of its streams is not read, neither is the server. */
import type { Deadlines } from "../deadlines.ts";
import { ProxyError } from "../errors.ts";
import type { PendingAnswer } from "../pending-answer.ts";

/** How long a stream that is not read may hold up others, in milliseconds. */
const PATIENCE = 10_000;

/** A stream with more in it than its reader takes. */
export interface Holder {
  /** The request that it answers, if it does. */
  call?: PendingAnswer;
  cut(error: ProxyError): void;
}

interface HoldsOptions {
  server: string;
  deadlines: Deadlines;
  link: { pause(): void; resume(): void };
}

export class Holds {
  readonly #options: HoldsOptions;
  readonly #othersWait: (than: PendingAnswer | undefined) => boolean;
  readonly #full = new Set<Holder>();

  /** @param othersWait whether a request other than this waits for its answer */
  constructor(options: HoldsOptions, othersWait: (than: PendingAnswer | undefined) => boolean) {
    this.#options = options;
    this.#othersWait = othersWait;
  }

  add(holder: Holder): void {
    this.#full.add(holder);
    if (this.#full.size === 1) this.#options.link.pause();
    this.#watch(holder);
  }

  remove(holder: Holder): void {
    if (this.#full.delete(holder) && this.#full.size === 0) this.#options.link.resume();
  }

  #watch(holder: Holder): void {
    const { deadlines, server } = this.#options;
    deadlines.after(PATIENCE, () => {
      if (!this.#full.has(holder)) return;
      if (this.#othersWait(holder.call))
        holder.cut(new ProxyError("STALLED_CLIENT", { server, detail: `nothing read for ${PATIENCE} ms` }));
      else this.#watch(holder);
    });
  }
}
