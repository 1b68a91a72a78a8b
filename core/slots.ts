import type { Slots, State } from "./types.ts";

/** Typed memory of a mount or an exchange; nothing is allocated before the first `set`. */
export class SlotMap implements Slots {
  #values: Map<State<unknown>, unknown> | undefined;

  get<T>(state: State<T>): T | undefined {
    return this.#values?.get(state) as T | undefined;
  }

  set<T>(state: State<T>, value: T): void {
    (this.#values ??= new Map()).set(state, value);
  }
}
