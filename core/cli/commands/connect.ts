/** `penstock connect`: a stdio server for a client that speaks nothing else, which is any server in truth. */
import { type CommandDef, defineCommand } from "citty";
import { createPenstock } from "../../app.ts";
import { MAX_LINE, StdioFront } from "../../front/stdio.ts";
import { type Args, builtIn, loginArgs, sourceArgs, valuesOf } from "../args.ts";
import type { Login } from "../login/login.ts";
import type { Output } from "../output.ts";
import { tuneRuntime, version } from "../runtime.ts";
import { remoteServer } from "../sources.ts";

/** How long answers that are due are waited for when the client has closed its side, in milliseconds. */
const LAST_ANSWERS = 30_000;
/** How long the server may take to end the session, in milliseconds. */
const GOODBYE = 1500;

export function connectCommand(output: Output): CommandDef {
  return defineCommand({
    meta: {
      name: "penstock connect",
      version,
      description: "Relays a client that speaks stdio to an MCP server at a URL, or to a running Penstock",
    },
    args: {
      url: { type: "positional", required: true, description: "The server's URL" },
      header: {
        type: "string",
        alias: "H",
        valueHint: "Name: value",
        description: "Sent with every request; may be given several times; ${VAR} is a variable of the environment",
      },
      transport: {
        type: "enum",
        options: ["http", "sse"],
        default: "http",
        description: "How the server is spoken to: Streamable HTTP, or HTTP+SSE (MCP 2024-11-05)",
      },
      ...loginArgs,
      "no-login": { type: "boolean", description: "Fail where the server wants a login; so it is where CI is set" },
      logout: {
        type: "boolean",
        description: "Revoke and forget the login that is kept for this server, and do no more",
      },
      "log-level": { ...sourceArgs["log-level"], default: "warn" },
      "log-format": sourceArgs["log-format"],
      ...builtIn,
    },
    run: ({ args, rawArgs }) => connect(args as Args & { transport: "http" | "sse" }, rawArgs, output),
  }) as CommandDef;
}

async function connect(
  args: Args & { transport: "http" | "sse" },
  rawArgs: readonly string[],
  output: Output,
): Promise<void> {
  tuneRuntime();
  const log = output.logger(args);
  const headers = valuesOf(rawArgs, "header", "H");
  const { name, config } = remoteServer(args.url!, headers, args.transport, output.redactor);
  const { Login, loginOptions, loginPlugins, loginSettings } = await import("../login/index.ts");
  const settings = loginSettings(args, rawArgs, log, output);
  const server = new URL(args.url!);
  const login = new Login(server, loginOptions(settings, server));
  if (args.logout) return logOut(login, output);
  const stdout = keepStdoutFree();
  // A credential of the user's own stands in place of a login.
  if (!headers.some((header) => /^\s*authorization\s*:/i.test(header)))
    config.plugins = [config.plugins, loginPlugins(new Map([[name, login]]), true)];
  // What is longer is refused where lines are read.
  config.servers[name]!.maxRequestBytes = MAX_LINE;
  const penstock = createPenstock(config, { logger: log });
  await penstock.ready();
  const options = { input: process.stdin, output: stdout as never, userAgent: `mcp-penstock/${version}` };
  const client = new StdioFront(penstock, name, options);
  const signalled = new Promise<"signal">((resolve) => {
    let again = false;
    for (const [signal, code] of [
      ["SIGINT", 130],
      ["SIGTERM", 143],
    ] as const)
      process.on(signal, () => {
        if (again) process.exit(code);
        again = true;
        resolve("signal");
      });
  });
  const why = await Promise.race([client.gone, signalled]);
  log.info(() => (why === "eof" ? "stdin was closed: stopping" : `${why}: stopping`));
  if (why === "eof") await Promise.race([client.finish(LAST_ANSWERS), signalled]);
  login.close();
  // Streams that only listen come to the end that their era has for them.
  penstock.drain();
  await client.close(GOODBYE);
  if (why !== "broken") await stdout.flush(GOODBYE);
  await penstock.close();
}

/** Libraries may print; the client would take it for a message. @returns what messages are written to */
function keepStdoutFree() {
  const { stdout, stderr } = process;
  const write = stdout.write.bind(stdout) as (chunk: Uint8Array, done: () => void) => boolean;
  stdout.write = stderr.write.bind(stderr);
  for (const name of ["log", "info", "debug", "dir", "table", "group", "count", "timeLog", "timeEnd"] as const)
    console[name] = console.error;
  const pending = { count: 0 };
  return {
    on: stdout.on.bind(stdout),
    write(chunk: Uint8Array): boolean {
      pending.count++;
      return write(chunk, () => pending.count--);
    },
    /** Resolves when the system has taken everything, or `ms` milliseconds have passed. */
    async flush(ms: number): Promise<void> {
      const deadline = performance.now() + ms;
      while (pending.count > 0 && !stdout.destroyed && performance.now() < deadline)
        await new Promise((resolve) => setTimeout(resolve, 5));
    },
  };
}

async function logOut(login: Login, output: Output): Promise<void> {
  const { found, revoked } = await login.logOut();
  const { host } = login.server;
  if (!found) output.print(`There is no login at ${host}.`);
  else if (revoked) output.print(`Logged out at ${host}: the tokens are revoked and forgotten.`);
  else
    output.print(
      `The login at ${host} is forgotten here. Its tokens could not be revoked: end it at the server, or wait until they expire.`,
    );
}
