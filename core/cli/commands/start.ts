/** `penstock`: the proxy itself. */
import { type CommandDef, defineCommand } from "citty";
import { createPenstock } from "../../app.ts";
import { type Logger, jsonLine } from "../../log.ts";
import type { PenstockServer } from "../../serve.ts";
import { type Args, builtIn, listenArgs, sourceArgs, startArgs } from "../args.ts";
import { explainListen } from "../explain.ts";
import type { Output } from "../output.ts";
import { banner } from "../report.ts";
import { risksOf } from "../risks.ts";
import { runtimeName, tuneRuntime, version } from "../runtime.ts";
import { keptSecret } from "../secret.ts";
import { listenOptions, loadSources, usage } from "../sources.ts";

export function startCommand(output: Output): CommandDef {
  return defineCommand({
    meta: { name: "penstock", version, description: "Connects any MCP client to any MCP server" },
    args: { ...sourceArgs, ...listenArgs, ...startArgs, ...builtIn },
    run: ({ args }) => start(args as Args, output),
  }) as CommandDef;
}

async function start(args: Args, output: Output): Promise<void> {
  tuneRuntime();
  const log = output.logger(args);
  const { config, file } = await loadSources(args, log, output.redactor);
  const options = listenOptions(args, config);
  const secret = config.secret ?? keptSecret(log, output.redactor);
  // Whoever is told where it listens may be asked by that name.
  const host = args.host ?? config.host;
  const penstock = createPenstock({ ...config, host, secret }, { logger: log });
  const server = await penstock.serve(options).catch(async (error: unknown) => {
    await penstock.close();
    const why = explainListen(error, options.host!, options.port!);
    throw why === undefined ? error : usage(why);
  });
  stopOnSignals(server, log, output);
  for (const risk of risksOf(penstock, config, options.host)) log.warn(risk);
  const title = `Penstock ${version} on ${runtimeName()} listening on ${server.url}`;
  if (args["log-format"] === "json")
    output.print(
      jsonLine("info", title, {
        url: server.url,
        publicUrl: penstock.publicUrl,
        servers: penstock.mounts.map((mount) => mount.server),
      }),
    );
  else output.print(banner(penstock, server.url, title, file));
}

/** First signal: an orderly stop. Second: at once. A failure that nobody caught: an orderly stop, and a code that says so. */
function stopOnSignals(server: PenstockServer, log: Logger, output: Output): void {
  let stopping = false;
  const stop = (why: string, code: number, hardCode: number) => {
    if (stopping) process.exit(hardCode);
    stopping = true;
    log.info(`${why}: stopping; answers under way are finished first`);
    const failed = (cause: unknown) => {
      log.error(`The stop failed: ${textOf(cause)}`);
      return 1;
    };
    server
      .stop()
      .then(() => code, failed)
      .then(async (exitCode) => {
        await output.flush(1000);
        process.exit(exitCode);
      });
  };
  process.on("SIGINT", () => stop("SIGINT", 0, 130));
  process.on("SIGTERM", () => stop("SIGTERM", 0, 143));
  for (const event of ["uncaughtException", "unhandledRejection"] as const) {
    process.removeAllListeners(event);
    process.on(event, (cause: unknown) => {
      log.error(`${event}: ${textOf(cause)}`);
      stop(event, 1, 1);
    });
  }
  // The runtime would print its own lines, in its own format, among those of the log.
  process.removeAllListeners("warning");
  process.on("warning", ({ name, message }) => log.warn(`${name}: ${message}`));
}

function textOf(cause: unknown): string {
  return cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
}
