/** A server with sessions that is restarted again and again while clients call it through the proxy. */
import { setTimeout as pause } from "node:timers/promises";
import { type Called, callAtRate, executions } from "./callers.ts";
import { connectV1 } from "./clients.ts";
import { type Balance, ledger } from "./ledger.ts";
import { standard } from "./plugins.ts";
import type { Use } from "./scope.ts";
import { startLegacyServer } from "./servers.ts";
import { front } from "./wire.ts";

/** How often, and how long. Times are in milliseconds. */
export interface RestartOptions {
  times: number;
  /** From a stop until it listens again. */
  down: number;
  /** Calls a second, by all clients together. */
  rate: number;
  clients: number;
  /** So many calls in a row must have been answered before the next stop. */
  calm: number;
}

/** What came of it. */
export interface RestartReport {
  balance: Balance;
  answers: number;
  errors: number;
  /** Calls that failed, and had nothing to do with a restart. */
  outside: readonly Called[];
  /** For each restart: from its listening to the start of the last call that failed. */
  recoveries: number[];
  /** Session ids that clients had. */
  sessions: number;
}

/** A server that is not used again after this long is a failure of its own. */
const PATIENCE_MS = 10_000;

/** Calls through `standard()`, with a session for each client. */
export async function restarts(use: Use, { times, down, rate, clients, calm }: RestartOptions): Promise<RestartReport> {
  const book = ledger();
  const intercept = executions(book);
  let server = await startLegacyServer({ intercept });
  const { port } = server;
  // Whichever of them is there at the end.
  await use({ close: () => server.close(), [Symbol.asyncDispose]: () => server.close() });
  const proxy = await use(front(server.url, standard()));
  const callers = await Promise.all(Array.from({ length: clients }, () => use(connectV1(`${proxy.url}/mcp`))));
  const ids = () => callers.map(({ transport }) => transport.sessionId);
  const sessions = new Set(ids());
  const calling = callAtRate(callers, { rate, book });
  await calling.answered(calm, PATIENCE_MS);

  const windows: { from: number; to: number }[] = [];
  const recoveries: number[] = [];
  for (let i = 0; i < times; i++) {
    const from = performance.now();
    await server.close();
    await pause(down);
    server = await startLegacyServer({ intercept, port });
    const listening = performance.now();
    const last = await calling.answered(calm, PATIENCE_MS);
    recoveries.push(Math.max(0, (last?.from ?? 0) - listening));
    windows.push({ from, to: last?.to ?? listening });
  }
  const calls = await calling.end();
  const errors = calls.filter(({ error }) => error !== undefined);
  for (const id of ids()) sessions.add(id);
  return {
    balance: book.balance(),
    answers: calls.length - errors.length,
    errors: errors.length,
    outside: errors.filter((call) => !windows.some(({ from, to }) => call.to >= from && call.from <= to)),
    recoveries,
    sessions: sessions.size,
  };
}
