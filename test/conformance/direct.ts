import { fileURLToPath } from "node:url";
import { type Program, startProgram } from "../_harness/programs.ts";
import { type Results, VERSIONS, type Version, installSuite, runClient, runServer, scenariosOf } from "./suite.ts";

/** The servers with all that the suite asks for; takes `stdio`, `modern-stdio`, `http`, `sse`, `dual` or `modern`. */
export const everything = fileURLToPath(new URL("server/main.mjs", import.meta.url));

/** Starts one on the Node of the tests. */
export function startEverything(transport: "http" | "sse" | "dual" | "modern"): Promise<Program> {
  return startProgram(process.execPath, [everything, transport]);
}

/** What the suite found when nothing was in between. */
export interface Direct {
  scenarios: readonly string[];
  results: Results;
}

/** What it finds at a server that speaks both eras, each as its own. */
export async function directServer(): Promise<Map<Version, Direct>> {
  await installSuite();
  const found = new Map<Version, Direct>();
  await using server = await startEverything("dual");
  for (const version of VERSIONS)
    found.set(version, {
      scenarios: await scenariosOf("server", version),
      results: await runServer(server.url, version),
    });
  return found;
}

/** The revisions that clients are put to. */
export const CLIENT_VERSIONS = ["2025-11-25", "2026-07-28"] as const;
/** The clients, as `client/main.mjs` is started. */
export const CLIENTS = ["v1 legacy", "v2 legacy", "v2 modern"] as const;
export type ClientName = (typeof CLIENTS)[number];

/** Logins need a proxy that passes them on or has its own, which is another matter than eras. */
const isLogin = (scenario: string) => scenario.startsWith("auth/");

export const isBridged = (client: ClientName, version: Version) => client.endsWith("legacy") !== version < "2026-07-28";

const program = (name: string, client: ClientName) => [
  process.execPath,
  fileURLToPath(new URL(`client/${name}.mjs`, import.meta.url)),
  ...client.split(" "),
];

/** The scenarios for clients that are run here, and the number of those that are not: logins. */
export async function clientScenarios(version: Version): Promise<{ scenarios: string[]; logins: number }> {
  const all = await scenariosOf("client", version);
  const scenarios = all.filter((name) => !isLogin(name));
  return { scenarios, logins: all.length - scenarios.length };
}

/** Runs the scenarios for clients, two at a time. @param proxy how a Penstock between the two is started */
export async function runClients(
  client: ClientName,
  version: Version,
  scenarios: readonly string[],
  proxy?: { command: readonly string[]; env: Record<string, string> },
): Promise<Results> {
  const found = new Map<string, Results>();
  const todo = [...scenarios];
  const work = async () => {
    for (let scenario = todo.shift(); scenario !== undefined; scenario = todo.shift()) {
      // Servers of some scenarios do not answer `server/discover`, so they are not asked for their era.
      const era = version < "2026-07-28" ? "legacy" : "modern";
      const env = proxy && { ...proxy.env, PENSTOCK_COMMAND: JSON.stringify(proxy.command), PENSTOCK_ERA: era };
      const command = program(proxy ? "through" : "main", client);
      found.set(scenario, await runClient(command, scenario, version, env));
    }
  };
  await Promise.all([work(), work()]);
  return new Map(scenarios.flatMap((scenario) => [...found.get(scenario)!]));
}

/** What the suite finds in the client of each revision's own era. */
export async function directClient(client: ClientName, version: Version): Promise<Direct> {
  await installSuite();
  const { scenarios } = await clientScenarios(version);
  return { scenarios, results: await runClients(client, version, scenarios) };
}
