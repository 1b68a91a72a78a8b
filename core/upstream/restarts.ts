/** When a server that exits by itself is started again: later each time, and not at all for a while where it does so all the time. */
import { ProxyError } from "../errors.ts";

/** All times in milliseconds. */
const FIRST = 500;
const LONGEST = 30_000;
/** So many exits within a minute, and it is left alone for as long as the longest wait. */
const MAX_EXITS = 5;
const WINDOW = 60_000;
/** A start that is due within this is waited for. */
const WORTH_WAITING = 1000;

export class Restarts {
  readonly #server: string;
  #exits: number[] = [];
  #inARow = 0;
  #notBefore = 0;
  /** Exits that nobody asked for, since the proxy began. */
  total = 0;

  constructor(server: string) {
    this.#server = server;
  }

  /** Until when nothing is started, in milliseconds from now; 0 where nothing is in the way. */
  get wait(): number {
    return Math.max(0, this.#notBefore - performance.now());
  }

  /** @throws ProxyError `SERVER_SUSPENDED` where the time is not near */
  async ready(): Promise<void> {
    // Whoever waited may find that another start has failed meanwhile.
    for (let wait = this.wait; wait > 0; wait = this.wait) {
      if (wait > WORTH_WAITING)
        throw new ProxyError("SERVER_SUSPENDED", {
          server: this.#server,
          headers: { "retry-after": String(Math.ceil(wait / 1000)) },
        });
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }

  /** A process could be started: the next exit is the first in a row. */
  started(): void {
    this.#inARow = 0;
  }

  /**
   * A process ended by itself, or could not be started.
   *
   * @param startedAt by `performance.now()`
   */
  exited(startedAt: number): void {
    const now = performance.now();
    this.total++;
    // Those that ran side by side and went down together failed once: none of them was started again.
    if (startedAt < (this.#exits.at(-1) ?? 0)) return;
    const recent = this.#exits.filter((at) => now - at < WINDOW);
    if (recent.length === 0) this.#inARow = 0;
    this.#exits = [...recent, now];
    const wait = this.#exits.length >= MAX_EXITS ? LONGEST : Math.min(FIRST * 2 ** this.#inARow++, LONGEST);
    this.#notBefore = now + wait;
  }
}
