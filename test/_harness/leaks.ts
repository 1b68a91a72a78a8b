import { setTimeout as pause } from "node:timers/promises";
import { FAIL_SAFE_MS } from "./wait.ts";

/** Handles that a test must not leave behind. Others, such as the channel to the test runner, are not a test's own. */
const COUNTED = ["TCPServerWrap", "TCPSocketWrap", "PipeWrap", "ProcessWrap", "UDPWrap", "Timeout"];

/**
 * Remembers which handles keep this process alive now and returns a check that there are no more of them later. The check
 * polls, because a handle is listed until some turns of the event loop after it was closed. For the same reason a baseline is
 * only true at a quiet moment: around every test of a file, the check that ends one test prepares the next (`scope.ts`).
 */
export function leakNet(): (options?: { timeout?: number }) => Promise<void> {
  const baseline = count();
  return async ({ timeout = FAIL_SAFE_MS } = {}) => {
    const deadline = performance.now() + timeout;
    for (;;) {
      const now = count();
      const leaks = COUNTED.flatMap((type) => {
        const extra = (now.get(type) ?? 0) - (baseline.get(type) ?? 0);
        return extra > 0 ? [`${extra} × ${type}`] : [];
      });
      if (leaks.length === 0) return;
      if (performance.now() > deadline) throw new Error(`left open: ${leaks.join(", ")}`);
      await pause(10);
    }
  };
}

function count(): Map<string, number> {
  const counts = new Map<string, number>();
  for (const type of process.getActiveResourcesInfo()) counts.set(type, (counts.get(type) ?? 0) + 1);
  return counts;
}
