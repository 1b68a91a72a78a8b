import { type WaitOptions, within } from "./wait.ts";

/** An append-only list that can be waited on: what happened, in order, and what is still to come. */
export interface Journal<T> {
  /** Everything so far, oldest first. */
  readonly entries: T[];
  add(entry: T): void;
  /** The first entry that matches, whether it is already there or arrives later. */
  find(matches: (entry: T) => boolean, what: string, options?: WaitOptions): Promise<T>;
}

/** Makes an empty journal; `show` turns an entry into the text that a failed wait prints. */
export function journal<T>(show: (entry: T) => string): Journal<T> {
  const entries: T[] = [];
  const watchers = new Set<(entry: T) => void>();
  return {
    entries,
    add(entry) {
      entries.push(entry);
      for (const watch of watchers) watch(entry);
    },
    async find(matches, what, options) {
      const present = entries.find(matches);
      if (present !== undefined) return present;
      let watch!: (entry: T) => void;
      const found = new Promise<T>((resolve) => {
        watch = (entry) => {
          if (matches(entry)) resolve(entry);
        };
        watchers.add(watch);
      });
      try {
        return await within(found, () => `${what}; so far: ${entries.map(show).join(" | ") || "nothing"}`, options);
      } finally {
        watchers.delete(watch);
      }
    },
  };
}
