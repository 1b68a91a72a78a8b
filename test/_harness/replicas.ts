/** Two proxies with one secret behind a load balancer, of which one is killed every second while clients with sessions call. */
import { setTimeout as pause } from "node:timers/promises";
import { folderWith } from "../core/files.ts";
import { startBalancer } from "./balancer.ts";
import { type Called, callAtRate, executions } from "./callers.ts";
import { connectV1 } from "./clients.ts";
import { type Balance, ledger } from "./ledger.ts";
import { type Cli, startCli } from "./proxy.ts";
import type { Use } from "./scope.ts";
import { startLegacyServer } from "./servers.ts";

/** How long, and how much. */
export interface ReplicaOptions {
  /** How often one of them is killed, by turns, once a second. */
  kills: number;
  /** Calls a second, by all clients together. */
  rate: number;
  clients: number;
}

/** What came of it. */
export interface ReplicaReport {
  balance: Balance;
  answers: number;
  errors: Called[];
  /** `initialize` requests of the clients. */
  initialized: number;
  /** Sessions that the server was asked for. */
  upstreamSessions: number;
}

const EVERY_MS = 1000;

/** Calls a server that insists on sessions; nothing but the secret is shared. */
export async function replicas(use: Use, { kills, rate, clients }: ReplicaOptions): Promise<ReplicaReport> {
  const book = ledger();
  const server = await use(startLegacyServer({ intercept: executions(book) }));
  const cwd = folderWith({ "penstock.config.json": { servers: { one: { url: server.url, path: "/mcp" } } } });
  const env = { PENSTOCK_SECRET: "one-secret-for-both-0123456789abcdef" };
  const start = () => use(startCli(["--port", "0"], { cwd, env }));
  const proxies: Cli[] = await Promise.all([start(), start()]);
  const balancer = await use(startBalancer(proxies.map(({ port }) => port)));
  const callers = await Promise.all(Array.from({ length: clients }, () => use(connectV1(`${balancer.url}/mcp`))));
  const calling = callAtRate(callers, { rate, book });

  for (let i = 0; i < kills; i++) {
    await pause(EVERY_MS);
    const victim = i % 2;
    proxies[victim]!.kill("SIGKILL");
    proxies[victim] = await start();
    balancer.backends[victim] = proxies[victim]!.port;
  }
  await pause(EVERY_MS);
  const calls = await calling.end();
  const errors = calls.filter(({ error }) => error !== undefined);
  return {
    balance: book.balance(),
    answers: calls.length - errors.length,
    errors,
    initialized: balancer.methods.initialize ?? 0,
    upstreamSessions: server.requests.filter(({ body }) => (body as { method?: string })?.method === "initialize")
      .length,
  };
}
