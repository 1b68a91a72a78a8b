/** What a configuration may hold, and what is said about one that does not. */
import { dirname, resolve } from "node:path";
import { z } from "zod";
import { isRecord } from "./body/message.ts";
import { ProxyError } from "./errors.ts";
import { readListenTls, readServerTls } from "./pem.ts";
import { whyNoSecret } from "./seal.ts";
import type { PenstockConfig } from "./types.ts";

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
const secret = z.string("a secret, or a list of them").superRefine((text, context) => {
  const why = whyNoSecret(text);
  if (why !== undefined) context.addIssue({ code: "custom", message: `another one: ${why.replace(/\.$/, "")}` });
});

const paths = z.union([path, z.array(path).min(1, "at least one path")]).optional();

/** What can be said of every server. */
const common = {
  era: z.enum(["auto", "legacy", "modern"]).optional(),
  path: paths,
  ssePath: paths,
  plugins,
  timeouts: z.strictObject({ connect: ms, headers: ms, call: ms, body: ms, stream: ms }).partial().optional(),
  maxRequestBytes: size,
  maxMessageBytes: size,
};

const httpServer = z.strictObject({
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
  transport: z.enum(["http", "sse"]).optional(),
  headers: strings.optional(),
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
  ...common,
});

const COMMAND = "the name or path of a program; its arguments belong into `args`";

const stdioServer = z.strictObject({
  command: z.string(COMMAND).min(1, COMMAND),
  args: z.array(z.string("a text")).optional(),
  env: z.record(z.string(), z.string("a text")).optional(),
  cwd: z.string("a folder").min(1, "a folder").optional(),
  transport: z.literal("stdio").optional(),
  shared: z.boolean().optional(),
  idleTimeout: ms.optional(),
  maxProcesses: z.int("a whole number").min(1, "1 or more").optional(),
  ...common,
});

/** `command` decides which of the two is meant, so that each mistake is told as one of that kind. */
function kindOf(entry: unknown): typeof httpServer | typeof stdioServer {
  return isRecord(entry) && entry.command !== undefined ? stdioServer : httpServer;
}

const server = z.unknown().superRefine((entry, context) => {
  const { error } = kindOf(entry).safeParse(entry, { reportInput: true });
  for (const issue of error?.issues ?? []) context.issues.push(issue as z.core.$ZodRawIssue);
});

const schema = z.strictObject({
  servers: z
    .record(z.string().min(1), server)
    .refine((servers) => Object.keys(servers).length > 0, "at least one server"),
  plugins,
  port: z.int("a whole number from 0 to 65535").min(0, "0 to 65535").max(65_535, "0 to 65535").optional(),
  host: z.string().min(1, 'an address such as "127.0.0.1"').optional(),
  socket: z.string('a path such as "/run/penstock.sock"').min(1, 'a path such as "/run/penstock.sock"').optional(),
  tls: z.strictObject({ cert: z.string(), key: z.string(), passphrase: z.string().optional() }).optional(),
  clientLimits: z
    .strictObject({
      headers: ms,
      body: ms,
      write: ms,
      idle: ms,
      connections: z.int("a whole number").min(1, "1 or more"),
    })
    .partial()
    .optional(),
  drainTimeout: ms.optional(),
  lameDuck: ms.optional(),
  allowUnauthenticated: z.boolean().optional(),
  publicUrl: z.string('a URL such as "https://mcp.example.com"').optional(),
  secret: z.union([secret, z.array(secret).min(1, "at least one secret")]).optional(),
  store: z.custom((value) => isRecord(value), "an object with the operations of a Store").optional(),
  trustedProxies: z.array(z.string('"loopback", an address, or a CIDR block')).optional(),
});

/**
 * Checks a configuration whose variables are filled in.
 *
 * @param mistakes that are known already; of one place only the first is told
 * @throws ProxyError `BAD_CONFIG` with every mistake
 */
