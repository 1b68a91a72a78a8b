import { writeFileSync } from "node:fs";
import type { Reporter, TestModule } from "vitest/node";
import { RUNTIME_NAMES, type RuntimeName, runtime } from "../_harness/runtimes.ts";
import { EXPECTED } from "./expected.ts";
import type { Lane, LaneName } from "./lanes.ts";

const file = new URL("results.md", import.meta.url);
const TITLES: Record<LaneName, string> = {
  http: "server of 2025-11-25, Streamable HTTP",
  sse: "server of 2025-11-25, HTTP+SSE",
  stdio: "server of 2025-11-25, stdio",
  dual: "server of both eras, Streamable HTTP",
  modern: "server of 2026-07-28, Streamable HTTP",
  "modern-stdio": "server of 2026-07-28, stdio",
  "v1 legacy": "client, SDK v1",
  "v2 legacy": "client, SDK v2, legacy",
  "v2 modern": "client, SDK v2, 2026-07-28",
};

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
    .map(({ lane, version, bridged, runtime, scenarios, passed, expected }) => [
      TITLES[lane],
      version,
      bridged ? "translated" : "relayed",
      runtime,
      `${scenarios}`,
      `${passed}`,
      `${expected}`,
    ])
    .sort((a, b) => (a.join() < b.join() ? -1 : 1));
  const reasons = EXPECTED.map(
    ({ lanes, scenario, check, what, reason }) =>
      `- ${lanes.map((lane) => TITLES[lane]).join("; ")}: \`${scenario}\`, \`${check}\`, \`${what}\`: ${reason}`,
  );
  return [
    "# Conformance through Penstock",
    "",
    "Written by `npm run test:conformance`. Each check of the official suite finds through the proxy what it finds without it, but for the expected differences. Where eras are translated (the suite speaks another than the server or the client behind the proxy), what is compared is whether a check passes.",
    "",
    "The scenarios for clients that are about logins (`auth/…`) are not run: they need a proxy that logs in, or passes logins on.",
    "",
    ...table([
      [
        "behind the proxy",
        "revision",
        "messages are",
        "proxy on",
        "scenarios",
        "checks passed",
        "expected differences",
      ],
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
