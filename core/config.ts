/** Configuration from files: found by c12, `${VAR}` filled in, checked by zod. Loaded on demand: the data path needs none of it. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { loadConfig } from "c12";
import { z } from "zod";
import { isRecord } from "./body/message.ts";
import { ProxyError } from "./errors.ts";
import { expandVariables } from "./variables.ts";
import type { PenstockConfig, TlsOptions } from "./types.ts";

const ms = z.number("a number of milliseconds").int("whole milliseconds").min(0, "0 or more milliseconds");
const plugins = z
  .custom(
    (value) => value === undefined || value === null || typeof value === "object" || !value,
    "a plugin, or a list of plugins",
  )
  .optional();
const size = z.int("a whole number of bytes").min(1, "1 byte or more").optional();
const path = z.string('a path such as "/mcp"').regex(/^\/[^\s?#]*$/, 'a path that begins with "/", without query');
const strings = z.record(z.string(), z.string());

const server = z.strictObject({
  url: z
    .string('an http: or https: URL, e.g. "https://docs.example.com/mcp"')
    .refine(
      (text) => URL.canParse(text) && /^https?:/i.test(text),
      'an http: or https: URL, e.g. "https://docs.example.com/mcp"',
    )
    .refine(
      (text) => !URL.canParse(text) || new URL(text).username + new URL(text).password === "",
      "a URL without user and password; set an authorization header in `headers`",
    ),
  transport: z.literal("http").optional(),
  headers: strings.optional(),
  path: z.union([path, z.array(path).min(1)]).optional(),
  plugins,
  timeouts: z.strictObject({ connect: ms, headers: ms, call: ms, body: ms, stream: ms }).partial().optional(),
  tls: z
    .strictObject({
      ca: z.union([z.string(), z.array(z.string())]),
      cert: z.string(),
      key: z.string(),
      passphrase: z.string(),
      rejectUnauthorized: z.boolean(),
    })
    .partial()
    .optional(),
  auth: z.literal("passthrough").optional(),
  maxRequestBytes: size,
  maxMessageBytes: size,
});

const schema = z.strictObject({
  servers: z
    .record(z.string().min(1), server)
    .refine((servers) => Object.keys(servers).length > 0, "at least one server"),
  plugins,
  port: z.int("a whole number from 0 to 65535").min(0, "0 to 65535").max(65_535, "0 to 65535").optional(),
  host: z.string().min(1, 'an address such as "127.0.0.1"').optional(),
  drainTimeout: ms.optional(),
  allowUnauthenticated: z.boolean().optional(),
  publicUrl: z.string('a URL such as "https://mcp.example.com"').optional(),
  trustedProxies: z.array(z.string('"loopback", an address, or a CIDR block')).optional(),
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
export async function loadConfigFile(
  file: string | undefined,
  cwd: string = process.cwd(),
): Promise<LoadedConfig | undefined> {
  if (file !== undefined && !existsSync(resolve(cwd, file)))
    throw bad(`There is no file ${file}. Name an existing one with --config.`);
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
  }).catch((cause: unknown) => {
    throw bad(`${file ?? "penstock.config"} could not be loaded: ${whyNotLoaded(cause)}`, cause);
  });
  const source = loaded._configFile;
  if (source === undefined) return undefined;
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
  return validate(
    { ...rest, ...(servers !== undefined && { servers: expandVariables(servers, "servers", mistakes) }) },
    source,
    mistakes,
  );
}

/**
 * Checks a configuration whose variables are filled in.
 *
 * @param mistakes that are known already; of one place only the first is told
 * @throws ProxyError `BAD_CONFIG` with every mistake
 */
export function validate(input: Record<string, unknown>, source: string, mistakes: string[]): PenstockConfig {
  const result = schema.safeParse(withoutCommands(input, mistakes), { reportInput: true });
  const places = new Set(mistakes.map(placeOf));
  if (!result.success)
    mistakes.push(...result.error.issues.flatMap(explain).filter((mistake) => !places.has(placeOf(mistake))));
  if (mistakes.length > 0) throw bad(`${source}:\n${mistakes.map((mistake) => `  - ${mistake}`).join("\n")}`);
  const config = result.data as PenstockConfig;
  for (const [name, { tls }] of Object.entries(config.servers))
    if (tls) readPem(tls, dirname(source), `servers.${name}.tls`);
  return config;
}

