/** `mcpServers` files, as Claude, Cursor and VS Code keep them, read as a configuration. */
import { readFileSync } from "node:fs";
import { isRecord } from "./body/message.ts";
import { validate } from "./config-schema.ts";
import { ProxyError } from "./errors.ts";
import { parseJsonc } from "./jsonc.ts";
import type { Logger } from "./log.ts";
import { type Redactor, createRedactor } from "./redact.ts";
import { registerSecrets } from "./secrets.ts";
import type { Json, PenstockConfig } from "./types.ts";
import { type Expansion, expandVariables } from "./variables.ts";

/** What is taken over. Everything else belongs to the product that wrote the file. */
const KNOWN = new Set(["url", "headers", "type", "disabled"]);
const KNOWN_STDIO = new Set(["command", "args", "env", "cwd", "type", "disabled"]);

/** What lies in such a file, unread. */
export interface McpJson {
  /** Each under its name, whatever it is. */
  entries: Json;
  hasInputs: boolean;
}

/**
 * @param file a JSON file with `mcpServers` (Claude, Cursor) or `servers` (VS Code)
 * @param log told once about everything that is left out
 * @param redactor learns the secrets of the file
 * @throws ProxyError `BAD_CONFIG`
 */
export function readMcpJson(file: string, log: Logger, redactor: Redactor = createRedactor()): PenstockConfig {
  const { entries, hasInputs } = parseMcpJson(file, "Name an existing one with --mcp-json.");
  if (hasInputs) log.info(`${file}: inputs are ignored; use environment variables.`);
  const servers: Json = {};
  const mistakes: string[] = [];
  const expansions: Expansion[] = [];
  for (const [name, entry] of Object.entries(entries)) {
    const server = isRecord(entry) ? readServer(file, name, entry, log, mistakes, expansions) : entry;
    if (server) servers[name] = server;
  }
  if (Object.keys(servers).length === 0) throw bad(`${file}: no server in it can be used.`);
  registerSecrets({ servers }, expansions, redactor);
  return validate({ servers }, file, mistakes);
}

function readServer(
  file: string,
  name: string,
  entry: Json,
  log: Logger,
  mistakes: string[],
  expansions: Expansion[],
): Json | undefined {
  if (entry.disabled === true) return void log.info(`${file}: server '${name}' is disabled there and left out.`);
  const known = entry.command === undefined ? KNOWN : KNOWN_STDIO;
  const ignored = Object.keys(entry).filter((key) => !known.has(key));
  if (ignored.length > 0) log.info(`${file}: server '${name}': ignored ${ignored.join(", ")}.`);
  const taken = Object.entries(entry).filter(([key]) => known.has(key) && key !== "type" && key !== "disabled");
  const server = { ...Object.fromEntries(taken), ...(speaksSse(entry) && { transport: "sse" }) };
  return expandVariables(server, `servers.${name}`, mistakes, { lenient: true, expansions }) as Json;
}

/** Whether an entry of such a file is a server of HTTP+SSE. */
export function speaksSse({ command, type }: Json): boolean {
  return command === undefined && type === "sse";
}

/**
 * Reads such a file. Comments and trailing commas are taken: VS Code and Cursor write them.
 *
 * @param advice what to do where there is no such file
 * @throws ProxyError `BAD_CONFIG`
 */
export function parseMcpJson(file: string, advice: string): McpJson {
  const json = parse(file, advice);
  const entries = isRecord(json.mcpServers) ? json.mcpServers : isRecord(json.servers) ? json.servers : undefined;
  if (!entries) throw bad(`${file}: it has neither "mcpServers" nor "servers".`);
  return { entries, hasInputs: json.inputs !== undefined };
}

function parse(file: string, advice: string): Json {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    throw bad(`There is no readable file ${file} (${(cause as { code?: string }).code}). ${advice}`);
  }
  const parsed = parseJsonc(text);
  if ("broken" in parsed) throw bad(`${file} is not JSON: see ${parsed.broken}.`);
  if (isRecord(parsed.value)) return parsed.value;
  throw bad(`${file} is not a JSON object.`);
}

function bad(hint: string): ProxyError {
  return new ProxyError("BAD_CONFIG", { hint });
}