export function validate(input: Record<string, unknown>, source: string, mistakes: string[]): PenstockConfig {
  const result = schema.safeParse(withoutBoth(input, mistakes), { reportInput: true });
  const places = new Set(mistakes.map(placeOf));
  if (input.socket !== undefined && (input.port ?? input.host) !== undefined)
    mistakes.push("socket: found beside port or host; allowed is one of them.");
  if (!result.success)
    mistakes.push(...result.error.issues.flatMap(explain).filter((mistake) => !places.has(placeOf(mistake))));
  if (mistakes.length > 0) throw bad(`${source}:\n${mistakes.map((mistake) => `  - ${mistake}`).join("\n")}`);
  const config = result.data as PenstockConfig;
  for (const [name, server] of Object.entries(config.servers)) {
    if (server.tls) readServerTls(server.tls, dirname(source), `servers.${name}.tls`);
    if (server.command !== undefined && server.cwd !== undefined) server.cwd = resolve(dirname(source), server.cwd);
  }
  if (config.tls) config.tls = readListenTls(config.tls, dirname(source));
  if (config.socket) config.socket = resolve(dirname(source), config.socket);
  return config;
}

function placeOf(mistake: string): string {
  return mistake.slice(0, mistake.indexOf(": "));
}

/** A server with both is one mistake, and not as many as the other kind has keys. */
function withoutBoth(input: Record<string, unknown>, mistakes: string[]): unknown {
  if (!isRecord(input.servers)) return input;
  const servers = Object.entries(input.servers).map(([name, entry]) => {
    if (!isRecord(entry) || entry.command === undefined || entry.url === undefined) return [name, entry];
    mistakes.push(`servers.${name}: found \`command\` beside \`url\`; allowed is one of them.`);
    return [name, { url: "http://both.invalid" }];
  });
  return { ...input, servers: Object.fromEntries(servers) };
}

/** One sentence per mistake: where, what was found, what is allowed. */
function explain(issue: z.core.$ZodIssue): string[] {
  const where = issue.path.join(".") || "the configuration";
  if (issue.code === "unrecognized_keys")
    return issue.keys.map(
      (key) => `${[...issue.path, key].join(".")}: unknown key. ${allowedKeys(issue.path, kindOf(issue.input))}`,
    );
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
    `${where}: ${found}; allowed is ${wanted}.${issue.path.at(-1) === "transport" && issue.input === "stdio" ? STDIO : ""}`,
  ];
}

const WANTED: Partial<Record<string, string>> = {
  string: "a string",
  boolean: "true or false",
  object: "an object",
  record: "an object",
  array: "a list",
};

const STDIO = " A server that speaks over stdio needs `command`.";

/** @param server which of the two it is, where it is one */
function allowedKeys(path: readonly PropertyKey[], server: ReturnType<typeof kindOf>): string {
  if (path[0] === "tls") return `Allowed are ${Object.keys(schema.shape.tls.unwrap().shape).join(", ")}.`;
  const shape = path[0] !== "servers" ? schema.shape : path.length === 2 ? server.shape : undefined;
  const inner = path[2] === "timeouts" || path[2] === "tls" ? httpServer.shape[path[2]].unwrap().shape : undefined;
  return shape || inner ? `Allowed are ${Object.keys((inner ?? shape)!).join(", ")}.` : "";
}

/** Texts that hold no secret. */
const SHOWN: ReadonlySet<PropertyKey | undefined> = new Set(["transport", "path", "ssePath"]);

/** A value may hold a secret: only what cannot is shown. */
function describe(path: readonly PropertyKey[], value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (value === null) return "null";
  if (typeof value === "object") return Object.keys(value).length === 0 ? "an empty object" : "an object";
  const mayShow =
    (path.length === 1 && path[0] !== "tls" && path[0] !== "secret") ||
    (path[0] !== "secret" &&
      path[2] !== "headers" &&
      path[2] !== "env" &&
      path[2] !== "args" &&
      (typeof value !== "string" ? path.at(-1) !== "passphrase" : SHOWN.has(path[2])));
  return mayShow ? JSON.stringify(value) : `a ${typeof value}`;
}

function bad(hint: string): ProxyError {
  return new ProxyError("BAD_CONFIG", { hint });
}
