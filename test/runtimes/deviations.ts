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

export const DEVIATIONS: readonly Deviation[] = [
  {
    runtime: "deno",
    file: "faults/resources-descriptors.test.ts",
    test: /^RL-02 300 clients/,
    reason:
      "Deno accepts nothing more once there was no descriptor for a connection, and accepts a burst before it can be counted; who is connected is served on. Of the same kind: https://github.com/denoland/deno/issues/32941",
  },
  {
    runtime: "bun",
    file: "faults/resources-descriptors.test.ts",
    test: /^RL-02 no descriptor/,
    reason: "Bun tells ECONNREFUSED where there is no descriptor for a connection, so the answer is 502 and not 503",
  },
];
