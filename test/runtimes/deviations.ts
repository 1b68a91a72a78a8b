import type { RuntimeName } from "../_harness/runtimes.ts";

/** A test that is expected to fail on a runtime. It runs there all the same: when it passes, the build fails until its row is gone. */
export interface Deviation {
  runtime: RuntimeName;
  /** Relative to `test/`. */
  file: string;
  /** The full name, `suite > test`, or what several have in common. */
  test: string | RegExp;
  /** What is different and why, with a link to the issue where the runtime is at fault. */
  reason: string;
}

export const DEVIATIONS: readonly Deviation[] = [];
