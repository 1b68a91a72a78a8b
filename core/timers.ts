import { Bag } from "./bag.ts";

/** One interval per period for everybody who asks for it, so that ten thousand quiet streams cost one timer. */
export class Timers {
  readonly #wheels = new Map<number, { handle: ReturnType<typeof setInterval>; runs: Bag<() => void> }>();

  /**
   * @param ms period in milliseconds; not finite or not positive means never, anything else is held between 10 ms and 24 days
   * @param run must not throw
   * @returns a function that ends it
   */
  every(ms: number, run: () => void): () => void {
    if (!Number.isFinite(ms) || ms <= 0) return () => {};
    const period = Math.min(Math.max(Math.round(ms), 10), 2 ** 31 - 1);
    const wheel = this.#wheels.get(period) ?? this.#start(period);
    const entry = wheel.runs.add(run);
    return () => wheel.runs.remove(entry);
  }

  close(): void {
    for (const { handle } of this.#wheels.values()) clearInterval(handle);
    this.#wheels.clear();
  }

  #start(period: number) {
    const runs = new Bag<() => void>();
    const handle = setInterval(() => {
      // Stopped here and not when the last one leaves: short answers come and go many times within a period.
      if (runs.size === 0) {
        clearInterval(handle);
        this.#wheels.delete(period);
      }
      for (const run of runs.values()) run();
    }, period);
    handle.unref?.();
    const wheel = { handle, runs };
    this.#wheels.set(period, wheel);
    return wheel;
  }
}
