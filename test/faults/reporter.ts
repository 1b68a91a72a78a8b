import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import type { Reporter, TestCase, TestModule, TestRunEndReason, Vitest } from "vitest/node";
import { RUNTIME_NAMES, type RuntimeName } from "../_harness/runtimes.ts";
import { CATALOGUE } from "./catalogue.ts";
import { type FaultResult, PREFACE, faultTable } from "./table.ts";

const folder = fileURLToPath(new URL(".", import.meta.url));
const file = fileURLToPath(new URL("../faults.md", import.meta.url));
const UPDATE = "npm run test:faults -- --update";

/**
 * Makes the fault table from the tests of this folder that ran. A complete run, every file on every runtime, is compared with
 * `test/faults.md`, and makes the run red where something is missing, failed, skipped or another than it says there. A partial
 * run is printed only.
 */
export class FaultsReporter implements Reporter {
  #vitest: Vitest | undefined;

  onInit(vitest: Vitest): void {
    this.#vitest = vitest;
  }

  onTestRunEnd(modules: readonly TestModule[], _errors: unknown, reason: TestRunEndReason): void {
    const own = modules.filter(({ moduleId }) => !relative(folder, moduleId).startsWith(".."));
    if (own.length === 0) return;
    const results = own.flatMap(({ children }) => [...children.allTests()]).map(resultOf);
    const { testNamePattern, snapshotOptions } = this.#vitest!.config;
    const updating = snapshotOptions.updateSnapshot === "all";
    if (reason === "interrupted" || testNamePattern || !isComplete(own)) {
      console.log(`\n${faultTable(results, { partial: true }).markdown}`);
      if (updating) red([`test/faults.md is written by a complete run only: ${UPDATE}`]);
      return;
    }
    const { markdown, problems } = faultTable(results);
    if (own.length === modules.length) console.log(`\n${markdown}`);
    if (updating) writeFileSync(file, PREFACE + markdown);
    else if (readOr("", file) !== PREFACE + markdown)
      problems.push(`test/faults.md is not what ran. Run: ${UPDATE}, look at the difference and commit it.`);
    if (problems.length === 0) console.log(`faults   ${Object.keys(CATALOGUE).length} cases, as test/faults.md tells`);
    red(problems);
  }
}

/** Every test file of this folder has run on every runtime. */
function isComplete(modules: TestModule[]): boolean {
  const ran = new Set(modules.map(({ moduleId, project }) => `${project.name} ${moduleId}`));
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".test.ts"));
  return RUNTIME_NAMES.every((runtime) => files.every((name) => ran.has(`${runtime} ${join(folder, name)}`)));
}

function resultOf(test: TestCase): FaultResult {
  const { state, ...result } = test.result();
  return {
    runtime: test.project.name as RuntimeName,
    name: test.fullName,
    state,
    note: "note" in result ? result.note : undefined,
    deviation: test.meta().deviation,
  };
}

function red(problems: string[]): void {
  if (problems.length === 0) return;
  console.error(
    ["", "The fault table (test/faults/README.md):", ...problems.map((each) => `  - ${each}`), ""].join("\n"),
  );
  process.exitCode = 1;
}

function readOr(fallback: string, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return fallback;
  }
}
