/** `mcpServers` files, as Claude, Cursor and VS Code keep them, read as a configuration. */
import { readFileSync } from "node:fs";
import { isRecord } from "./body/message.ts";
import { validate } from "./config.ts";
import { ScanError, scan } from "./body/scan.ts";
import { ProxyError } from "./errors.ts";
import type { Logger } from "./log.ts";
import type { Json, PenstockConfig } from "./types.ts";
import { expandVariables } from "./variables.ts";

/** What is taken over. Everything else belongs to the product that wrote the file. */
const KNOWN = new Set(["url", "headers", "type", "disabled"]);

/**
 * @param file a JSON file with `mcpServers` (Claude, Cursor) or `servers` (VS Code)
 * @param log told once about everything that is left out
 * @throws ProxyError `BAD_CONFIG`
 */
export function readMcpJson(file: string, log: Logger): PenstockConfig {
  const json = parse(file);
  const entries = isRecord(json.mcpServers) ? json.mcpServers : isRecord(json.servers) ? json.servers : undefined;
  if (!entries) throw bad(`${file}: it has neither "mcpServers" nor "servers".`);
  if (json.inputs !== undefined) log.info(`${file}: inputs are ignored; use environment variables.`);
  const servers: Json = {};
  const mistakes: string[] = [];
  for (const [name, entry] of Object.entries(entries)) {
    const server = isRecord(entry) ? readServer(file, name, entry, log, mistakes) : entry;
    if (server) servers[name] = server;
  }
  if (Object.keys(servers).length === 0) throw bad(`${file}: no server in it can be used.`);
  return validate({ servers }, file, mistakes);
}

function readServer(file: string, name: string, entry: Json, log: Logger, mistakes: string[]): Json | undefined {
  if (entry.disabled === true) return void log.info(`${file}: server '${name}' is disabled there and left out.`);
  if (entry.command !== undefined)
    return void log.warn(
      `${file}: server '${name}' is started by a command, which is not supported yet; it is left out.`,
    );
  if (entry.type === "sse")
    return void log.warn(`${file}: server '${name}' speaks HTTP+SSE, which is not supported yet; it is left out.`);
  const ignored = Object.keys(entry).filter((key) => !KNOWN.has(key));
  if (ignored.length > 0) log.info(`${file}: server '${name}': ignored ${ignored.join(", ")}.`);
  const { url, headers } = expandVariables({ url: entry.url, headers: entry.headers }, `servers.${name}`, mistakes, {
    lenient: true,
  }) as Json;
  return { url, ...(headers !== undefined && { headers }) };
}

function parse(file: string): Json {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    throw bad(
      `There is no readable file ${file} (${(cause as { code?: string }).code}). Name an existing one with --mcp-json.`,
    );
  }
  try {
    const json: unknown = JSON.parse(text);
    if (isRecord(json)) return json;
  } catch {
    throw bad(`${file} is not JSON. ${whereBroken(text)}`);
  }
  throw bad(`${file} is not a JSON object.`);
}

/** `JSON.parse` would quote the file, and with it a secret. */
function whereBroken(text: string): string {
  try {
    scan(Buffer.from(text));
  } catch (error) {
    if (error instanceof ScanError && error.code === "PARSE_ERROR") return error.message;
  }
  return "";
}

function bad(hint: string): ProxyError {
  return new ProxyError("BAD_CONFIG", { hint });
}
