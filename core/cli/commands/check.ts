/** `penstock check` and `penstock routes`: a proxy is made, asked, and closed; nothing listens. */
import { type CommandDef, defineCommand } from "citty";
import { type Penstock, createPenstock } from "../../app.ts";
import { checkHost } from "../../serve.ts";
import type { ServeOptions } from "../../serve.ts";
import type { PenstockConfig } from "../../types.ts";
import { type Args, builtIn, jsonArg, listenArgs, sourceArgs } from "../args.ts";
import { describeProxy, describeRoutes } from "../describe.ts";
import type { Output } from "../output.ts";
import { listClients, listHooks, listMounts, listPaths, listPlugins, listProxyHooks } from "../report.ts";
import { version } from "../runtime.ts";
import { listenOptions, loadSources } from "../sources.ts";

export function checkCommand(output: Output): CommandDef {
  return defineCommand({
    meta: {
      name: "penstock check",
      version,
      description: "Checks the configuration; prints mounts, paths and the order of plugins and hooks",
    },
    args: { ...sourceArgs, ...jsonArg, ...builtIn },
    run: ({ args }) =>
      withPenstock(args as Args, output, ({ penstock, config, file }) => {
        if ((args as Args).json) return output.printJson({ valid: true, file, ...describeProxy(penstock, config) });
        const parts = [
          listMounts(penstock),
          listPaths(penstock),
          ...penstock.mounts.map((mount) => `${listClients(mount)}\n\n${listPlugins(mount)}\n\n${listHooks(mount)}`),
          listProxyHooks(penstock, config),
          "The configuration is valid.",
        ];
        output.print(parts.join("\n\n"));
      }),
  }) as CommandDef;
}

export function routesCommand(output: Output): CommandDef {
  return defineCommand({
    meta: { name: "penstock routes", version, description: "Prints the paths that are served, most specific first" },
    args: { ...sourceArgs, ...listenArgs, ...jsonArg, ...builtIn },
    run: ({ args }) =>
      withPenstock(args as Args, output, ({ penstock, origin }) => {
        if ((args as Args).json) return output.printJson({ origin, routes: describeRoutes(penstock, origin) });
        output.print(listPaths(penstock, origin.startsWith("unix:") ? "" : origin));
      }),
  }) as CommandDef;
}

interface Loaded {
  penstock: Penstock;
  config: PenstockConfig;
  file: string | null;
  /** Where clients reach it: `publicUrl`, else where it would listen. */
  origin: string;
}

async function withPenstock(args: Args, output: Output, report: (loaded: Loaded) => void): Promise<void> {
  const { config, file = null } = await loadSources(args, output.logger(args), output.redactor);
  const options = listenOptions(args, config);
  const penstock = createPenstock(config);
  try {
    await penstock.ready();
    if (options.socket === undefined) checkHost(penstock, options.host, config.allowUnauthenticated);
    report({ penstock, config, file, origin: penstock.publicUrl ?? originOf(options) });
  } finally {
    await penstock.close();
  }
}

function originOf({ socket, tls, host = "", port }: ServeOptions): string {
  if (socket !== undefined) return `unix:${socket}`;
  return `${tls ? "https" : "http"}://${host.includes(":") ? `[${host}]` : host}:${port}`;
}
