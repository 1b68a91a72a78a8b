import { beforeAll, test } from "vitest";
import { startCli } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { folderWith } from "../core/files.ts";
import { directServer, everything, startEverything } from "./direct.ts";
import { Judge, type ServerName } from "./lanes.ts";
import { VERSIONS, runServer } from "./suite.ts";

const use = testScope();

const overHttp = async (transport: "http" | "sse" | "dual" | "modern") => ({
  url: (await use(startEverything(transport))).url,
});
const command = (transport: string) => ({ command: process.execPath, args: [everything, transport] });

/** What is looked at in HTTP itself, `edge` says: the server knows nothing of it, and the proxy has words of its own. */
const SERVERS: Record<ServerName, { modern?: boolean; legacy?: boolean; edge?: boolean; config(): Promise<object> }> = {
  http: { legacy: true, config: () => overHttp("http") },
  sse: { legacy: true, config: async () => ({ ...(await overHttp("sse")), transport: "sse" }) },
  stdio: { legacy: true, config: async () => command("stdio") },
  dual: { legacy: true, modern: true, config: () => overHttp("dual") },
  modern: { modern: true, config: () => overHttp("modern") },
  "modern-stdio": { modern: true, edge: true, config: async () => command("modern-stdio") },
};

let direct: Awaited<ReturnType<typeof directServer>>;
beforeAll(async () => {
  direct = await directServer();
});

test.for(Object.keys(SERVERS) as ServerName[])("a server of kind %s through Penstock", async (name, { task }) => {
  const { config, legacy = false, modern = false, edge = false } = SERVERS[name];
  const cwd = folderWith({ "penstock.config.json": { servers: { everything: await config() } } });
  const cli = await use(startCli(["--port", "0"], { cwd, runs: true }));
  const judge = new Judge("server", name);
  for (const version of VERSIONS) {
    const bridged = version < "2026-07-28" ? !legacy : !modern;
    const results = await runServer(`${cli.url}/everything/mcp`, version);
    judge.look(version, { bridged, edge }, direct.get(version)!, results);
  }
  task.meta.conformance = judge.end();
});
