import { defineConfig } from "vitest/config";
import { runtimeProjects } from "../runtimes/projects.ts";
import { RuntimesReporter } from "../runtimes/reporter.ts";

/** What takes minutes, or hours: true durations and true amounts of what `npm test` proves with small ones. */
export default defineConfig({
  test: {
    pool: "forks",
    // They measure: a second one beside them would be measured too.
    fileParallelism: false,
    env: { PENSTOCK_PROBE_INTERVAL: "0" },
    testTimeout: 600_000,
    hookTimeout: 60_000,
    retry: 0,
    reporters: ["verbose", new RuntimesReporter()],
    server: { deps: { external: [/\/dist\//] } },
    projects: runtimeProjects(() => ["test/long/**/*.long.test.ts"]),
  },
});
