/** What the two ends of a pipe wrote down, compared. Every list holds numbers of messages; all of them must be empty. */
export interface Balance {
  /** Messages that were numbered. */
  sent: number;
  /** How often each kind of outcome arrived. */
  outcomes: Record<string, number>;
  /** Nothing arrived for it. */
  lost: number[];
  /** It arrived more than once at the one it was for. */
  duplicated: number[];
  /** It arrived at somebody else. */
  misrouted: number[];
  /** The far side worked on it more than once. */
  executedTwice: number[];
  /** It arrived, or was worked on, and was never sent. */
  invented: number[];
}

/** A book with two sides: what was sent and worked on, and what arrived. */
export interface Ledger {
  /**
   * The number of a new message; it goes out with it. Numbers start at 1.
   *
   * @param owner who must get it, or the answer to it: a client, a stream
   */
  next(owner: string): number;
  /** The far side has begun to work on a call. Not for messages that are only carried. */
  executed(number: number): void;
  /** The owner, or somebody else, got it or the answer to it. @param outcome `answer`, `error` … @default "arrived" */
  arrived(number: number, at: string, outcome?: string): void;
  balance(): Balance;
  /** @throws Error that tells every list that is not empty, with its first numbers */
  assertBalanced(): void;
}

interface Entry {
  owner: string;
  executions: number;
  arrivals: number;
  misrouted: boolean;
}

/**
 * Opens a ledger. Each call must have exactly one outcome, at its owner, and at most one execution; each message that is only
 * carried must arrive once, at its owner. Close the books when all senders have stopped and what is under way has ended: what
 * has not arrived by then is lost.
 */
export function ledger(): Ledger {
  const entries: Entry[] = [];
  const invented = new Set<number>();
  const outcomes: Record<string, number> = {};

  function entryOf(number: number): Entry | undefined {
    const entry = entries[number - 1];
    if (!entry) invented.add(number);
    return entry;
  }

  function balance(): Balance {
    const numbers = (is: (entry: Entry) => boolean) =>
      entries.flatMap((entry, index) => (is(entry) ? [index + 1] : []));
    return {
      sent: entries.length,
      outcomes: { ...outcomes },
      lost: numbers(({ arrivals }) => arrivals === 0),
      duplicated: numbers(({ arrivals }) => arrivals > 1),
      misrouted: numbers(({ misrouted }) => misrouted),
      executedTwice: numbers(({ executions }) => executions > 1),
      invented: [...invented],
    };
  }

  return {
    next: (owner) => entries.push({ owner, executions: 0, arrivals: 0, misrouted: false }),
    executed(number) {
      const entry = entryOf(number);
      if (entry) entry.executions++;
    },
    arrived(number, at, outcome = "arrived") {
      const entry = entryOf(number);
      if (!entry) return;
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      if (entry.owner === at) entry.arrivals++;
      else entry.misrouted = true;
    },
    balance,
    assertBalanced() {
      const { sent, outcomes: _, ...lists } = balance();
      const wrong = Object.entries(lists).filter(([, numbers]) => numbers.length > 0);
      if (wrong.length === 0) return;
      const told = wrong.map(([name, numbers]) => `${numbers.length} ${name} (${firstOf(numbers)})`);
      throw new Error(`of ${sent} messages: ${told.join(", ")}`);
    },
  };
}

function firstOf(numbers: number[]): string {
  return numbers.length > 5 ? `${numbers.slice(0, 5).join(", ")} …` : numbers.join(", ");
}
