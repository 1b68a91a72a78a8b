/** Runs clients of both SDKs against servers of both, with a proxy between. */
import { fileURLToPath } from "node:url";
import { startProgram } from "../_harness/programs.ts";
import { cliCommand, startCli } from "../_harness/proxy.ts";
import type { Use } from "../_harness/scope.ts";
import { folderWith } from "../core/files.ts";
import { FEATURE_NAMES, tryFeatures } from "./features.ts";
import { type ClientKind, type Pair, type ServerKind, lacks } from "./pairs.ts";
import { type Target, connectSdk } from "./sdk-clients.ts";

const main = fileURLToPath(new URL("../conformance/server/main.mjs", import.meta.url));
/**
 * Half of the time is spent waiting. Each server has one client at a time: over stdio nothing tells which of two that run wants what
 * a modern server logs.
 */
const AT_ONCE = 4;

async function entryOf({ name, transport }: ServerKind, use: Use): Promise<object> {
  if (transport.endsWith("stdio")) return { command: process.execPath, args: [main, name] };
  const { url } = await use(startProgram(process.execPath, [main, name]));
  return transport === "HTTP+SSE" ? { url, transport: "sse" } : { url };
}

function targetOf({ transport }: ClientKind, mount: string): Target {
  if (transport.endsWith("stdio")) return cliCommand(["connect", `${mount}/mcp`]);
  return { url: `${mount}/${transport === "HTTP+SSE" ? "sse" : "mcp"}` };
}

async function runPair(client: ClientKind, server: ServerKind, origin: string): Promise<Pair> {
  const without = lacks(server, client);
  const tried = FEATURE_NAMES.filter((name) => !without.includes(name));
  try {
    const target = targetOf(client, `${origin}/${server.name}`);
    await using connected = await connectSdk(client.sdk, target, client.transport === "HTTP+SSE");
    return { client, server, tried, wrong: await tryFeatures(connected, tried) };
  } catch (error) {
    const wrong = Object.fromEntries(tried.map((name) => [name, `no connection: ${String(error)}`]));
    return { client, server, tried, wrong };
  }
}

/** Starts the servers and a proxy in front of them, and tries every client with each. */
export async function runPairs(
  use: Use,
  clients: readonly ClientKind[],
  servers: readonly ServerKind[],
): Promise<Pair[]> {
  const entries = await Promise.all(servers.map(async (server) => [server.name, await entryOf(server, use)] as const));
  const cwd = folderWith({ "penstock.config.json": { servers: Object.fromEntries(entries) } });
  const { url } = await use(startCli(["--port", "0"], { cwd, runs: true }));
  const todo = [...servers];
  const pairs: Pair[] = [];
  const work = async () => {
    for (let server = todo.shift(); server; server = todo.shift())
      for (const client of clients) pairs.push(await runPair(client, server, url));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return pairs;
}

/** What did not work, one line each. */
export function failures(pairs: readonly Pair[]): string[] {
  return pairs.flatMap(({ client, server, wrong }) =>
    Object.entries(wrong).map(
      ([feature, why]) => `${client.sdk} over ${client.transport} at ${server.name}: ${feature}: ${why}`,
    ),
  );
}
