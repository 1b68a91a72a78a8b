import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, test } from "vitest";
import { CATALOGUE, caseOf } from "../faults/catalogue.ts";
import { CANNOT_RUN, type FaultResult, faultTable } from "../faults/table.ts";
import { RUNTIME_NAMES, type RuntimeName } from "./runtimes.ts";

const folder = fileURLToPath(new URL("../faults/", import.meta.url));

/** Every case passes on every runtime, but for what is said. */
function results(...changed: (Partial<FaultResult> & { id: string; runtime?: RuntimeName })[]): FaultResult[] {
  return Object.keys(CATALOGUE).flatMap((id) =>
    RUNTIME_NAMES.map((runtime): FaultResult => {
      const change = changed.find((each) => each.id === id && (each.runtime ?? runtime) === runtime);
      return { runtime, name: `${id} something happens`, state: "passed", ...change };
    }),
  );
}

/** The cells of one case, and the footnotes. */
function shown(markdown: string, id: string) {
  const row = markdown.split("\n").find((line) => line.startsWith(`| ${id} `))!;
  const notes = markdown.split("\n").filter((line) => line.startsWith("[^"));
  return {
    cells: row
      .split("|")
      .slice(3, -1)
      .map((text) => text.trim()),
    notes,
  };
}

describe("the table of a run", () => {
  test("has a line for each case and a column for each runtime", () => {
    const { markdown, problems } = faultTable(results());
    expect(problems).toEqual([]);
    for (const [id, title] of Object.entries(CATALOGUE)) {
      expect(markdown).toContain(`| ${id} | ${title} `);
      expect(shown(markdown, id).cells).toEqual(["pass", "pass", "pass", "pass"]);
    }
    expect(markdown).toMatch(/\| id +\| case +\| Node 20 \| Node 24 \| Bun +\| Deno +\|\n/);
  });

  test("tells deviations, and what cannot run, with their reasons; a reason once", () => {
    const cannot = { state: "skipped", note: `${CANNOT_RUN}it has no such limit` } as const;
    const deviating = { id: "ST-03", deviation: "the runtime hides it", runtime: "bun" } as const;
    const all = results(
      deviating,
      { id: "RL-02", ...cannot, runtime: "bun" },
      { id: "RL-02", ...cannot, runtime: "deno" },
    );
    const more: FaultResult = { runtime: "bun", name: "ST-03 > another", state: "passed" };
    const whole = faultTable(all);
    expect(whole.problems).toEqual([]);
    expect(shown(whole.markdown, "ST-03")).toEqual({
      cells: ["pass", "pass", "deviates[^1]", "pass"],
      notes: [
        "[^1]: deviates in “ST-03 something happens”: the runtime hides it",
        "[^2]: cannot run “RL-02 something happens”: it has no such limit",
      ],
    });
    expect(shown(whole.markdown, "RL-02").cells).toEqual(["pass", "pass", "cannot run[^2]", "cannot run[^2]"]);
    expect(shown(faultTable([...all, more]).markdown, "ST-03").cells[2]).toBe("pass, but[^1]");
  });

  test.each<[string, Partial<FaultResult>, string, string]>([
    ["failed", { state: "failed" }, "**failed**", "AU-04: failed: AU-04 something happens (deno)"],
    ["has not ended", { state: "pending" }, "**failed**", "AU-04: failed: AU-04 something happens (deno)"],
    [
      "was skipped",
      { state: "skipped" },
      "**skipped**",
      "AU-04: skipped (without a reason): AU-04 something happens (deno)",
    ],
    [
      "proves nothing",
      { state: "skipped", note: "they start no proxy" },
      "**skipped**",
      "AU-04: skipped (they start no proxy): AU-04 something happens (deno)",
    ],
  ])("a case that %s is a problem", (_, change, cell, problem) => {
    const { markdown, problems } = faultTable(results({ id: "AU-04", runtime: "deno", ...change }));
    expect(shown(markdown, "AU-04").cells).toEqual(["pass", "pass", "pass", cell]);
    expect(problems).toEqual([problem]);
  });

  test("a case without a test is a problem, and a test without a case", () => {
    const all = results();
    const { markdown, problems } = faultTable([
      ...all.filter(({ name, runtime }) => !name.startsWith("IN-05") || runtime !== "node24"),
      { runtime: "bun", name: "something else", state: "passed" },
      { runtime: "bun", name: "XX-99 that nobody knows", state: "passed" },
      { runtime: "deno", name: "XX-99 that nobody knows", state: "passed" },
    ]);
    expect(shown(markdown, "IN-05").cells).toEqual(["pass", "**missing**", "pass", "pass"]);
    expect(problems).toEqual([
      "the name begins with no id of test/faults/catalogue.ts: something else (bun)",
      "the name begins with no id of test/faults/catalogue.ts: XX-99 that nobody knows (bun, deno)",
      "IN-05: no test ran (node24)",
    ]);
  });

  test("of a part of the files tells of that part only", () => {
    const { markdown, problems } = faultTable([{ runtime: "bun", name: "IN-05 a batch", state: "passed" }], {
      partial: true,
    });
    expect(problems).toEqual([]);
    expect(markdown.match(/^\|.*$/gm)).toEqual([
      "| id    | case    | Bun  |",
      "| ----- | ------- | ---- |",
      "| IN-05 | batches | pass |",
    ]);
  });
});

describe("test/faults", () => {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".test.ts"));

  test.each(files)("%s: the name of every test begins with the id of a case", (name) => {
    const found = outermostNames(readFileSync(join(folder, name), "utf8"));
    expect(found).not.toEqual([]);
    expect(found.filter((title) => !((caseOf(title) ?? "") in CATALOGUE))).toEqual([]);
  });

  test("faults.md has a line for each case", () => {
    const table = readFileSync(join(folder, "../faults.md"), "utf8");
    const rows = [...table.matchAll(/^\| ([A-Z]{2}-\d{2}) /gm)].map(([, id]) => id);
    expect(rows, "Run: npm run test:faults -- --update").toEqual(Object.keys(CATALOGUE));
  });
});

/** The titles of tests and suites that are in no other; of a template, what stands before its first value. */
function outermostNames(source: string): string[] {
  const names: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && /^(?:test|it|describe)\b/.test(node.expression.getText())) {
      const title = node.arguments[0];
      if (title && ts.isTemplateExpression(title)) return void names.push(title.head.text);
      if (title && ts.isStringLiteralLike(title)) return void names.push(title.text);
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile("faults.ts", source, ts.ScriptTarget.Latest, true));
  return names;
}
