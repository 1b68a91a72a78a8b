import { readFile, readdir, readlink } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import type { Inside } from "../runtimes/inspect.ts";

/** A process that can be looked at: what `front()`, `startProxy()` and `startCli()` return. */
export interface Inspectable {
  readonly pid: number;
  /** What only the process itself can tell; not of `startCli()`, whose process has nobody to ask. */
  inspect?(): Promise<Inside>;
}

/** What a process holds at one moment. */
export interface Vitals extends Partial<Inside> {
  /** Open file descriptors. */
  fds: number;
  /** How many of them are sockets. */
  sockets: number;
  /** Resident bytes. They do not fall back when things are closed, so they are told and never demanded. */
  rss: number;
}

/** What may be left. */
export interface BaselineOptions {
  /** Bytes that the heap may have grown by. @default 12 MiB, the bound for 5,000 streams that were opened and closed */
  heap?: number;
  /** Milliseconds until it must have settled: connections that are kept for reuse close after 4 s. @default 8000 */
  timeout?: number;
}

/** The state of a process at one moment, to be compared with later ones. */
export interface VitalsNet {
  readonly baseline: Vitals;
  now(): Promise<Vitals>;
  /**
   * Waits until no more descriptors, sockets, handles and listeners are there than at the baseline, and the heap is as small.
   *
   * @returns what is left then
   * @throws Error that tells what was left, and how much there was before
   */
  backToBaseline(options?: BaselineOptions): Promise<Vitals>;
}

const MIB = 2 ** 20;
/** Ways of the runtimes to say the same; only what stays open counts, not what is under way for a moment. */
const HANDLES = /^(?:TCP|TLS|Pipe|Process|UDP|Timeout|Listener|HTTPServer|Subprocess)/;

/**
 * Takes the vitals of a proxy's process as the baseline. Send one request first: what the first one loads and keeps is no leak.
 * The process is shared by the proxies of a worker, so none may be started or closed in between.
 */
export async function vitals(proxy: Inspectable): Promise<VitalsNet> {
  const now = () => look(proxy);
  const baseline = await now();
  return {
    baseline,
    now,
    async backToBaseline({ heap = 12 * MIB, timeout = 8000 } = {}) {
      const deadline = performance.now() + timeout;
      for (;;) {
        const current = await now();
        const left = excess(baseline, current, heap);
        if (left.length === 0) return current;
        if (performance.now() > deadline)
          throw new Error(`not back at the baseline after ${timeout} ms: ${left.join("; ")}`);
        await pause(50);
      }
    },
  };
}

/** Resident bytes of a process. */
export async function rss(pid: number): Promise<number> {
  return Number(/^VmRSS:\s+(\d+)/m.exec(await readFile(`/proc/${pid}/status`, "latin1"))?.[1]) * 1024;
}

async function look({ pid, inspect }: Inspectable): Promise<Vitals> {
  const inside = await inspect?.();
  const links = await descriptors(pid);
  return {
    fds: links.length,
    sockets: links.filter((link) => link.startsWith("socket:")).length,
    rss: await rss(pid),
    ...inside,
  };
}

/** What the open file descriptors of a process lead to. */
export async function descriptors(pid: number): Promise<string[]> {
  const folder = `/proc/${pid}/fd`;
  const names = await readdir(folder);
  // One that was closed meanwhile has no link any more.
  const links = await Promise.all(names.map((name) => readlink(`${folder}/${name}`).catch(() => undefined)));
  return links.filter((link) => link !== undefined);
}

function excess(before: Vitals, now: Vitals, heap: number): string[] {
  const counted: [string, number, number][] = [
    ["file descriptors", before.fds, now.fds],
    ["sockets", before.sockets, now.sockets],
    ["listeners on process", before.listeners ?? 0, now.listeners ?? 0],
    ...Object.entries(now.handles ?? {})
      .filter(([kind]) => HANDLES.test(kind))
      .map(([kind, count]): [string, number, number] => [kind, before.handles?.[kind] ?? 0, count]),
  ];
  const left = counted.filter(([, was, is]) => is > was).map(([what, was, is]) => `${is} ${what}, ${was} before`);
  const grown = (now.heap ?? 0) - (before.heap ?? 0);
  if (grown > heap) left.push(`${(grown / MIB).toFixed(1)} MiB more heap`);
  return left;
}
