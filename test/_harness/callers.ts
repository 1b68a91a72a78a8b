/** Clients with sessions that call at a steady rate, whatever happens, and what became of each call. */
import { setTimeout as pause } from "node:timers/promises";
import type { ConnectedV1 } from "./clients.ts";
import type { Ledger } from "./ledger.ts";
import type { Intercept } from "./servers.ts";

/** What became of a call. Times are of `performance.now()`. */
export interface Called {
  number: number;
  from: number;
  to: number;
  /** The text of the error, where there was no answer. */
  error?: string;
}

/** Longest time that a call may take: nothing in these tests is slow. */
const CALL_MS = 20_000;
const TICK_MS = 10;

/**
 * Calls `echo` of a fixture server, `rate` times a second in all, by the clients in turn. No call waits for another one.
 *
 * @param ms for so long
 * @returns when each call has its outcome
 */
export async function callAtRate(
  clients: readonly ConnectedV1[],
  { rate, ms, book }: { rate: number; ms: number; book: Ledger },
): Promise<Called[]> {
  const calls: Promise<Called>[] = [];
  const began = performance.now();
  for (;;) {
    const elapsed = performance.now() - began;
    // What a pause of the machine has delayed is made up for.
    while (calls.length < (Math.min(elapsed, ms) * rate) / 1000) {
      const turn = calls.length % clients.length;
      calls.push(callOnce(clients[turn]!, `client ${turn}`, book));
    }
    if (elapsed >= ms) return Promise.all(calls);
    await pause(TICK_MS);
  }
}

async function callOnce({ client }: ConnectedV1, owner: string, book: Ledger): Promise<Called> {
  const number = book.next(owner);
  const from = performance.now();
  try {
    const text = `${number} ${owner}`;
    const { content } = await client.callTool({ name: "echo", arguments: { text } }, undefined, { timeout: CALL_MS });
    const [answer] = content as { text: string }[];
    // Somebody else's answer is noted with its own number, at this client.
    book.arrived(Number.parseInt(answer!.text, 10), owner, "answer");
    return { number, from, to: performance.now() };
  } catch (cause) {
    book.arrived(number, owner, "error");
    return { number, from, to: performance.now(), error: (cause as Error).message };
  }
}

/** For the `intercept` option of a fixture server: notes each call in the book. */
export function executions(book: Ledger): Intercept {
  return ({ body }) => {
    const { method, params } = (body ?? {}) as { method?: string; params?: { arguments?: { text?: string } } };
    if (method === "tools/call") book.executed(Number.parseInt(params!.arguments!.text!, 10));
    return false;
  };
}
