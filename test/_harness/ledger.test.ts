import { expect, test } from "vitest";
import { ledger } from "./ledger.ts";

test("a ledger balances when every call is worked on once at most, and has one outcome at its owner", () => {
  const book = ledger();
  const [first, second, notice] = [book.next("a"), book.next("b"), book.next("a")];
  expect([first, second, notice]).toEqual([1, 2, 3]);
  book.executed(first);
  book.arrived(notice, "a");
  book.arrived(second, "b", "error");
  book.arrived(first, "a", "answer");
  book.assertBalanced();
  expect(book.balance()).toMatchObject({ sent: 3, outcomes: { arrived: 1, error: 1, answer: 1 } });
});

test("a ledger finds what was lost, duplicated, misrouted, executed twice and invented", () => {
  const book = ledger();
  for (const owner of ["lost", "twice", "elsewhere", "astray", "executed"]) book.next(owner);
  for (let count = 0; count < 2; count++) {
    book.arrived(2, "twice");
    book.executed(5);
  }
  // One that its owner got as well, and one that it did not.
  book.arrived(3, "elsewhere");
  book.arrived(3, "somebody");
  book.arrived(4, "somebody");
  book.arrived(5, "executed");
  book.arrived(99, "lost");
  book.executed(98);
  expect(book.balance()).toMatchObject({
    lost: [1, 4],
    duplicated: [2],
    misrouted: [3, 4],
    executedTwice: [5],
    invented: [99, 98],
  });
  expect(() => book.assertBalanced()).toThrow(
    "of 5 messages: 2 lost (1, 4), 1 duplicated (2), 2 misrouted (3, 4), 1 executedTwice (5), 2 invented (99, 98)",
  );
});

test("a ledger names the first numbers of many", () => {
  const book = ledger();
  for (let count = 0; count < 9; count++) book.next("a");
  expect(() => book.assertBalanced()).toThrow("of 9 messages: 9 lost (1, 2, 3, 4, 5 …)");
});
