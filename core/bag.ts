/**
 * A collection without order, for things that come and go with every request. A `Set` would do, but V8 chains the hash tables
 * that it outgrew: under a high turnover they keep dead entries alive until the next full collection, at half the throughput.
 */
export class Bag<T> {
  readonly #entries: BagEntry<T>[] = [];

  get size(): number {
    return this.#entries.length;
  }

  add(value: T): BagEntry<T> {
    const entry = { value, at: this.#entries.length };
    this.#entries.push(entry);
    return entry;
  }

  /** Removing twice does no harm. */
  remove(entry: BagEntry<T>): void {
    if (this.#entries[entry.at] !== entry) return;
    const last = this.#entries.pop()!;
    if (last === entry) return;
    this.#entries[entry.at] = last;
    last.at = entry.at;
  }

  /** What is in it now; entries may come and go while the values are used. */
  values(): T[] {
    return this.#entries.map(({ value }) => value);
  }
}

/** One thing in a {@link Bag}. */
export interface BagEntry<T> {
  readonly value: T;
  at: number;
}
