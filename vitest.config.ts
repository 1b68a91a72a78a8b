import { readFileSync, readdirSync } from "node:fs";
import { defineConfig } from "vitest/config";
import { FaultsReporter } from "./test/faults/reporter.ts";
import { runtimeProjects } from "./test/runtimes/projects.ts";
import { RuntimesReporter } from "./test/runtimes/reporter.ts";

// The README's own test file is run from a folder of its own.
const { PENSTOCK_TEST_INCLUDE: own } = process.env;

/** Faults are put to the built command line only, never to a proxy inside of the test process. */
const faults = "test/faults/**/*.test.ts";
/** `npm run test:long` runs them. */
const long = "test/long/**";
/** Of folders that are installed on first use, at any depth. */
const installed = "**/node_modules/**";

/** Test files that start a proxy: they run on every runtime. The harness tests itself on one. */
const startingProxies = readdirSync("test", { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".test.ts") && !/^(?:_harness|faults|long)\b|\bnode_modules\b/.test(file))
  .map((file) => `test/${file}`)
  .filter((file) => /\b(?:front|startProxy|startCli|runCli|cliCommand)\(/.test(readFileSync(file, "utf8")));

const inProcess = {
  extends: true as const,
  test: { name: "node", include: ["test/**/*.test.ts"], exclude: [faults, long, installed] },
};
/**
 * Of Node the rest runs in process, on the version that runs the tests; both versions of it are put to every fault. With
 * `PENSTOCK_TEST_NODE24=1` the rest runs on the other one too.
 */
const isNode = (name: string) => name === "node20" || (name === "node24" && !process.env.PENSTOCK_TEST_NODE24);
const runtimes = runtimeProjects((name) => (isNode(name) ? [faults] : [faults, ...startingProxies]));

export default defineConfig({
  test: {
    pool: "forks",
    // One more than cores: more than half of the time is spent waiting for peers, and some tests assert how long.
    maxWorkers: 3,
    // Workers go on with the next file and the modules they have: tests keep no state in modules, and to load them anew, with
    // two SDKs, took longer than most files.
    isolate: false,
    // Servers of tests count what reaches them: probes start only where a test asks for them.
    env: { PENSTOCK_PROBE_INTERVAL: "0" },
    testTimeout: 10_000,
    retry: 0,
    reporters: ["default", new RuntimesReporter(), new FaultsReporter()],
    // The built package is loaded by Node itself, as users load it.
    server: { deps: { external: [/\/dist\//] } },
    ...(own ? { include: [own] } : { projects: [inProcess, ...runtimes] }),
  },
});
