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
/** So much of the rate may be under way at once. */
const BACKLOG_MS = 150;

/** Calls that go on until somebody ends them. */
export interface Calling {
  /** Calls with an outcome, in the order in which they had it. */
  readonly outcomes: readonly Called[];
  /** Waits until so many calls in a row were answered, from now on. @returns the last one that failed before that */
  answered(inRow: number, timeout: number): Promise<Called | undefined>;
  /** @returns when each call has its outcome */
  end(): Promise<readonly Called[]>;
}

/** Calls `echo` of a fixture server, `rate` times a second in all, by the clients in turn. No call waits for another one. */
export function callAtRate(clients: readonly ConnectedV1[], { rate, book }: { rate: number; book: Ledger }): Calling {
  const outcomes: Called[] = [];
  const calls: Promise<unknown>[] = [];
  let going = true;
  async function work(): Promise<void> {
    const began = performance.now();
    // oxlint-disable-next-line no-unmodified-loop-condition -- `end` does
    while (going) {
      // What a pause of the machine has delayed is made up for, but a machine that cannot do so many is not asked for more and more.
      while (
        calls.length < ((performance.now() - began) * rate) / 1000 &&
        calls.length - outcomes.length < (rate * BACKLOG_MS) / 1000
      ) {
        const turn = calls.length % clients.length;
        calls.push(callOnce(clients[turn]!, `client ${turn}`, book).then((called) => outcomes.push(called)));
      }
      await pause(TICK_MS);
    }
  }
  const working = work();
  return {
    outcomes,
    async answered(inRow, timeout) {
      const began = performance.now();
      for (;;) {
        const failed = outcomes.findLastIndex(({ error }) => error !== undefined);
        const row = outcomes.slice(failed + 1).filter(({ from }) => from >= began);
        if (row.length >= inRow) return outcomes[failed];
        if (performance.now() - began > timeout)
          throw new Error(`after ${timeout} ms calls still fail: ${outcomes[failed]?.error ?? "they have no outcome"}`);
        await pause(TICK_MS);
      }
    },
    async end() {
      going = false;
      await working;
      await Promise.all(calls);
      return outcomes;
    },
  };
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
