/** What a process of a proxy tells of itself; loaded by it (`host.config.mjs`), on its runtime. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** The inside of a process, after a garbage collection. */
export interface Inside {
  /** Bytes of the JavaScript heap in use. */
  heap: number;
  /** What keeps the process alive, or could, by kind: `Timeout`, `TCPSocketWrap` … as far as its runtime tells. */
  handles: Record<string, number>;
  /** Listeners on `process`: one more with each proxy that was not closed. */
  listeners: number;
}

interface BunGlobal {
  gc(synchronous: boolean): void;
}

/** Kinds that Bun's heap tells of, and `process.getActiveResourcesInfo()` does not. */
const BUN_HANDLES = /^(?:Timeout|Immediate|Listener|TCPSocket|TLSSocket|HTTPServer|Subprocess)/;

/** Collects garbage, and looks. */
export async function inspect(): Promise<Inside> {
  const bun = (globalThis as { Bun?: BunGlobal }).Bun;
  await settle(bun ? () => bun.gc(true) : exposedGc());
  return {
    heap: process.memoryUsage().heapUsed,
    handles: bun ? await bunHandles() : counts(process.getActiveResourcesInfo().map((kind) => [kind, 1])),
    listeners: process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0),
  };
}

/** V8 has the function without a flag at the start of the process, too. */
function exposedGc(): () => void {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}

/** Twice, with a turn between: finalizers of the first make garbage of their own. */
async function settle(gc: () => void): Promise<void> {
  gc();
  await new Promise((resolve) => setImmediate(resolve));
  gc();
}

async function bunHandles(): Promise<Record<string, number>> {
  const name: string = "bun:jsc";
  const { heapStats } = (await import(name)) as { heapStats(): { objectTypeCounts: Record<string, number> } };
  return counts(Object.entries(heapStats().objectTypeCounts).filter(([kind]) => BUN_HANDLES.test(kind)));
}

function counts(entries: [string, number][]): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const [kind, count] of entries) sums[kind] = (sums[kind] ?? 0) + count;
  return sums;
}
