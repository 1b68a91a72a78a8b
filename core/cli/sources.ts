/** From options to a configuration, and to the place where the proxy listens. */
import { resolve } from "node:path";
import { standard } from "../../plugins/standard.ts";
import type { LoadedConfig } from "../config.ts";
import { ProxyError } from "../errors.ts";
import { FIELD_NAME } from "../headers.ts";
import type { Logger } from "../log.ts";
import { readListenTls } from "../pem.ts";
import type { Redactor } from "../redact.ts";
import { registerSecrets } from "../secrets.ts";
import type { ServeOptions } from "../serve.ts";
import type { HttpServerConfig, PenstockConfig } from "../types.ts";
import { type Expansion, expandVariables } from "../variables.ts";
import type { Args } from "./args.ts";
import { secretOfEnvironment } from "./secret.ts";

/** What is to be served, and the secret of the environment, which wins over the file's. */
export async function loadSources(
  args: Args,
  log: Logger,
  redactor: Redactor,
): Promise<{ config: PenstockConfig; file?: string }> {
  const secret = secretOfEnvironment(redactor);
  const { config, file } = await loadServers(args, log, redactor);
  return { config: { ...config, ...(secret && { secret }) }, file };
}

/** From `--url` or `-- CMD`, or the file together with `--mcp-json`. Only here, never in `createPenstock`, is the default preset added. */
async function loadServers(
  args: Args,
  log: Logger,
  redactor: Redactor,
): Promise<{ config: PenstockConfig; file?: string }> {
  const { url, config: configFile, "mcp-json": mcpJson, _: [command, ...rest] = [] } = args;
  const alone = (what: string, others: readonly unknown[], names: string) => {
    if (others.some((other) => other !== undefined))
      throw usage(`${what} stands for a configuration of its own; leave ${names} away.`);
  };
  if (command !== undefined) {
    alone("A command behind --", [url, configFile, mcpJson], "--url, --config and --mcp-json");
    const config = { servers: { server: { command, args: rest } } };
    registerSecrets(config, [], redactor);
    return { config: { ...config, plugins: standard() } };
  }
  if (url !== undefined) {
    alone("--url", [configFile, mcpJson], "--config and --mcp-json");
    if (!/^https?:\/\//i.test(url) || !URL.canParse(url))
      throw usage(`--url: ${JSON.stringify(url)} is no http: or https: URL, such as "https://docs.example.com/mcp".`);
    const config = { servers: { server: { url } } };
    registerSecrets(config, [], redactor);
    return { config: { ...config, plugins: standard() } };
  }
  const loaded = mcpJson !== undefined && configFile === undefined ? undefined : await fromFile(configFile, redactor);
  const imported = mcpJson === undefined ? undefined : await fromMcpJson(mcpJson, log, redactor);
  if (!loaded && !imported)
    throw usage(
      "There is nothing to serve. Give --url URL, --mcp-json FILE or -- CMD ARGS…, or write a configuration: `penstock init`.",
    );
  const twice = Object.keys(imported?.servers ?? {}).find((name) => loaded?.config.servers[name]);
  if (twice) throw usage(`Server '${twice}' stands in ${loaded!.file} and in ${mcpJson}. Rename one.`);
  const config = { ...loaded?.config, servers: { ...loaded?.config.servers, ...imported?.servers } };
  return { config: { ...config, plugins: config.plugins ?? standard() }, file: loaded?.file ?? mcpJson };
}

// What reads and checks files takes half of a start to load; `--url`, `--help` and a mistyped option need none of it.

async function fromFile(file: string | undefined, redactor: Redactor): Promise<LoadedConfig | undefined> {
  const { loadConfigFile } = await import("../config.ts");
  return loadConfigFile(file, process.cwd(), redactor);
}

async function fromMcpJson(file: string, log: Logger, redactor: Redactor): Promise<PenstockConfig> {
  const { readMcpJson } = await import("../mcp-json.ts");
  return readMcpJson(file, log, redactor);
}

/** What makes no sense where nothing listens and one client is served. */
const FOR_LISTENERS: ReadonlySet<string> = new Set(["host-guard", "mounts", "oauth-root", "oauth-relay", "health"]);

/**
 * One server at a URL, for a client that is not reached over HTTP.
 *
 * @param headers as `Name: value`; `${VAR}` in them is filled in, and their values are secrets
 * @throws ProxyError `BAD_CONFIG`
 */
export function remoteServer(
  url: string,
  headers: readonly string[],
  transport: "http" | "sse",
  redactor: Redactor,
): { name: string; config: PenstockConfig } {
  if (!/^https?:\/\//i.test(url) || !URL.canParse(url))
    throw usage(`${JSON.stringify(url)} is no http: or https: URL, such as "https://docs.example.com/mcp".`);
  const mistakes: string[] = [];
  const expansions: Expansion[] = [];
  const fields: Record<string, string> = {};
  for (const header of headers) {
    const colon = header.indexOf(":");
    const name = header.slice(0, colon).trim();
    if (colon === -1 || !FIELD_NAME.test(name))
      throw usage(`--header: a name, a colon and a value are needed, such as "Authorization: Bearer \${TOKEN}".`);
    const value = expandVariables(header.slice(colon + 1).trim(), `--header ${name}`, mistakes, { expansions });
    fields[name] = value as string;
  }
  if (mistakes.length > 0) throw usage(mistakes.join("\n"));
  for (const { value } of expansions) redactor.add(value);
  const { host: name } = new URL(url);
  const server: HttpServerConfig = { url, transport, headers: fields, path: "/mcp" };
  const plugins = standard().filter((plugin) => !FOR_LISTENERS.has(plugin.name));
  // A client on this machine that does not read for a while (it sleeps, it is debugged) is no reason to end its calls.
  const config: PenstockConfig = { servers: { [name]: server }, plugins, clientLimits: { write: 0 } };
  registerSecrets(config, expansions, redactor);
  return { name, config };
}

/** Options win over the environment, which wins over the file. */
export function listenOptions(args: Args, config: PenstockConfig): ServeOptions {
  const { socket, "tls-cert": cert, "tls-key": key } = args;
  if (socket !== undefined && (args.port ?? args.host) !== undefined)
    throw usage("--socket stands in place of --port and --host; leave them away.");
  if ((cert === undefined) !== (key === undefined))
    throw usage(`${cert === undefined ? "--tls-key needs --tls-cert" : "--tls-cert needs --tls-key"} beside it.`);
  const named = args.port ?? args.host;
  const onSocket = socket !== undefined || (named === undefined && config.socket !== undefined);
  return {
    ...(onSocket
      ? { socket: socket === undefined ? config.socket : resolve(socket) }
      : {
          socket: undefined,
          port: portOf(args) ?? config.port ?? 3333,
          host: args.host ?? config.host ?? "127.0.0.1",
        }),
    tls:
      cert === undefined || key === undefined
        ? config.tls
        : readListenTls({ cert, key }, process.cwd(), { cert: "--tls-cert", key: "--tls-key" }),
  };
}

function portOf(args: Args): number | undefined {
  const port = args.port ?? (process.env.PORT || undefined);
  if (port === undefined) return undefined;
  if (/^\d{1,5}$/.test(port) && Number(port) <= 65_535) return Number(port);
  throw usage(
    `${args.port === undefined ? "PORT" : "--port"}: ${JSON.stringify(port)} is no port; allowed is 0 to 65535.`,
  );
}

export function usage(hint: string): ProxyError {
  return new ProxyError("BAD_CONFIG", { hint });
}
