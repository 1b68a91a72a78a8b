/** The options of the command line, and what is no option. */
import type { ArgsDef } from "citty";
import { LOG_FORMATS, LOG_LEVELS, type LogFormat, type LogLevel } from "../log.ts";

/** Where servers come from, and how is logged: options of every command that loads a configuration. */
export const sourceArgs = {
  config: {
    type: "string",
    alias: "c",
    valueHint: "file",
    description: "Configuration file; default: penstock.config.{ts,mjs,js,json} in this folder",
  },
  url: { type: "string", valueHint: "url", description: "Serve this one MCP server, without a file" },
  "mcp-json": {
    type: "string",
    valueHint: "file",
    description: "Take servers from an mcpServers file (Claude, Cursor, VS Code)",
  },
  "log-level": { type: "enum", options: [...LOG_LEVELS], default: "info", description: "What is logged to stderr" },
  "log-format": {
    type: "enum",
    options: [...LOG_FORMATS],
    default: "text",
    description: "json: one object per line, for machines",
  },
} satisfies ArgsDef;

/** Where the proxy listens. */
export const listenArgs = {
  port: {
    type: "string",
    alias: "p",
    valueHint: "number",
    description: "Port, 0 for a free one; default: $PORT, the file's, or 3333",
  },
  host: {
    type: "string",
    valueHint: "address",
    description: "Address to listen on; default: the file's, or 127.0.0.1",
  },
} satisfies ArgsDef;

export const startArgs = {
  socket: { type: "string", valueHint: "path", description: "Listen on this Unix socket instead of a port" },
  "tls-cert": { type: "string", valueHint: "file", description: "Listen with TLS: certificate chain, PEM" },
  "tls-key": { type: "string", valueHint: "file", description: "Listen with TLS: private key, PEM" },
} satisfies ArgsDef;

export const jsonArg = {
  json: { type: "boolean", description: "Print JSON, errors too" },
} satisfies ArgsDef;

/** Options of every command that logs in. */
export const loginArgs = {
  open: { type: "boolean", description: "Open a browser for a login; without, its URL is printed to stderr" },
  "client-id": {
    type: "string",
    valueHint: "id",
    description:
      "Log in as this client, registered beforehand, or the URL of a client's metadata; default: it registers",
  },
  "client-secret": {
    type: "string",
    valueHint: "${VAR}",
    description: "Of that client; a variable of the environment, so that it stands in no list of processes",
  },
  "callback-port": {
    type: "string",
    valueHint: "number",
    description: "Port of 127.0.0.1 where the browser comes back to; default: a free one",
  },
  trust: {
    type: "string",
    valueHint: "host",
    description: "A login server in a private network, or elsewhere than its issuer; may be given several times",
  },
} satisfies ArgsDef;

export const builtIn = {
  help: { type: "boolean", alias: "h", description: "Show this" },
  version: { type: "boolean", alias: "v", description: "Print the version" },
} satisfies ArgsDef;

/** What stands before `--`: the rest belongs to the command of a server. */
export function ownArgs(args: readonly string[]): readonly string[] {
  const end = args.indexOf("--");
  return end === -1 ? args : args.slice(0, end);
}

/** All values of an option that may stand there several times; citty keeps one of them. */
export function valuesOf(args: readonly string[], name: string, alias?: string): string[] {
  return args.flatMap((arg, i) => {
    if (arg === `--${name}` || (alias !== undefined && arg === `-${alias}`)) return [args[i + 1]!];
    return arg.startsWith(`--${name}=`) ? [arg.slice(name.length + 3)] : [];
  });
}

/** What the commands read. */
export interface Args {
  /** What stood behind `--`. */
  _?: string[];
  config?: string;
  url?: string;
  "mcp-json"?: string;
  "log-level"?: LogLevel;
  "log-format"?: LogFormat;
  port?: string;
  host?: string;
  socket?: string;
  "tls-cert"?: string;
  "tls-key"?: string;
  json?: boolean;
  open?: boolean;
  login?: boolean;
  logout?: boolean;
  "client-id"?: string;
  "client-secret"?: string;
  "callback-port"?: string;
  from?: string;
  force?: boolean;
}

/**
 * citty takes unknown options in silence; a mistyped `--prot 8080` must not start a proxy elsewhere.
 *
 * @throws an error with the code `EARG`
 */
export function refuseUnknown(args: readonly string[], defined: ArgsDef): void {
  let free = Object.values(defined).filter(({ type }) => type === "positional").length;
  for (let i = 0; i < args.length; i++) {
    if (args[i] === "--" && "mcp-json" in defined) {
      if (i === args.length - 1)
        throw badArgument(
          "-- needs a command behind it, such as `penstock -- npx -y @modelcontextprotocol/server-everything`.",
        );
      return;
    }
    if (free > 0 && !args[i]!.startsWith("-")) {
      free--;
      continue;
    }
    const [name, value] = args[i]!.split("=", 2) as [string, string?];
    const found = Object.entries(defined).find(
      ([long, arg]) =>
        arg.type !== "positional" && (name === `--${long}` || ("alias" in arg && name === `-${String(arg.alias)}`)),
    );
    if (!found) throw badArgument(`${JSON.stringify(args[i])} is not an option of this command.`);
    if (found[1].type === "boolean" && value !== undefined) throw badArgument(`${name} takes no value.`);
    if (found[1].type === "boolean" || value !== undefined) continue;
    if (args[++i] === undefined || args[i]!.startsWith("--")) throw badArgument(`${name} needs a value.`);
  }
}

export function badArgument(message: string): Error {
  return Object.assign(new Error(message), { code: "EARG" });
}
