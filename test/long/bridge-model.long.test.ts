import { writeFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { check } from "../bridge/check.ts";

const SEQUENCES = 5000;
const RESULT = new URL("bridge-model.txt", import.meta.url);

test.skipIf(process.env.PENSTOCK_RUNTIME !== "node20")(
  "5,000 random sequences over all pairs of clients and servers do what the model says",
  { timeout: 3_600_000 },
  async () => {
    const startedAt = performance.now();
    const { sequences, failures } = await check({ from: 1, count: SEQUENCES, parallel: 6, most: 20 });
    const seconds = Math.round((performance.now() - startedAt) / 1000);
    const on = `${new Date().toISOString().slice(0, 10)}, Node ${process.versions.node}`;
    await writeFile(
      RESULT,
      `${sequences} sequences over 25 pairs, ${failures.length} with violations, ${seconds} s (${on})\n${failures.map((text) => `\n${text}\n`).join("")}`,
    );
    expect(failures.join("\n\n")).toBe("");
  },
);
