import { afterEach, beforeEach } from "vitest";
import { leakNet } from "./leaks.ts";
import type { Closeable } from "./loopback.ts";

/** Registers something that is being started, to be closed when the test ends. */
export type Use = <T extends Closeable>(starting: T | Promise<T>) => Promise<T>;

/**
 * Called once at the top of a test file: whatever a test starts through the returned function is closed when it ends, in
 * reverse order, and then nothing may be left open.
 */
export function testScope(): Use {
  const started: Closeable[] = [];
  let noLeaks = leakNet();
  beforeEach(() => {
    noLeaks = leakNet();
  });
  afterEach(async () => {
    const failures: unknown[] = [];
    for (const thing of started.splice(0).reverse())
      await thing.close().catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw failures[0];
    await noLeaks();
  });
  return async (starting) => {
    const thing = await starting;
    started.push(thing);
    return thing;
  };
}
