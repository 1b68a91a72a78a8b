import { readFileSync, readdirSync } from "node:fs";
import { defineConfig } from "vitest/config";
import { RUNTIME_NAMES } from "./test/_harness/runtimes.ts";
import { RuntimesReporter } from "./test/runtimes/reporter.ts";

// The README's own test file is run from a folder of its own.
const { PENSTOCK_TEST_INCLUDE: own } = process.env;

/** Test files that start a proxy: they run on every runtime. The harness tests itself on one. */
const startingProxies = readdirSync("test", { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".test.ts") && !file.startsWith("_harness"))
  .map((file) => `test/${file}`)
  .filter((file) => /\b(?:front|startProxy|startCli|runCli)\(/.test(readFileSync(file, "utf8")));

/** Faults are put to the built command line only, never to a proxy inside of the test process. */
const faults = "test/faults/**/*.test.ts";
const inProcess = { extends: true as const, test: { name: "node", include: ["test/**/*.test.ts"], exclude: [faults] } };
const runtimes = RUNTIME_NAMES.map((name) => ({
  extends: true as const,
  test: {
    name,
    include: name === "node20" ? [faults] : startingProxies,
    env: { PENSTOCK_RUNTIME: name },
    globalSetup: "test/runtimes/install.ts",
    setupFiles: "test/runtimes/setup.ts",
  },
}));

export default defineConfig({
  test: {
    pool: "forks",
    maxWorkers: 2,
    // Servers of tests count what reaches them: probes start only where a test asks for them.
    env: { PENSTOCK_PROBE_INTERVAL: "0" },
    testTimeout: 10_000,
    retry: 0,
    reporters: ["default", new RuntimesReporter()],
    // The built package is loaded by Node itself, as users load it.
    server: { deps: { external: [/\/dist\//] } },
    ...(own ? { include: [own] } : { projects: [inProcess, ...runtimes] }),
  },
});
