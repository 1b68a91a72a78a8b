/** No text of a caller, a server or a configuration keeps a parser busy for longer than its length explains. */
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { runCli } from "../_harness/proxy.ts";

const entry = fileURLToPath(new URL("../runtimes/parse-times.mjs", import.meta.url));

interface Slow {
  parser: string;
  input: string;
  /** Milliseconds for 100 KB, and for 400 KB. */
  once: number;
  fourfold: number;
}

test(
  "IN-10 every hand-written parser takes at most 50 ms for 100 KB of anything, and time grows with the length only",
  { timeout: 60_000 },
  async () => {
    const { code, stdout, stderr } = await runCli([], { entry, typescript: true, timeout: 50_000 });
    expect(code, stderr).toBe(0);
    const { parsers, tried, slow } = JSON.parse(stdout) as { parsers: number; tried: number; slow: Slow[] };
    expect(parsers).toBeGreaterThan(25);
    expect(tried).toBeGreaterThan(1500);
    // A quadratic parser needs sixteen times as long for four times as much; twice the linear time is left to caches and memory.
    // And 100 KB take no longer than half of 400 KB: what says otherwise was interrupted.
    const isSlow = ({ once, fourfold }: Slow) => Math.min(once, fourfold / 2) > 50 || fourfold > Math.max(9 * once, 60);
    expect(slow.filter(isSlow)).toEqual([]);
  },
);
