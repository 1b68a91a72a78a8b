/** Loaded before each test file of a project that runs the proxy on another runtime. */
import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { type RunnerTestCase, type RunnerTestSuite, afterEach, beforeEach } from "vitest";
import { otherRuntime } from "../_harness/runtimes.ts";
import { DEVIATIONS, type Deviation } from "./deviations.ts";

const tests = fileURLToPath(new URL("..", import.meta.url));

beforeEach(({ task }) => {
  const rows = DEVIATIONS.filter(
    ({ runtime, file }) => runtime === otherRuntime && file === relative(tests, task.file.filepath),
  );
  for (const row of rows)
    if (!casesOf(task.file).some((each) => isNamed(row, each)))
      throw new Error(`test/runtimes/deviations.ts: ${String(row.test)} is the name of no test in ${row.file}`);
  const row = rows.find((row) => isNamed(row, task));
  if (!row) return;
  // As `test.fails` does: a pass is a failure then.
  Object.assign(task, { fails: true });
  task.meta.deviation = row.reason;
});

// A test that started no process has run in the same Node as in the project `node`, and proves nothing about a runtime.
afterEach(({ task, skip }) => {
  if (!task.meta.startedProcess && task.result?.state === "pass") skip("they start no proxy in a process of its own");
});

function isNamed({ test }: Deviation, { fullTestName }: Readonly<RunnerTestCase>): boolean {
  return typeof test === "string" ? test === fullTestName : test.test(fullTestName);
}

function casesOf(suite: RunnerTestSuite): RunnerTestCase[] {
  return suite.tasks.flatMap((task) => (task.type === "suite" ? casesOf(task) : [task]));
}
