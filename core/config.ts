/** Configuration from files: found by c12, `${VAR}` filled in, checked by zod. Loaded on demand: the data path needs none of it. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { loadConfig } from "c12";
import { z } from "zod";
import { ProxyError } from "./errors.ts";
import { expandVariables } from "./variables.ts";
import type { PenstockConfig, TlsOptions } from "./types.ts";

const ms = z.number().int("whole milliseconds").min(0);
const plugins = z.custom((value) => value === undefined || value === null || typeof value === "object" || !value, "a plugin, or a list of plugins").optional();
const path = z.string().regex(/^\/[^\s?#]*$/, 'a path that begins with "/", without query');
const strings = z.record(z.string(), z.string());

const server = z.strictObject({
  url: z.string().refine((text) => URL.canParse(text) && /^https?:/i.test(text), 'an http: or https: URL, e.g. "https://docs.example.com/mcp"'),
  transport: z.literal("http").optional(),
  headers: strings.optional(),
  path: z.union([path, z.array(path).min(1)]).optional(),
  plugins,
  timeouts: z.strictObject({ connect: ms, headers: ms, call: ms, body: ms, stream: ms }).partial().optional(),
  tls: z
    .strictObject({ ca: z.union([z.string(), z.array(z.string())]), cert: z.string(), key: z.string(), passphrase: z.string(), rejectUnauthorized: z.boolean() })
    .partial()
    .optional(),
  maxRequestBytes: z.number().int().min(1).optional(),
  maxMessageBytes: z.number().int().min(1).optional(),
});

const schema = z.strictObject({
  servers: z.record(z.string().min(1), server).refine((servers) => Object.keys(servers).length > 0, "at least one server"),
  plugins,
  port: z.number().int().min(0).max(65_535).optional(),
  host: z.string().min(1).optional(),
  drainTimeout: ms.optional(),
  allowUnauthenticated: z.boolean().optional(),
});

/** A configuration, and the file that it came from. */
export interface LoadedConfig {
  config: PenstockConfig;
  file: string;
}

/**
 * Loads a configuration file.
 *
 * @param file its path; without it `penstock.config.{ts,mts,js,mjs,json,…}` in `cwd`
 * @returns `undefined` when no file was named and none is there
 * @throws ProxyError `BAD_CONFIG` with every mistake, each with its place in the file
 */
export async function loadConfigFile(file: string | undefined, cwd: string = process.cwd()): Promise<LoadedConfig | undefined> {
  if (file !== undefined && !existsSync(resolve(cwd, file))) throw bad(`There is no file ${file}. Name an existing one with --config.`);
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
  }).catch((cause: unknown) => {
    throw bad(`${file ?? "penstock.config"} could not be loaded: ${cause instanceof Error ? cause.message.split("\n")[0] : String(cause)}`, cause);
  });
  const found = loaded.layers?.find((layer) => layer.configFile)?.configFile;
  if (!found || !existsSync(resolve(cwd, found))) return undefined;
  const source = resolve(cwd, found);
  return { config: checkConfig(loaded.config, source), file: source };
}

/**
 * Fills in `${VAR}` and checks a configuration.
 *
 * @param source its file, for messages and relative paths
 * @throws ProxyError `BAD_CONFIG` with every mistake
 */
export function checkConfig(input: unknown, source: string): PenstockConfig {
  const mistakes: string[] = [];
  const { servers, ...rest } = (input ?? {}) as { servers?: unknown };
  const expanded = { ...rest, ...(servers !== undefined && { servers: expandVariables(servers, "servers", mistakes) }) };
  const result = schema.safeParse(expanded, { reportInput: true });
  if (!result.success) mistakes.push(...result.error.issues.flatMap(explain));
  if (mistakes.length > 0) throw bad(`${source}:\n${mistakes.map((mistake) => `  - ${mistake}`).join("\n")}`);
  const config = result.data as PenstockConfig;
  for (const [name, { tls }] of Object.entries(config.servers)) if (tls) readPem(tls, dirname(source), `servers.${name}.tls`);
  return config;
}

/** One sentence per mistake: where, what was found, what is allowed. */
function explain(issue: z.core.$ZodIssue): string[] {
  const where = issue.path.join(".") || "the configuration";
  if (issue.code === "unrecognized_keys") return issue.keys.map((key) => `${[...issue.path, key].join(".")}: unknown key. ${allowedKeys(issue.path)}`);
  // Of a union only the first branch is told: `path` and `ca` may be lists, which is rarely what was meant.
  if (issue.code === "invalid_union") return issue.errors[0]!.flatMap((inner) => explain({ ...inner, path: [...issue.path, ...inner.path] }));
  const found = issue.input === undefined ? "it is missing" : `found ${describe(issue.path, issue.input)}`;
  const wanted = issue.code === "invalid_type" ? `a ${issue.expected}` : issue.code === "invalid_value" ? issue.values.map((value) => JSON.stringify(value)).join(" or ") : issue.message;
  return [`${where}: ${found}; allowed is ${wanted}.${hintFor(issue.path)}`];
}

function allowedKeys(path: readonly PropertyKey[]): string {
  const shape = path[0] !== "servers" ? schema.shape : path.length === 2 ? server.shape : undefined;
  const inner = path[2] === "timeouts" || path[2] === "tls" ? server.shape[path[2]].unwrap().shape : undefined;
  return shape || inner ? `Allowed are ${Object.keys((inner ?? shape)!).join(", ")}.` : "";
}

/** A value may hold a secret: only what cannot is shown. */
function describe(path: readonly PropertyKey[], value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (value === null) return "null";
  if (typeof value === "object") return "an object";
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  return path.at(-1) === "transport" || path.at(-1) === "path" || path.at(-1) === "host" || path.length === 1 ? JSON.stringify(value) : `a ${typeof value} that is not one`;
}

function hintFor(path: readonly PropertyKey[]): string {
  return path.at(-1) === "transport" ? " HTTP+SSE and stdio servers are not supported yet." : path.length === 3 && path[2] === "url" ? " Servers that are started by a `command` are not supported yet." : "";
}

/** Files become their content, so that nothing is read while requests run. */
function readPem(tls: TlsOptions, folder: string, where: string): void {
  const read = (key: string, value: string) => {
    if (value.includes("-----BEGIN")) return value;
    try {
      return readFileSync(resolve(folder, value), "utf8");
    } catch (cause) {
      throw bad(`${where}.${key}: the file ${value} cannot be read (${(cause as { code?: string }).code}). Give a path relative to the configuration, or PEM text.`, cause);
    }
  };
  if (tls.ca) tls.ca = [tls.ca].flat().map((value) => read("ca", value));
  if (tls.cert) tls.cert = read("cert", tls.cert);
  if (tls.key) tls.key = read("key", tls.key);
}

function bad(hint: string, cause?: unknown): ProxyError {
  return new ProxyError("BAD_CONFIG", { hint, cause });
}
