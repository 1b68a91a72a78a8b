/** Runs the conformance suite of MCP against a URL, and reads what it wrote. */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { installPackages } from "../_harness/packages.ts";
import { runtime } from "../_harness/runtimes.ts";

/** The revisions that have sessions, and scenarios. */
export const VERSIONS = ["2025-03-26", "2025-06-18", "2025-11-25"] as const;
export type Version = (typeof VERSIONS)[number];

/** One line of a `checks.json`. */
export interface Check {
  id: string;
  status: "SUCCESS" | "FAILURE" | "WARNING" | "SKIPPED" | "INFO";
  errorMessage?: string;
  details?: unknown;
}

/** What each scenario found. One that wrote nothing is not there. */
export type Results = ReadonlyMap<string, readonly Check[]>;

const folder = fileURLToPath(new URL(".", import.meta.url));
const entry = join(folder, "node_modules/@modelcontextprotocol/conformance/dist/index.js");
const RUN_MS = 120_000;

export const installSuite = () => installPackages({ folder, what: "the conformance suite" });

/** The suite needs Node 22 or later. */
async function suite(...args: string[]): Promise<string> {
  const { command } = runtime(false, "node24");
  try {
    return (await promisify(execFile)(command, [entry, ...args], { timeout: RUN_MS })).stdout;
  } catch (cause) {
    // Failed checks make its exit code 1; they are read from the files.
    const { stdout, code, killed } = cause as { stdout?: string; code?: number; killed?: boolean };
    if (code === 1 && !killed && stdout?.includes("=== SUMMARY ===")) return stdout;
    throw cause;
  }
}

/** The scenarios that a revision has. */
export async function scenariosOf(version: Version): Promise<string[]> {
  const text = await suite("list", "--server", "--spec-version", version);
  return [...text.matchAll(/^ {2}- (\S+)/gm)].map(([, name]) => name!);
}

/** Runs all scenarios of a revision. */
export async function runSuite(url: string, version: Version): Promise<Results> {
  const out = await mkdtemp(join(tmpdir(), "penstock-conformance-"));
  try {
    await suite("server", "--url", url, "--suite", "all", "--spec-version", version, "-o", out);
    const results = new Map<string, Check[]>();
    for (const name of await readdir(out)) {
      const scenario = /^server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z$/.exec(name)?.[1];
      if (scenario === undefined) throw new Error(`the suite wrote ${name}: whose is that?`);
      results.set(scenario, JSON.parse(await readFile(join(out, name, "checks.json"), "utf8")) as Check[]);
    }
    return results;
  } finally {
    await rm(out, { recursive: true });
  }
}
