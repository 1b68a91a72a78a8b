import { writeFileSync } from "node:fs";
import type { Reporter, TestModule } from "vitest/node";
import { RUNTIME_NAMES, type RuntimeName, runtime } from "../_harness/runtimes.ts";
import { EXPECTED } from "./expected.ts";
import type { Lane } from "./lanes.conformance.ts";

const file = new URL("results.md", import.meta.url);
const PROTOCOLS = { http: "Streamable HTTP", stdio: "stdio", sse: "HTTP+SSE" } as const;

/** Writes `results.md` after a complete run that was green. */
export class ResultsReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const green = errors.length === 0 && tests.every((test) => test.result().state === "passed");
    const complete = RUNTIME_NAMES.every((name) => modules.some(({ project }) => project.name === name));
    if (!green || !complete) return;
    const rows = tests.flatMap((test) =>
      (test.meta().conformance ?? []).map((lane) => ({ ...lane, runtime: titleOf(test.project.name as RuntimeName) })),
    );
    writeFileSync(file, text(rows));
    console.log(`written: ${file.pathname}`);
  }
}

function titleOf(name: RuntimeName): string {
  const { label, version } = runtime(false, name);
  return `${label} ${version.split(".")[0]}`;
}

function text(rows: readonly (Lane & { runtime: string })[]): string {
  const lines = rows
    .map(({ upstream, version, runtime, scenarios, passed, expected }) => [
      PROTOCOLS[upstream],
      version,
      runtime,
      `${scenarios}`,
      `${passed}`,
      `${expected}`,
    ])
    .sort((a, b) => (a.join() < b.join() ? -1 : 1));
  const reasons = EXPECTED.map(
    ({ upstreams, scenario, check, what, reason }) =>
      `- ${upstreams.map((name) => PROTOCOLS[name]).join(", ")}: \`${scenario}\`, \`${check}\`, \`${what}\`: ${reason}`,
  );
  return [
    "# Conformance through Penstock",
    "",
    "Written by `npm run test:conformance`. Each check of the official suite finds through the proxy what it finds without it, but for the expected differences.",
    "",
    ...table([
      ["server speaks", "revision", "proxy on", "scenarios", "checks passed", "expected differences"],
      ...lines,
    ]),
    "",
    "## Expected differences",
    "",
    ...reasons,
    "",
  ].join("\n");
}

function table([head, ...rows]: string[][]): string[] {
  const widths = head!.map((_, i) => Math.max(...[head!, ...rows].map((row) => row[i]!.length)));
  const line = (row: string[]) => `| ${row.map((cell, i) => cell.padEnd(widths[i]!)).join(" | ")} |`;
  return [line(head!), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)];
}
