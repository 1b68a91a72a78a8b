/** The checks of {@link storeContract} that need no clock. */
import type { LogLimits, Store } from "../store.ts";
import type { Awaitable } from "../types.ts";

/** A time that no check lasts, in milliseconds. */
export const LONG = 60_000;
/** Many at once. */
const CROWD = 50;
export const AMPLE: LogLimits = { ttl: LONG, entries: 1000, bytes: 1_000_000 };
const ODD = ["", " ", "a:b", "a\nb", "__proto__", "*", "å∫ç😀", "x".repeat(1000)];

export async function setAndGet(store: Store): Promise<void> {
  same(await store.get("key"), undefined, "before it was set");
  await store.set("key", "a", LONG);
  await store.set("key", "", LONG);
  await store.set("other", "b", LONG);
  same(await store.get("key"), "", "an empty text");
  await store.delete("key");
  await store.delete("key");
  same([await store.get("key"), await store.get("other")], [undefined, "b"], "after it was deleted");
}

export async function oddNames(store: Store): Promise<void> {
  for (const key of ODD) await store.set(key, `text of ${key}`, LONG);
  for (const key of ODD) same(await store.get(key), `text of ${key}`, JSON.stringify(key));
  for (const key of ODD) same(await store.append(key, key, AMPLE), 1, `the log ${JSON.stringify(key)}`);
  for (const key of ODD) same(texts(await store.read(key, 0)), [key], `the log ${JSON.stringify(key)}`);
}

export async function takers(store: Store): Promise<void> {
  await store.set("key", "a", LONG);
  const taken = await crowd(() => store.take("key"));
  same(
    taken.filter((text) => text !== undefined),
    ["a"],
    "what they got",
  );
  same(await store.get("key"), undefined, "after it was taken");
}

export async function swappers(store: Store): Promise<void> {
  for (const expected of [undefined, "first"] as const) {
    const next = expected === undefined ? "first" : "second";
    const won = await crowd(() => store.swap("key", expected, next, LONG));
    same(won.filter(Boolean).length, 1, `how many swapped ${expected}`);
    same(await store.get("key"), next, "after that");
  }
}

export async function swap(store: Store): Promise<void> {
  same(await store.swap("key", "a", "b", LONG), false, "where there is none");
  same(await store.get("key"), undefined, "after that");
  await store.set("key", "a", LONG);
  same(await store.swap("key", "", "b", LONG), false, "where another is expected");
  same(await store.swap("key", undefined, "b", LONG), false, "where none is expected");
  same(await store.get("key"), "a", "after that");
  same(await store.swap("key", "a", "b", LONG), true, "where it is the expected one");
  same(await store.get("key"), "b", "after that");
}

export async function positions(store: Store): Promise<void> {
  const found = await crowd((i) => store.append("log", `text ${i}`, AMPLE));
  same(
    [...found].sort((a, b) => a - b),
    found.map((_, i) => i + 1),
    "the positions",
  );
  const entries = (await store.read("log", 0)) ?? [];
  same(
    entries.map(({ position }) => position),
    found.map((_, i) => i + 1),
    "the positions as they are read",
  );
  for (const [i, position] of found.entries()) same(entries[position - 1]?.text, `text ${i}`, `at ${position}`);
}

export async function reading(store: Store): Promise<void> {
  same(await store.read("log", 0), undefined, "where there is no log");
  for (const text of ["a", "b\n", "c"]) await store.append("log", text, AMPLE);
  same(texts(await store.read("log", 0)), ["a", "b\n", "c"], "from the beginning");
  same(
    await store.read("log", 1),
    [
      { position: 2, text: "b\n" },
      { position: 3, text: "c" },
    ],
    "behind 1",
  );
  same(await store.read("log", 3), [], "behind the last one");
  same(await store.read("log", 4), undefined, "behind what there is");
}

export async function logEntries(store: Store): Promise<void> {
  for (const text of ["a", "b", "c", "d"]) await store.append("log", text, { ...AMPLE, entries: 2 });
  same(texts(await store.read("log", 2)), ["c", "d"], "what is kept");
  same(await store.read("log", 1), undefined, "behind what is not");
  same(await store.read("log", 0), undefined, "from the beginning, which is not");
}

