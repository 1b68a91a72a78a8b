import { fileURLToPath } from "node:url";
import { type Program, startProgram } from "../_harness/programs.ts";
import { type Results, VERSIONS, type Version, installSuite, runSuite, scenariosOf } from "./suite.ts";

/** The server with all that the suite asks for; takes `stdio`, `http` or `sse`. */
export const everything = fileURLToPath(new URL("server/main.mjs", import.meta.url));

/** Starts it on the Node of the tests. */
export function startEverything(transport: "http" | "sse"): Promise<Program> {
  return startProgram(process.execPath, [everything, transport]);
}

/** What the suite finds when nothing is in between. */
export async function runDirect(): Promise<Map<Version, { scenarios: readonly string[]; results: Results }>> {
  await installSuite();
  const found = new Map<Version, { scenarios: readonly string[]; results: Results }>();
  await using server = await startEverything("http");
  for (const version of VERSIONS)
    found.set(version, { scenarios: await scenariosOf(version), results: await runSuite(server.url, version) });
  return found;
}
