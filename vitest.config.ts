import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 10_000,
    retry: 0,
    // The built package is loaded by Node itself, as users load it.
    server: { deps: { external: [/\/dist\//] } },
  },
});