export async function logBytes(store: Store): Promise<void> {
  for (const text of ["aaaa", "bbbb", "cc"]) await store.append("log", text, { ...AMPLE, bytes: 6 });
  same(texts(await store.read("log", 1)), ["bbbb", "cc"], "what is kept");
  same(await store.read("log", 0), undefined, "behind what is not");
  same(await store.append("log", "åååå", { ...AMPLE, bytes: 6 }), 4, "the position of one that is too large");
  same(await store.read("log", 3), undefined, "behind it");
  same(await store.read("log", 4), [], "where nothing is missing");
  same(await store.append("log", "e", { ...AMPLE, bytes: 6 }), 5, "the position after it");
  same(texts(await store.read("log", 4)), ["e"], "behind the one that is too large");
}

export async function spaces(store: Store): Promise<void> {
  const heard: string[] = [];
  const stop = await store.subscribe("name", (text) => heard.push(text));
  await store.set("name", "a", LONG);
  await store.append("name", "b", AMPLE);
  same(await store.get("name"), "a", "the text of that name");
  await store.delete("name");
  same(texts(await store.read("name", 0)), ["b"], "the log of that name");
  await settle();
  same(heard, [], "the channel of that name");
  stop();
}

export async function publishing(store: Store): Promise<void> {
  await store.publish("channel", "before");
  const heard: string[][] = [[], [], []];
  const listen = (to: string[], channel: string) => store.subscribe(channel, (text) => void to.push(text));
  const stops = [
    await listen(heard[0]!, "channel"),
    await listen(heard[1]!, "channel"),
    await listen(heard[2]!, "other"),
  ];
  const sent = Array.from({ length: CROWD }, (_, i) => `text ${i}`);
  for (const text of sent) await store.publish("channel", text);
  await until(() => heard[0]!.length >= CROWD && heard[1]!.length >= CROWD);
  same(heard, [sent, sent, []], "what they heard");
  for (const stop of stops) stop();
}

export async function unsubscribing(store: Store): Promise<void> {
  const heard: string[] = [];
  const listener = (text: string) => void heard.push(text);
  const first = await store.subscribe("channel", listener);
  first();
  const second = await store.subscribe("channel", listener);
  const third = await store.subscribe("channel", listener);
  // Ends what it began, and nothing else.
  first();
  second();
  await store.publish("channel", "a");
  await until(() => heard.length > 0);
  third();
  await store.publish("channel", "b");
  await settle();
  same(heard, ["a"], "what was heard");
}

export async function throwing(store: Store): Promise<void> {
  const heard: string[] = [];
  const stops = [
    await store.subscribe("channel", () => {
      throw new Error("a listener that throws");
    }),
    await store.subscribe("channel", (text) => void heard.push(text)),
  ];
  await store.publish("channel", "a");
  await store.publish("channel", "b");
  await until(() => heard.length > 1);
  same(heard, ["a", "b"], "what the other one heard");
  for (const stop of stops) stop();
}

/** Starts all before any of them is waited for. */
export function crowd<T>(run: (i: number) => Awaitable<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: CROWD }, (_, i) => run(i)));
}

export function texts(entries: readonly { text: string }[] | undefined): string[] | undefined {
  return entries?.map(({ text }) => text);
}

/** Others may hear with a delay. @throws Error when it never comes */
export async function until(arrived: () => boolean): Promise<void> {
  for (let tries = 0; !arrived() && tries < 20_000; tries++) await settle();
  if (!arrived()) throw new Error("what was published did not arrive");
}

/** A channel, not a timer: the caller's clock may stand still. */
export function settle(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port2.addEventListener("message", () => {
      port1.close();
      resolve();
    });
    port2.start();
    port1.postMessage(undefined);
  });
}

export function same(found: unknown, wanted: unknown, where: string): void {
  const [a, b] = [found, wanted].map((value) =>
    JSON.stringify(value, (_, inner) => (inner === undefined ? "(undefined)" : (inner as unknown))),
  );
  if (a !== b) throw new Error(`${where}: it should be ${b}, and is ${a}`);
}
