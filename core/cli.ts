#!/usr/bin/env node
/** The command line. Beside the config loader the only part of the core that knows a plugin: the default preset. */
import { createRequire } from "node:module";
import { type ArgsDef, type CommandDef, defineCommand, renderUsage, runCommand } from "citty";
import { standard } from "../plugins/standard.ts";
import { type Penstock, createPenstock } from "./app.ts";
import { loadConfigFile } from "./config.ts";
import { ProxyError, isProxyError } from "./errors.ts";
import { LOG_LEVELS, type LogLevel, type Logger, createLogger } from "./log.ts";
import { readMcpJson } from "./mcp-json.ts";
import { banner, listMounts, listPaths, listPlugins } from "./report.ts";
import { type PenstockServer, checkHost } from "./serve.ts";
import type { PenstockConfig } from "./types.ts";

const { version } = createRequire(import.meta.url)("mcp-penstock/package.json") as { version: string };

const sourceArgs = {
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
} satisfies ArgsDef;

const listenArgs = {
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

const builtIn = {
  help: { type: "boolean", alias: "h", description: "Show this" },
  version: { type: "boolean", alias: "v", description: "Print the version" },
} satisfies ArgsDef;

type Args = {
  config?: string;
  url?: string;
  "mcp-json"?: string;
  "log-level"?: string;
  port?: string;
  host?: string;
  _: string[];
};

const start = defineCommand({
  meta: { name: "penstock", version, description: "Connects any MCP client to any MCP server" },
  args: { ...sourceArgs, ...listenArgs, ...builtIn },
  run: ({ args }) => startProxy(args),
});

const commands = {
  check: defineCommand({
    meta: {
      name: "penstock check",
      version,
      description: "Checks the configuration; prints mounts, paths and the order of plugins",
    },
    args: { ...sourceArgs, ...builtIn },
    run: ({ args }) =>
      withPenstock(
        args,
        (penstock) =>
          `${listMounts(penstock)}\n\n${listPaths(penstock)}\n\n${listPlugins(penstock)}\n\nThe configuration is valid.`,
      ),
  }),
  routes: defineCommand({
    meta: { name: "penstock routes", version, description: "Prints the paths that are served, most specific first" },
    args: { ...sourceArgs, ...listenArgs, ...builtIn },
    run: ({ args }) => withPenstock(args, (penstock, origin) => listPaths(penstock, origin)),
  }),
};

const main = defineCommand({ ...start, subCommands: commands });

async function startProxy(args: Args): Promise<void> {
  const log = createLogger(args["log-level"] as LogLevel);
  const { config, file } = await loadSources(args, log);
  const penstock = createPenstock(config, { logger: log });
  const server = await penstock.serve(listenOptions(args));
  stopOnSignals(server, log);
  console.log(banner(penstock, server.url, version, file));
}

async function withPenstock(args: Args, report: (penstock: Penstock, origin: string) => string): Promise<void> {
  const { config } = await loadSources(args, createLogger(args["log-level"] as LogLevel));
  const penstock = createPenstock(config);
  try {
    await penstock.ready();
    checkHost(penstock, args.host ?? config.host, config.allowUnauthenticated);
    const { port = config.port ?? 3333, host = config.host ?? "127.0.0.1" } = listenOptions(args);
    console.log(report(penstock, `http://${host.includes(":") ? `[${host}]` : host}:${port}`));
  } finally {
    await penstock.close();
  }
}

/** From `--url`, or the file together with `--mcp-json`. Only here, never in `createPenstock`, is the default preset added. */
async function loadSources(args: Args, log: Logger): Promise<{ config: PenstockConfig; file?: string }> {
  const { url, config: configFile, "mcp-json": mcpJson } = args;
  if (url !== undefined) {
    if (configFile !== undefined || mcpJson !== undefined)
      throw usage("--url stands for a configuration of its own; leave --config and --mcp-json away.");
    return { config: { servers: { server: { url } }, plugins: standard() } };
  }
  const loaded = mcpJson !== undefined && configFile === undefined ? undefined : await loadConfigFile(configFile);
  const imported = mcpJson === undefined ? undefined : readMcpJson(mcpJson, log);
  if (!loaded && !imported)
    throw usage(
      "There is nothing to serve. Give --url URL or --mcp-json FILE, or write a penstock.config.ts (see the README).",
    );
  const twice = Object.keys(imported?.servers ?? {}).find((name) => loaded?.config.servers[name]);
  if (twice) throw usage(`Server '${twice}' stands in ${loaded!.file} and in ${mcpJson}. Rename one.`);
  const config = { ...loaded?.config, servers: { ...loaded?.config.servers, ...imported?.servers } };
  return { config: { ...config, plugins: config.plugins ?? standard() }, file: loaded?.file ?? mcpJson };
}

function listenOptions(args: Args): { port?: number; host?: string } {
  const port = args.port ?? (process.env.PORT || undefined);
  if (port !== undefined && !(/^\d{1,5}$/.test(port) && Number(port) <= 65_535)) {
    throw usage(
      `${args.port === undefined ? "PORT" : "--port"}: ${JSON.stringify(port)} is no port; allowed is 0 to 65535.`,
    );
  }
  return { ...(port && { port: Number(port) }), ...(args.host !== undefined && { host: args.host }) };
}

/** First signal: an orderly stop. Second: at once. A failure that nobody caught: an orderly stop, and a code that says so. */
function stopOnSignals(server: PenstockServer, log: Logger): void {
  let stopping = false;
  const stop = (why: string, code: number, hardCode: number) => {
    if (stopping) process.exit(hardCode);
    stopping = true;
    log.info(`${why}: stopping; answers under way are finished first`);
    server.stop().then(
      () => process.exit(code),
      () => process.exit(1),
    );
  };
  process.on("SIGINT", () => stop("SIGINT", 0, 130));
  process.on("SIGTERM", () => stop("SIGTERM", 0, 143));
  for (const event of ["uncaughtException", "unhandledRejection"] as const) {
    process.on(event, (cause: unknown) => {
      log.error(`${event}: ${cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)}`);
      stop(event, 1, 1);
    });
  }
}

function usage(hint: string): ProxyError {
  return new ProxyError("BAD_CONFIG", { hint });
}

/** What the user can act on, in one message; a stack only for what is our fault. */
function explain(error: unknown, args: readonly string[]): string {
  // The text before the hint says little, but which plugin is meant.
  if (isProxyError(error))
    return error.details.plugin === undefined ? (error.details.hint ?? error.message) : error.message;
  const { code, port, address, message } = error as NodeJS.ErrnoException & { port?: number; address?: string };
  if (code === "EADDRINUSE")
    return `Port ${port} on ${address} is taken. Choose another with --port, or 0 for a free one.`;
  if (code === "EACCES")
    return `Port ${port} on ${address} may not be used by this user. Choose one above 1023 with --port.`;
  if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND")
    return `The address of --host is none of this machine's: ${message}`;
  if (code?.startsWith("E_") || code === "EARG")
    return `${message} \`penstock ${args[0] && args[0] in commands ? `${args[0]} ` : ""}--help\` lists what is allowed.`;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** citty takes unknown options in silence; a mistyped `--prot 8080` must not start a proxy elsewhere. */
function refuseUnknown(args: readonly string[], defined: ArgsDef): void {
  for (let i = 0; i < args.length; i++) {
    const [name, value] = args[i]!.split("=", 2) as [string, string?];
    const found = Object.entries(defined).find(
      ([long, arg]) => name === `--${long}` || ("alias" in arg && name === `-${String(arg.alias)}`),
    );
    if (!found) throw badArgument(`${JSON.stringify(args[i])} is not an option of this command.`);
    if (found[1].type === "boolean" || value !== undefined) continue;
    if (args[++i] === undefined || args[i]!.startsWith("--")) throw badArgument(`${name} needs a value.`);
  }
}

function badArgument(message: string): Error {
  return Object.assign(new Error(message), { code: "EARG" });
}

async function run(argv: string[]): Promise<void> {
  const name = argv[0] !== undefined && !argv[0].startsWith("-") ? argv[0] : undefined;
  const command = name === undefined ? start : commands[name as keyof typeof commands];
  if (!command) throw badArgument(`${JSON.stringify(name)} is not a command.`);
  const rest = name === undefined ? argv : argv.slice(1);
  if (rest.includes("--help") || rest.includes("-h"))
    return console.log(await renderUsage<ArgsDef>((name === undefined ? main : command) as CommandDef<ArgsDef>));
  if (rest.includes("--version") || rest.includes("-v")) return console.log(version);
  refuseUnknown(rest, command.args as ArgsDef);
  await runCommand<ArgsDef>(command as CommandDef<ArgsDef>, { rawArgs: rest });
}

run(process.argv.slice(2)).catch((error: unknown) => {
  console.error(`penstock: ${explain(error, process.argv.slice(2))}`);
  process.exit(1);
});
