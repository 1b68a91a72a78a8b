import { RUNTIME_NAMES, type RuntimeName } from "../_harness/runtimes.ts";
import { CATALOGUE, caseOf } from "./catalogue.ts";

/** What a test's skip note begins with where a case cannot be put to a runtime; the reason follows. */
export const CANNOT_RUN = "cannot run: ";

/** How one test of a case ended on one runtime. */
export interface FaultResult {
  runtime: RuntimeName;
  /** `suite > test`, with the id in front. */
  name: string;
  state: "passed" | "failed" | "skipped" | "pending";
  /** Of a skipped test: why. */
  note?: string;
  /** It fails there, as `test/runtimes/deviations.ts` says: the reason. */
  deviation?: string;
}

/** The fault table of one run. */
export interface FaultTable {
  markdown: string;
  /** Why the run proves less than the catalogue demands, one sentence each. */
  problems: string[];
}

const HEADINGS: Record<RuntimeName, string> = { node20: "Node 20", node24: "Node 24", bun: "Bun", deno: "Deno" };

/** What stands above the table in its file. */
export const PREFACE = `# Faults that the proxy survives

What is done to it, and how each runtime takes it. This file is written by \`npm run test:faults -- --update\` from what ran, and \`npm test\` is red when the two differ: see [faults/README.md](faults/README.md).

`;

/** Makes the table of what ran. @param partial only what ran is in it, and a case without a test is no problem */
export function faultTable(results: readonly FaultResult[], { partial = false } = {}): FaultTable {
  const problems: Problems = new Map();
  for (const { name, runtime } of results)
    if (!((caseOf(name) ?? "") in CATALOGUE))
      add(problems, `the name begins with no id of test/faults/catalogue.ts: ${name}`, runtime);
  const runtimes = RUNTIME_NAMES.filter((runtime) => !partial || results.some((result) => result.runtime === runtime));
  const ids = Object.keys(CATALOGUE).filter((id) => !partial || results.some(({ name }) => caseOf(name) === id));
  const notes: string[] = [];
  const rows = ids.map((id) => {
    const cells = runtimes.map((runtime) => {
      const own = results.filter((result) => result.runtime === runtime && caseOf(result.name) === id);
      return cell(id, runtime, own, notes, problems);
    });
    return [id, CATALOGUE[id]!, ...cells];
  });
  const table = aligned([["id", "case", ...runtimes.map((runtime) => HEADINGS[runtime])], ...rows]);
  const footnotes = notes.map((note, index) => `[^${index + 1}]: ${note}\n`);
  return { markdown: [table, ...footnotes].join("\n"), problems: told(problems) };
}

/** What is wrong with a case, and on which runtimes. */
type Problems = Map<string, RuntimeName[]>;

function add(problems: Problems, sentence: string, runtime: RuntimeName): void {
  problems.set(sentence, [...(problems.get(sentence) ?? []), runtime]);
}

function told(problems: Problems): string[] {
  return [...problems].map(([sentence, runtimes]) => `${sentence} (${[...new Set(runtimes)].join(", ")})`);
}

function cell(id: string, runtime: RuntimeName, own: FaultResult[], notes: string[], problems: Problems): string {
  const bad = (word: string, sentence: string) => {
    add(problems, `${id}: ${sentence}`, runtime);
    return `**${word}**`;
  };
  if (own.length === 0) return bad("missing", "no test ran");
  const failed = own.find(({ state }) => state === "failed" || state === "pending");
  if (failed) return bad("failed", `failed: ${failed.name}`);
  const skipped = own.find(({ state, note }) => state === "skipped" && !note?.startsWith(CANNOT_RUN));
  if (skipped) return bad("skipped", `skipped (${skipped.note ?? "without a reason"}): ${skipped.name}`);
  const deviating = own.filter(({ deviation }) => deviation !== undefined);
  const unable = own.filter(({ state }) => state === "skipped");
  if (deviating.length + unable.length === 0) return "pass";
  const marks = [
    ...deviating.map(({ name, deviation }) => footnote(`deviates in “${name}”: ${deviation}`, notes)),
    ...unable.map(({ name, note }) => footnote(`${note!.replace(":", ` “${name}”:`)}`, notes)),
  ];
  const whole = unable.length === 0 ? "deviates" : "cannot run";
  return `${deviating.length + unable.length < own.length ? "pass, but" : whole}${marks.join("")}`;
}

/** A reason that several runtimes share is told once. */
function footnote(text: string, notes: string[]): string {
  if (!notes.includes(text)) notes.push(text);
  return `[^${notes.indexOf(text) + 1}]`;
}

function aligned([head, ...rows]: string[][]): string {
  const widths = head!.map((_, column) => Math.max(...[head!, ...rows].map((row) => row[column]!.length)));
  const line = (cells: string[]) => `| ${cells.map((text, column) => text.padEnd(widths[column]!)).join(" | ")} |\n`;
  return [line(head!), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("");
}
