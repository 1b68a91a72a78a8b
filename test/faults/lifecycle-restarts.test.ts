import { expect, test } from "vitest";
import { restarts } from "../_harness/restarts.ts";
import { testScope } from "../_harness/scope.ts";

const use = testScope();

test("LC-04 a server with sessions that restarts five times at 200 calls a second", { timeout: 30_000 }, async () => {
  const report = await restarts(use, { times: 5, every: 1800, down: 150, rate: 200, clients: 10, recovery: 1300 });
  const { balance, answers, outside, initialized } = report;
  expect(balance).toMatchObject({ lost: [], duplicated: [], misrouted: [], executedTwice: [], invented: [] });
  expect(outside.slice(0, 5)).toEqual([]);
  expect(answers).toBeGreaterThan(balance.sent / 3);
  expect(initialized, "sessions that clients had").toBe(10);
});
