import type { TestProjectInlineConfiguration } from "vitest/config";
import { RUNTIME_NAMES, type RuntimeName } from "../_harness/runtimes.ts";

/** One vitest project for each runtime, with the proxy in a process of it. @param include the test files, by runtime */
export function runtimeProjects(include: (runtime: RuntimeName) => string[]): TestProjectInlineConfiguration[] {
  return RUNTIME_NAMES.map((name) => ({
    extends: true,
    test: {
      name,
      include: include(name),
      env: { PENSTOCK_RUNTIME: name },
      globalSetup: "test/runtimes/install.ts",
      setupFiles: "test/runtimes/setup.ts",
    },
  }));
}
