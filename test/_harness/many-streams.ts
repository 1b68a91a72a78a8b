import { readFile } from "node:fs/promises";
import { expect } from "vitest";
import { startLoad } from "./load.ts";
import { standard } from "./plugins.ts";
import type { Use } from "./scope.ts";
import { descriptors, rss, vitals } from "./vitals.ts";
import { front } from "./wire.ts";

const KB = 1024;
const MIB = 1024 * 1024;
/** Connections that are kept for reuse close after 4 s; a busy machine is slower. */
const SETTLE_MS = 20_000;

/** What many idle streams cost. */
export interface ManyStreams {
  /** Streams that were opened per second, in each round. */
  openRates: number[];
  /** Resident bytes for each stream, while all are open the first time. */
  bytesEach: number;
  /** Bytes that the heap has grown by after all rounds. */
  heapGrowth: number;
  /** Descriptors before and after. */
  fds: [before: number, after: number];
  /** Until they were there again, in milliseconds. */
  settledMs: number;
}

/** How many streams a process may have here: each takes two descriptors. */
export async function possibleStreams(wanted: number): Promise<number> {
  const limits = await readFile("/proc/self/limits", "latin1");
  const hard = /^Max open files\s+\d+\s+(\d+)/m.exec(limits)?.[1];
  return hard === undefined ? wanted : Math.min(wanted, Math.floor((Number(hard) - 500) / 2));
}

/**
 * Opens idle streams through `standard()` and resets them, several times. After each round every one must be gone on both sides,
 * and the proxy back at its baseline.
 */
export async function manyStreams(use: Use, count: number, rounds: number): Promise<ManyStreams> {
  const load = await use(startLoad());
  const proxy = await use(front(load.url, [standard()]));
  await load.call(proxy.port);
  const net = await vitals(proxy);
  const openRates: number[] = [];
  let bytesEach = 0;
  for (let round = 0; round < rounds; round++) {
    const before = await rss(proxy.pid);
    openRates.push(count / ((await load.open(proxy.port, count)) / 1000));
    expect(await load.counts()).toEqual({ server: count, client: count });
    if (round === 0) bytesEach = ((await rss(proxy.pid)) - before) / count;
    expect((await load.call(proxy.port)).status).toBe(200);
    await load.closeStreams();
  }
  const closed = performance.now();
  // To look inside of the process takes its time: first what can be seen from outside.
  while ((await load.counts()).server > 0 || (await descriptors(proxy.pid)).length > net.baseline.fds) {
    if (performance.now() - closed > SETTLE_MS) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const settledMs = performance.now() - closed;
  const after = await net.backToBaseline({ heap: 12 * MIB });
  return {
    openRates,
    bytesEach,
    settledMs,
    heapGrowth: (after.heap ?? 0) - (net.baseline.heap ?? 0),
    fds: [net.baseline.fds, after.fds],
  };
}

/** The figures as one line. */
export function told({ openRates, bytesEach, heapGrowth, fds, settledMs }: ManyStreams): string {
  const rates = openRates.map((rate) => Math.round(rate)).join(", ");
  return `${(bytesEach / KB).toFixed(1)} KB each; ${rates} opened per second; heap +${(heapGrowth / MIB).toFixed(1)} MiB; descriptors ${fds.join(" → ")} after ${Math.round(settledMs)} ms`;
}
