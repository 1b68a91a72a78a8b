import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { stripVTControlCharacters } from "node:util";

/** A JavaScript runtime that the built command line is started with. */
export interface Runtime {
  /** How it calls itself in the banner. */
  readonly label: "Node.js" | "Bun" | "Deno";
  readonly version: string;
  readonly command: string;
  /** Before the script. */
  readonly args: readonly string[];
  /** Among them where the process loads TypeScript of this checkout: plugins of tests, which `import()` leads to. */
  readonly typescript: readonly string[];
}

const folder = new URL("../runtimes/", import.meta.url);

/** What Deno must be allowed for Penstock to start; README.md tells the same. */
export const DENO_FLAGS = ["--allow-net", "--allow-read", "--allow-env"];
/** The same for servers that are started by a command. */
export const DENO_RUN_FLAG = "--allow-run";

/** Bun follows the `paths` of the checkout's tsconfig.json to the sources: plugins of tests would be given another copy of the core. */
const BUN_FLAGS = [`--tsconfig-override=${fileURLToPath(new URL("bun.tsconfig.json", folder))}`];

/** Node 20 cannot strip types. The hook that does it takes as long to load as a proxy to start. */
const NODE20_TYPESCRIPT = ["--import", new URL("strip-types.mjs", folder).href];

const PROJECTS = {
  /** The Node that runs the tests; on the machine that decides about changes it is Node 20. */
  node20: { label: "Node.js", bin: undefined, args: [] },
  node24: { label: "Node.js", bin: "node", args: [] },
  bun: { label: "Bun", bin: "bun", args: BUN_FLAGS },
  deno: { label: "Deno", bin: "deno", args: ["run", "--no-prompt", ...DENO_FLAGS] },
} as const;

/** The name of a project in vitest.config.ts that runs the proxy in a child process. */
export type RuntimeName = keyof typeof PROJECTS;

export const RUNTIME_NAMES = Object.keys(PROJECTS) as RuntimeName[];

/** The runtime of this project; `undefined` where the proxy runs inside of the test process. */
export const otherRuntime = process.env.PENSTOCK_RUNTIME as RuntimeName | undefined;

/**
 * What the command line is started with.
 *
 * @param writes Deno must be allowed to make files
 * @param name @default the project's
 * @param runs Deno must be allowed to start the commands of servers
 */
export function runtime(writes = false, name: RuntimeName = otherRuntime ?? "node20", runs = false): Runtime {
  const { label, bin, args } = PROJECTS[name];
  if (bin === undefined)
    return { label, version: process.versions.node, command: process.execPath, args, typescript: NODE20_TYPESCRIPT };
  const { dependencies } = JSON.parse(readFileSync(new URL("package.json", folder), "utf8")) as {
    dependencies: Record<string, string>;
  };
  return {
    label,
    version: dependencies[bin]!,
    command: fileURLToPath(new URL(`node_modules/.bin/${bin}`, folder)),
    args: label === "Deno" ? [...args, ...(writes ? ["--allow-write"] : []), ...(runs ? [DENO_RUN_FLAG] : [])] : args,
    typescript: [],
  };
}

/** @throws Error when the banner was printed by another runtime than this project's: a shim in between would prove nothing */
export function assertRuntime(banner: string): void {
  const { label, version } = runtime();
  const found = / on (\S+ \S+) listening on /.exec(stripVTControlCharacters(banner))?.[1];
  if (found !== `${label} ${version}`) throw new Error(`${label} ${version} should have answered, and not ${found}`);
}
