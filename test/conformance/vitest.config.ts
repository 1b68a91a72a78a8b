import { defineConfig } from "vitest/config";
import { runtimeProjects } from "../runtimes/projects.ts";
import { RuntimesReporter } from "../runtimes/reporter.ts";
import { ResultsReporter } from "./results.ts";

/** `npm run test:conformance`. */
export default defineConfig({
  test: {
    pool: "forks",
    maxWorkers: 2,
    env: { PENSTOCK_PROBE_INTERVAL: "0" },
    testTimeout: 180_000,
    hookTimeout: 120_000,
    retry: 0,
    reporters: ["default", new RuntimesReporter(), new ResultsReporter()],
    server: { deps: { external: [/\/dist\//] } },
    projects: [
      { extends: true, test: { name: "direct", include: ["test/conformance/direct.conformance.ts"] } },
      ...runtimeProjects(() => ["test/conformance/{servers,clients}.conformance.ts"]),
    ],
  },
});
