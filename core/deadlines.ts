import { Bag, type BagEntry } from "./bag.ts";

/** One time limit that runs. */
export interface Deadline {
  /** Counts from now again. */
  restart(): void;
  cancel(): void;
}

interface Group {
  waiting: Bag<Waiting>;
  handle: ReturnType<typeof setInterval>;
}

/**
 * Time limits for things that nearly always end before them: the head of an answer, a posted body. One timer per length looks
 * after all of them, late by a twentieth of the length at most; a timer each would cost a small request several per cent.
 */
export class Deadlines {
  readonly #groups = new Map<number, Group>();

  /** @param ms length in milliseconds @param run when it has passed; must not throw */
  after(ms: number, run: () => void): Deadline {
    return new Waiting(this.#group(ms).waiting, ms, run);
  }

  close(): void {
    for (const { handle } of this.#groups.values()) clearInterval(handle);
    this.#groups.clear();
  }

  #group(ms: number): Group {
    const known = this.#groups.get(ms);
    if (known) return known;
    const waiting = new Bag<Waiting>();
    const handle = setInterval(
      () => {
        if (waiting.size === 0) {
          clearInterval(handle);
          this.#groups.delete(ms);
        }
        const now = performance.now();
        for (const one of waiting.values()) one.check(now);
      },
      Math.min(Math.max(ms / 20, 5), 250),
    );
    handle.unref?.();
    const group = { waiting, handle };
    this.#groups.set(ms, group);
    return group;
  }
}

class Waiting implements Deadline {
  readonly #bag: Bag<Waiting>;
  readonly #ms: number;
  readonly #run: () => void;
  #entry: BagEntry<Waiting>;
  #due: number;

  constructor(bag: Bag<Waiting>, ms: number, run: () => void) {
    this.#bag = bag;
    this.#ms = ms;
    this.#run = run;
    this.#due = performance.now() + ms;
    this.#entry = bag.add(this);
  }

  check(now: number): void {
    if (now < this.#due) return;
    this.cancel();
    this.#run();
  }

  restart(): void {
    this.#due = performance.now() + this.#ms;
  }

  cancel(): void {
    this.#bag.remove(this.#entry);
  }
}
