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
  /** From one stop to the next. */
  every: number;
  /** From a stop until it listens again. */
  down: number;
  /** Calls a second, by all clients together. */
  rate: number;
  clients: number;
  /** So long after it listens calls may still fail. */
  recovery: number;
}

/** What came of it. */
export interface RestartReport {
  balance: Balance;
  answers: number;
  errors: Called[];
  /** Those that have nothing to do with a restart. */
  outside: Called[];
  /** The latest start of a call that failed, after the server had listened again. */
  slowest: number;
  /** How often clients began a session. */
  initialized: number;
}

/** Calls through `standard()`, with a session for each client. */
export async function restarts(
  use: Use,
  { times, every, down, rate, clients, recovery }: RestartOptions,
): Promise<RestartReport> {
  const book = ledger();
  const intercept = executions(book);
  let server = await startLegacyServer({ intercept });
  const { port } = server;
  // Whichever of them is there at the end.
  await use({ close: () => server.close(), [Symbol.asyncDispose]: () => server.close() });
  const proxy = await use(front(server.url, standard()));
  const callers = await Promise.all(Array.from({ length: clients }, () => use(connectV1(`${proxy.url}/mcp`))));
  const ids = callers.map(({ transport }) => transport.sessionId);
  const calling = callAtRate(callers, { rate, ms: times * every + down, book });

  const windows: { from: number; to: number }[] = [];
  for (let i = 0; i < times; i++) {
    await pause(every - down);
    const from = performance.now();
    await server.close();
    await pause(down);
    server = await startLegacyServer({ intercept, port });
    windows.push({ from, to: performance.now() });
  }
  const calls = await calling;
  const errors = calls.filter(({ error }) => error !== undefined);
  const late = windows.flatMap(({ to }, i) =>
    errors
      .filter((call) => call.from > to && call.to < (windows[i + 1]?.from ?? Infinity))
      .map((call) => call.from - to),
  );
  return {
    balance: book.balance(),
    answers: calls.length - errors.length,
    errors,
    outside: errors.filter((call) => !windows.some(({ from, to }) => call.to >= from && call.from <= to + recovery)),
    slowest: Math.max(0, ...late),
    initialized: new Set([...ids, ...callers.map(({ transport }) => transport.sessionId)]).size,
  };
}
