import { expect, test } from "vitest";
import { check } from "./check.ts";

/** All 25 pairs, eight times each. */
const SEQUENCES = 200;
const PARALLEL = 6;

test(
  "random sequences over all pairs of clients and servers do what the model says",
  { timeout: 120_000 },
  async () => {
    const only = process.env.SEED;
    const [from, count] = only === undefined ? [1, SEQUENCES] : [Number(only), 1];
    const { failures } = await check({ from, count, parallel: PARALLEL, most: 3 });
    expect(failures.join("\n\n")).toBe("");
  },
);
