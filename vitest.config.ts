import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    // The README's own test file is run from a folder of its own.
    include: [process.env.PENSTOCK_TEST_INCLUDE ?? "test/**/*.test.ts"],
    pool: "forks",
    maxWorkers: 2,
    // Servers of tests count what reaches them: probes start only where a test asks for them.
    env: { PENSTOCK_PROBE_INTERVAL: "0" },
    testTimeout: 10_000,
    retry: 0,
    // The built package is loaded by Node itself, as users load it.
    server: { deps: { external: [/\/dist\//] } },
  },
});
