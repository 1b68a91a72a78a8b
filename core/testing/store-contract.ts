/** What every store must hold: with it, plugins work the same over the memory of one process and over something shared. */
import type { Store } from "../store.ts";
import type { Awaitable } from "../types.ts";
import type { ContractCheck } from "./contract.ts";
import {
  AMPLE,
  LONG,
  setAndGet,
  oddNames,
  takers,
  swappers,
  swap,
  positions,
  reading,
  logEntries,
  logBytes,
  spaces,
  publishing,
  unsubscribing,
  throwing,
  texts,
  settle,
  same,
} from "./store-checks.ts";

/** Options of {@link storeContract}. */
export interface StoreContractOptions {
  /** Lets so many milliseconds pass for the store. @default they really pass */
  advance?: (ms: number) => Awaitable<void>;
  /** Ends a store that a check has made. */
  close?: (store: Store) => Awaitable<void>;
}

/** A time that is over soon, in milliseconds. */
const SHORT = 50;

/**
 * The contract of a {@link Store} as a list of checks for any test runner:
 *
 * @example
 * for (const { name, run } of storeContract("redis", () => redisStore({ prefix: randomUUID() }))) it(name, run);
 *
 * @param name stands before the name of each check
 * @param make makes a store each time that shares nothing with the others
 */
export function storeContract(
  name: string,
  make: () => Awaitable<Store>,
  options: StoreContractOptions = {},
): ContractCheck[] {
  const { advance = (ms) => new Promise<void>((resolve) => setTimeout(resolve, ms)), close } = options;
  const checks: [name: string, check: (store: Store) => Promise<void>][] = [
    ["gives back what was set, the last of it", setAndGet],
    ["takes any text as a name", oddNames],
    ["forgets a text when its time is over", expiry],
    ["a new text has a new time", renewal],
    ["of 50 that take a text one gets it", takers],
    ["of 50 that swap a text one succeeds", swappers],
    ["swaps only where the text is the expected one", swap],
    ["an overdue text is none for take and swap", overdue],
    ["counts the entries of a log, of 50 at once too", positions],
    ["reads what is behind a position", reading],
    ["keeps as many entries as a log may have", logEntries],
    ["keeps as many bytes as a log may have", logBytes],
    ["forgets a log after its last entry's time, and begins it again at 1", logExpiry],
    ["keys, logs and channels have names of their own", spaces],
    ["tells all who listen, once and in order", publishing],
    ["tells nobody who has stopped to listen", unsubscribing],
    ["a listener that throws disturbs nobody", throwing],
  ];

  async function expiry(store: Store): Promise<void> {
    await store.set("short", "a", SHORT);
    await store.set("long", "b", LONG);
    await advance(2 * SHORT);
    same(await store.get("short"), undefined, "after its time");
    same(await store.get("long"), "b", "another that has time");
  }
  async function renewal(store: Store): Promise<void> {
    await store.set("key", "a", SHORT);
    await store.set("key", "b", LONG);
    await store.set("swapped", "a", SHORT);
    await store.swap("swapped", "a", "b", LONG);
    await advance(2 * SHORT);
    same([await store.get("key"), await store.get("swapped")], ["b", "b"], "after the first time");
  }
  async function overdue(store: Store): Promise<void> {
    await store.set("taken", "a", SHORT);
    await store.set("swapped", "a", SHORT);
    await advance(2 * SHORT);
    same(await store.take("taken"), undefined, "take");
    same(await store.swap("swapped", "a", "b", LONG), false, "swap of the old text");
    same(await store.swap("swapped", undefined, "b", LONG), true, "swap of no text");
  }
  async function logExpiry(store: Store): Promise<void> {
    const limits = { ...AMPLE, ttl: 4 * SHORT };
    await store.append("log", "a", limits);
    await advance(3 * SHORT);
    await store.append("log", "b", limits);
    await advance(2 * SHORT);
    same(texts(await store.read("log", 0)), ["a", "b"], "while the last entry has time");
    await advance(5 * SHORT);
    same(await store.read("log", 0), undefined, "after it");
    same(await store.read("log", 2), undefined, "after it, behind its last position");
    same(await store.append("log", "c", limits), 1, "the position of a new beginning");
  }

  return [
    ...checks.map(([what, check]) => ({
      name: `${name}: ${what}`,
      async run() {
        const store = await make();
        try {
          await check(store);
        } finally {
          await close?.(store);
        }
      },
    })),
    {
      name: `${name}: two of them share nothing`,
      async run() {
        const [one, other] = [await make(), await make()];
        const heard: string[] = [];
        await other.subscribe("name", (text) => heard.push(text));
        await one.set("name", "a", LONG);
        await one.append("name", "a", AMPLE);
        await one.publish("name", "a");
        await settle();
        same(
          [await other.get("name"), await other.read("name", 0), heard],
          [undefined, undefined, []],
          "the other one",
        );
        for (const store of [one, other]) await close?.(store);
      },
    },
  ];
}