function placeOf(mistake: string): string {
  return mistake.slice(0, mistake.indexOf(": "));
}

/** A server that is started by a command is one mistake, and not as many as it has keys. */
function withoutCommands(input: Record<string, unknown>, mistakes: string[]): unknown {
  if (!isRecord(input.servers)) return input;
  const servers = Object.entries(input.servers).map(([name, entry]) => {
    if (!isRecord(entry) || entry.command === undefined) return [name, entry];
    mistakes.push(
      `servers.${name}.command: servers that are started by a command are not supported yet; give the url of one that speaks HTTP.`,
    );
    return [name, { url: "http://command.invalid" }];
  });
  return { ...input, servers: Object.fromEntries(servers) };
}

/** The first line, and where it was: what follows may quote the file, and with it a secret. */
function whyNotLoaded(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const [line = ""] = cause.message.split("\n");
  const quote = /^(.*?), (?:\.{3})?".*is not valid JSON$/.exec(line);
  const place = /:(\d+:\d+)\)?\s*$/m.exec(cause.message);
  return `${(quote?.[1] ?? line).trim()}${place ? ` (line ${place[1]!.replace(":", ", column ")})` : ""}`;
}

/** One sentence per mistake: where, what was found, what is allowed. */
function explain(issue: z.core.$ZodIssue): string[] {
  const where = issue.path.join(".") || "the configuration";
  if (issue.code === "unrecognized_keys")
    return issue.keys.map((key) => `${[...issue.path, key].join(".")}: unknown key. ${allowedKeys(issue.path)}`);
  // One value or a list of them: the branch that was meant.
  if (issue.code === "invalid_union")
    return issue.errors
      .at(Array.isArray(issue.input) ? -1 : 0)!
      .flatMap((inner) => explain({ ...inner, path: [...issue.path, ...inner.path] }));
  const found = issue.input === undefined ? "it is missing" : `found ${describe(issue.path, issue.input)}`;
  const wanted =
    issue.code === "invalid_type"
      ? issue.message.startsWith("Invalid")
        ? WANTED[issue.expected]
        : issue.message
      : issue.code === "invalid_value"
        ? issue.values.map((value) => JSON.stringify(value)).join(" or ")
        : issue.message;
  return [
    `${where}: ${found}; allowed is ${wanted}.${issue.path.at(-1) === "transport" ? " HTTP+SSE and stdio servers are not supported yet." : ""}`,
  ];
}

const WANTED: Partial<Record<string, string>> = {
  string: "a string",
  boolean: "true or false",
  object: "an object",
  record: "an object",
  array: "a list",
};

function allowedKeys(path: readonly PropertyKey[]): string {
  const shape = path[0] !== "servers" ? schema.shape : path.length === 2 ? server.shape : undefined;
  const inner = path[2] === "timeouts" || path[2] === "tls" ? server.shape[path[2]].unwrap().shape : undefined;
  return shape || inner ? `Allowed are ${Object.keys((inner ?? shape)!).join(", ")}.` : "";
}

/** A value may hold a secret: only what cannot is shown. */
function describe(path: readonly PropertyKey[], value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (value === null) return "null";
  if (typeof value === "object") return Object.keys(value).length === 0 ? "an empty object" : "an object";
  const mayShow =
    path.length === 1 ||
    (path[2] !== "headers" &&
      (typeof value !== "string" ? path.at(-1) !== "passphrase" : path[2] === "transport" || path[2] === "path"));
  return mayShow ? JSON.stringify(value) : `a ${typeof value}`;
}

/** Files become their content, so that nothing is read while requests run. */
function readPem(tls: TlsOptions, folder: string, where: string): void {
  const read = (key: string, value: string) => {
    if (value.includes("-----BEGIN")) return value;
    try {
      return readFileSync(resolve(folder, value), "utf8");
    } catch (cause) {
      throw bad(
        `${where}.${key}: the file ${value} cannot be read (${(cause as { code?: string }).code}). Give a path relative to the configuration, or PEM text.`,
        cause,
      );
    }
  };
  if (tls.ca) tls.ca = [tls.ca].flat().map((value) => read("ca", value));
  if (tls.cert) tls.cert = read("cert", tls.cert);
  if (tls.key) tls.key = read("key", tls.key);
}

function bad(hint: string, cause?: unknown): ProxyError {
  return new ProxyError("BAD_CONFIG", { hint, cause });
}
