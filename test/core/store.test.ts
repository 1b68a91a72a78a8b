import { afterEach, beforeEach, describe, expect, it, test, vi } from "vitest";
import { type Store, memoryStore } from "mcp-penstock";
import { storeContract } from "mcp-penstock/testing";
import { testScope } from "../_harness/scope.ts";
import { contracts } from "../_harness/plugins.ts";
import { front } from "../_harness/wire.ts";

const use = testScope();
const limits = { ttl: 1000, entries: 10, bytes: 1000 };

/** The same with a promise for each answer, and none of it before the caller goes on. */
function later(store: Store): Store {
  return Object.fromEntries(
    Object.entries(store).map(([name, run]: [string, (...args: never[]) => unknown]) => [
      name,
      async (...args: never[]) => {
        await Promise.resolve();
        return run(...args);
      },
    ]),
  ) as unknown as Store;
}

describe("the contract", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["Date"] }));
  afterEach(() => void vi.useRealTimers());
  const options = { advance: (ms: number) => void vi.setSystemTime(Date.now() + ms) };
  for (const { name, run } of storeContract("memory", () => memoryStore(), options)) it(name, run);
  for (const { name, run } of storeContract("with promises", () => later(memoryStore()), options)) it(name, run);

  /** Stores that break one rule each: the suite must tell. */
  const broken: Record<string, (store: Store) => Partial<Store>> = {
    "never forgets": (store) => ({ set: (key, text) => store.set(key, text, 1e9) }),
    "takes in two steps": (store) => ({
      async take(key) {
        const text = await store.get(key);
        await Promise.resolve();
        await store.delete(key);
        return text;
      },
    }),
    "swaps in two steps": (store) => ({
      async swap(key, expected, text, ttl) {
        const found = await store.get(key);
        await Promise.resolve();
        if (found !== expected) return false;
        await store.set(key, text, ttl);
        return true;
      },
    }),
    "tells of a gap as of nothing new": (store) => ({
      read: async (log, after) => (await store.read(log, after)) ?? [],
    }),
    "has one space of names": (store) => ({
      append: (log, text, more) => (void store.set(log, text, 1e9), store.append(log, text, more)),
    }),
  };
  it.each(Object.entries(broken))("finds a store that %s", async (_, change) => {
    const make = () => {
      const store = later(memoryStore());
      return { ...store, ...change(store) };
    };
    const failed: string[] = [];
    for (const { name, run } of storeContract("broken", make, options)) await run().catch(() => failed.push(name));
    expect(failed).not.toEqual([]);
  });
});

test("it holds on this runtime", async () => {
  const { url } = await use(front("http://127.0.0.1:9", [contracts()]));
  expect(await (await fetch(`${url}/contracts/store`)).json()).toEqual([]);
});

describe("the memory's limit", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["Date"] }));
  afterEach(() => void vi.useRealTimers());
  const full = expect.objectContaining({ code: "STORE_FULL" }) as Error;
  const kilobyte = "x".repeat(800);

  test("what does not fit is refused, and nothing that is there is forgotten for it", () => {
    const store = memoryStore({ bytes: 10_000 });
    for (let i = 0; i < 9; i++) store.set(`key ${i}`, kilobyte, 1000);
    expect(() => store.set("one more", kilobyte, 1000)).toThrow(full);
    expect(() => store.swap("one more", undefined, kilobyte, 1000)).toThrow(full);
    expect(() => store.append("log", kilobyte, limits)).toThrow(full);
    expect([store.get("one more"), store.read("log", 0), store.get("key 0")]).toEqual([undefined, undefined, kilobyte]);
  });

  test("a text in place of another needs room for the difference only", () => {
    const store = memoryStore({ bytes: 1200 });
    for (let i = 0; i < 5; i++) store.set("key", kilobyte, 1000);
    expect(store.swap("key", kilobyte, kilobyte.replace("x", "y"), 1000)).toBe(true);
    store.delete("key");
    store.set("other", kilobyte, 1000);
    expect(store.take("other")).toBe(kilobyte);
    store.append("log", kilobyte, limits);
  });

  test("what is over makes room, looked for once a second at most", () => {
    const store = memoryStore({ bytes: 10_000 });
    for (let i = 0; i < 9; i++) store.set(`key ${i}`, kilobyte, 500);
    vi.setSystemTime(Date.now() + 1001);
    for (let i = 0; i < 9; i++) store.set(`new ${i}`, kilobyte, 500);
    vi.setSystemTime(Date.now() + 501);
    expect(() => store.set("one more", kilobyte, 500)).toThrow(full);
    vi.setSystemTime(Date.now() + 500);
    store.set("one more", kilobyte, 500);
  });

  test("logs count what they keep", () => {
    const store = memoryStore({ bytes: 3900 });
    for (let i = 0; i < 1000; i++) store.append("log", kilobyte, { ...limits, entries: 2, bytes: 10_000 });
    store.append("other", kilobyte, limits);
    expect(() => store.append("third", kilobyte, limits)).toThrow(full);
  });

  test("100,000 texts that are over do not stay", () => {
    const store = memoryStore({ bytes: 2_000_000 });
    for (let i = 0; i < 100_000; i++) {
      store.set(`key ${i}`, "text", 10);
      vi.setSystemTime(Date.now() + 1);
    }
    expect(store.get("key 99999")).toBe("text");
  });
});
