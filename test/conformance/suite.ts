/** Runs the conformance suite of MCP against a server or a client, and reads what it wrote. */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { installPackages } from "../_harness/packages.ts";
import { runtime } from "../_harness/runtimes.ts";

/** The revisions that have scenarios for servers. */
export const VERSIONS = ["2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"] as const;
export type Version = (typeof VERSIONS)[number];

/** One line of a `checks.json`. */
export interface Check {
  id: string;
  name?: string;
  status: "SUCCESS" | "FAILURE" | "WARNING" | "SKIPPED" | "INFO";
  errorMessage?: string;
  details?: unknown;
}

/** What each scenario found. One that wrote nothing is not there. */
export type Results = ReadonlyMap<string, readonly Check[]>;

/** Which side of the suite plays: it is the other one's counterpart. */
export type Mode = "server" | "client";

const folder = fileURLToPath(new URL(".", import.meta.url));
const entry = join(folder, "node_modules/@modelcontextprotocol/conformance/dist/index.js");
const RUN_MS = 120_000;

export const installSuite = () => installPackages({ folder, what: "the conformance suite" });

/** The suite needs Node 22 or later. */
async function suite(args: string[], env: Record<string, string> = {}): Promise<string> {
  const { command } = runtime(false, "node24");
  try {
    const options = { timeout: RUN_MS, env: { ...process.env, ...env } };
    return (await promisify(execFile)(command, [entry, ...args], options)).stdout;
  } catch (cause) {
    // Failed checks make its exit code 1; they are read from the files.
    const { stdout, stderr, code, killed } = cause as {
      stdout?: string;
      stderr?: string;
      code?: number;
      killed?: boolean;
    };
    if (code === 1 && !killed && /=== SUMMARY ===|^Test Results:/m.test(`${stdout}\n${stderr}`)) return stdout!;
    throw cause;
  }
}

/** The scenarios that a revision has. */
export async function scenariosOf(mode: Mode, version: Version): Promise<string[]> {
  const text = await suite(["list", `--${mode}`, "--spec-version", version]);
  return [...text.matchAll(/^ {2}- (\S+)/gm)].map(([, name]) => name!);
}

/** Runs all scenarios of a revision against a server. */
export function runServer(url: string, version: Version): Promise<Results> {
  return intoFolder(async (out) => {
    await suite(["server", "--url", url, "--suite", "all", "--spec-version", version, "-o", out]);
    return /^server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z$/;
  });
}

/** Runs one scenario of a revision with a client. @param command the suite puts the URL of its server behind it */
export function runClient(
  command: readonly string[],
  scenario: string,
  version: Version,
  env: Record<string, string> = {},
): Promise<Results> {
  return intoFolder(async (out) => {
    const what = ["--scenario", scenario, "--spec-version", version];
    await suite(["client", "--command", command.join(" "), ...what, "-o", out], env);
    return /^(.+)-\d{4}-\d\d-\d\dT[\d-]+Z$/;
  });
}

/** @param run gives the names of the folders that it made, with the scenario in them */
async function intoFolder(run: (out: string) => Promise<RegExp>): Promise<Results> {
  const out = await mkdtemp(join(tmpdir(), "penstock-conformance-"));
  try {
    const names = await run(out);
    const results = new Map<string, Check[]>();
    for (const name of await readdir(out)) {
      const scenario = names.exec(name)?.[1];
      if (scenario === undefined) throw new Error(`the suite wrote ${name}: whose is that?`);
      results.set(scenario, JSON.parse(await readFile(join(out, name, "checks.json"), "utf8")) as Check[]);
    }
    return results;
  } finally {
    await rm(out, { recursive: true });
  }
}
