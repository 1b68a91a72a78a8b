import type { Reporter, TestModule } from "vitest/node";
import { RUNTIME_NAMES } from "../_harness/runtimes.ts";

/** Prints one line per runtime: how many tests ran on it, and how many could not, with the reasons. */
export class RuntimesReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    for (const runtime of RUNTIME_NAMES) {
      const own = modules.filter(({ project }) => project.name === runtime);
      if (own.length > 0) console.log(`${runtime.padEnd(8)} ${summary(own)}`);
    }
  }
}

function summary(modules: readonly TestModule[]): string {
  let ran = 0;
  let deviations = 0;
  const notRun = new Map<string, number>();
  const gone: string[] = [];
  for (const test of modules.flatMap(({ children }) => [...children.allTests()])) {
    const { state, ...result } = test.result();
    const note = "note" in result ? result.note : undefined;
    if (state === "skipped" && note) notRun.set(note, (notRun.get(note) ?? 0) + 1);
    if (state !== "passed" && state !== "failed") continue;
    ran++;
    if (test.meta().deviation === undefined) continue;
    deviations++;
    if (state === "failed") gone.push(test.fullName);
  }
  const reasons = [...notRun].map(([reason, count]) => `${count} could not: ${reason}`);
  const lines = gone.map((name) => `\n         passes now, so its row in test/runtimes/deviations.ts must go: ${name}`);
  return [`${ran} ran, ${deviations} of them deviate`, ...reasons].join("; ") + lines.join("");
}
