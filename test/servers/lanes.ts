/** Visits through the proxy, compared with visits without it. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Closeable, closeable, deadPort } from "../_harness/loopback.ts";
import { startProgram } from "../_harness/programs.ts";
import { startCli } from "../_harness/proxy.ts";
import { runtime } from "../_harness/runtimes.ts";
import { type Protocol, type PublicServer, type PublicServers, publicServers } from "./public.ts";
import { type Sdk, type Target, type Visit, visit } from "./visit.ts";

/** How a server is reached without a proxy, and how the proxy is told about it. */
interface Running extends Closeable {
  direct: Target;
  config: object;
}

/** The proxy in front of all servers, each over one transport, and the servers themselves. */
export interface Lanes extends Closeable {
  /** What a client of this SDK is told without a proxy, over the server's own transport; asked once. */
  direct(server: string, sdk: Sdk): Promise<Visit>;
  /** The same through the proxy. @param protocol of the client */
  proxied(server: string, sdk: Sdk, protocol: Protocol): Promise<Visit>;
}

const cli = fileURLToPath(new URL("../../dist/core/cli.mjs", import.meta.url));

async function start({ args, env }: PublicServer, protocol: Protocol): Promise<Running> {
  const command = process.execPath;
  const line = [...args[protocol]!];
  if (protocol === "stdio") {
    const direct: Target = { protocol, command, args: line, env: { ...env } };
    return closeable({ direct, config: { command, args: line, env }, close: async () => {} });
  }
  const port = await deadPort();
  const url = `http://127.0.0.1:${port}/${protocol === "sse" ? "sse" : "mcp"}`;
  const listening = /on port \d+/;
  const program = await startProgram(command, line, { env: { ...env, PORT: `${port}` }, listening, url });
  return closeable({ direct: { protocol, url }, config: { url, transport: protocol }, close: () => program.close() });
}

/** Starts the servers, named `everything-sse`, `memory-stdio` … @param chosen those that the proxy is for */
export async function startLanes(chosen: (server: string, protocol: Protocol) => boolean): Promise<Lanes> {
  const all: PublicServers = await publicServers();
  const running = new Map<string, Running & { server: PublicServer }>();
  for (const [name, server] of Object.entries(all.servers))
    for (const protocol of Object.keys(server.args) as Protocol[])
      if (chosen(name, protocol)) running.set(`${name}-${protocol}`, { server, ...(await start(server, protocol)) });
  const servers = Object.fromEntries([...running].map(([name, { config }]) => [name, config]));
  const config = join(all.folder, "penstock.config.json");
  await writeFile(config, JSON.stringify({ servers }));
  const proxy = await startCli(["--port", "0", "--config", config], { runs: true });
  const visits = new Map<string, Promise<Visit>>();

  const ask = (name: string, sdk: Sdk, target: Target) =>
    visit(sdk, target, { ...running.get(name)!.server, root: all.root });

  function through(name: string, protocol: Protocol): Target {
    if (protocol !== "stdio") return { protocol, url: `${proxy.url}/${name}/${protocol === "sse" ? "sse" : "mcp"}` };
    const { command, args } = runtime();
    return { protocol, command, args: [...args, cli, "connect", `${proxy.url}/${name}/mcp`] };
  }
  return closeable({
    direct(name: string, sdk: Sdk) {
      const key = `${name} ${sdk}`;
      if (!visits.has(key)) visits.set(key, ask(name, sdk, running.get(name)!.direct));
      return visits.get(key)!;
    },
    proxied: (name: string, sdk: Sdk, protocol: Protocol) => ask(name, sdk, through(name, protocol)),
    async close() {
      await proxy.close();
      for (const one of running.values()) await one.close();
      await all.close();
    },
  });
}
