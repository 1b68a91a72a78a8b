/** Configuration from files: found by c12, `${VAR}` filled in, checked by zod. Loaded on demand: the data path needs none of it. */
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, extname, join, resolve } from "node:path";
import { loadConfig } from "c12";
import { validate } from "./config-schema.ts";
import { ProxyError } from "./errors.ts";
import { parseJsonc } from "./jsonc.ts";
import { type Redactor, createRedactor } from "./redact.ts";
import { registerSecrets } from "./secrets.ts";
import { type Expansion, expandVariables } from "./variables.ts";
import type { PenstockConfig } from "./types.ts";

const LOADABLE: ReadonlySet<string> = new Set([
  ".ts",
  ".mts",
  ".cts",
  ".js",
  ".mjs",
  ".cjs",
  ".json",
  ".jsonc",
  ".json5",
  ".yaml",
  ".yml",
  ".toml",
]);

/** A configuration, and the file that it came from. */
export interface LoadedConfig {
  config: PenstockConfig;
  file: string;
}

/**
 * Loads a configuration file.
 *
 * @param file its path; without it `penstock.config.{ts,mts,js,mjs,json,…}` in `cwd`
 * @param redactor learns the secrets of the file
 * @returns `undefined` when no file was named and none is there
 * @throws ProxyError `BAD_CONFIG` with every mistake, each with its place in the file
 */
export async function loadConfigFile(
  file: string | undefined,
  cwd: string = process.cwd(),
  redactor: Redactor = createRedactor(),
): Promise<LoadedConfig | undefined> {
  if (file !== undefined && !existsSync(resolve(cwd, file)))
    throw bad(`There is no file ${file}. Name an existing one with --config.`);
  if (file !== undefined && !LOADABLE.has(extname(file)))
    throw bad(`${file} is no configuration file. Allowed are ${[...LOADABLE].join(", ")}.`);
  const loaded = await loadConfig<PenstockConfig>({
    cwd,
    name: "penstock",
    ...(file !== undefined && { configFile: resolve(cwd, file) }),
    // Only what was asked for: no rc files, no package.json, no .env, nothing from parent folders.
    rcFile: false,
    globalRc: false,
    packageJson: false,
    dotenv: false,
    envName: false,
    // c12 would fetch and run what `extends` names.
    extend: false,
    jitiOptions: {
      alias: ownNames(),
      // Native imports (Bun) would look for the package beside the file, and find none or a second copy.
      tryNative: false,
      // The cache is a folder that others may write to, and the file may hold secrets.
      fsCache: false,
    },
  }).catch((cause: unknown) => {
    throw bad(whyNotLoaded(cause, cwd, file), cause);
  });
  const source = loaded._configFile;
  if (source === undefined) return undefined;
  return { config: checkConfig(loaded.config, source, redactor), file: source };
}

/** A configuration imports `mcp-penstock` wherever it lies: the name leads to the copy that runs, as installed or not. */
function ownNames(): Record<string, string> {
  const { resolve } = createRequire(import.meta.url);
  return {
    "mcp-penstock/testing": resolve("mcp-penstock/testing"),
    "mcp-penstock/plugins": join(dirname(resolve("mcp-penstock/package.json")), "dist", "plugins"),
    "mcp-penstock": resolve("mcp-penstock"),
  };
}

/**
 * Fills in `${VAR}` and checks a configuration.
 *
 * @param source its file, for messages and relative paths
 * @param redactor learns its secrets
 * @throws ProxyError `BAD_CONFIG` with every mistake
 */
export function checkConfig(input: unknown, source: string, redactor: Redactor = createRedactor()): PenstockConfig {
  const mistakes: string[] = [];
  const expansions: Expansion[] = [];
  const config = Object.fromEntries(
    Object.entries(input ?? {}).map(([key, value]) => [
      key,
      // Objects with functions, and no text to fill in.
      key === "plugins" || key === "store" ? value : expandVariables(value, key, mistakes, { expansions }),
    ]),
  );
  registerSecrets(config, expansions, redactor);
  // Modules only: JSON has no exports to forget.
  if (config.servers === undefined && mistakes.length === 0 && /^\.[cm]?[jt]s$/.test(extname(source)))
    mistakes.push("servers: it is missing. Does the file end with `export default defineConfig({ servers: { … } })`?");
  return validate(config, source, mistakes);
}

/** The first line, and where it was: what follows may quote the file, and with it a secret. */
function whyNotLoaded(cause: unknown, cwd: string, file: string | undefined): string {
  const name = file ?? "penstock.config";
  if (cause instanceof Error && cause.name === "NotCapable") return `${name} could not be loaded: ${cause.message}`;
  if (!(cause instanceof Error)) return `${name} could not be loaded: ${String(cause)}`;
  const json = resolve(cwd, file ?? "penstock.config.json");
  // Some runtimes quote what they could not parse.
  if (extname(json) === ".json" && existsSync(json)) {
    const parsed = parseJsonc(readFileSync(json, "utf8"));
    if ("broken" in parsed) return `${file ?? json} is not JSON: see ${parsed.broken}.`;
  }
  // The loader stumbles over a value that is nothing; a mistake in the file's own code has the file in its stack.
  if (cause instanceof TypeError && !cause.stack?.includes(file === undefined ? "penstock.config." : basename(file)))
    return `${name} has no configuration as its default export, or its function returns none. It ends with \`export default defineConfig({ servers: { … } })\`.`;
  const [line = ""] = cause.message.split("\n");
  const place = /:(\d+:\d+)\)?\s*$/m.exec(cause.message);
  return `${name} could not be loaded: ${line.trim()}${place ? ` (line ${place[1]!.replace(":", ", column ")})` : ""}`;
}

function bad(hint: string, cause?: unknown): ProxyError {
  return new ProxyError("BAD_CONFIG", { hint, cause });
}
