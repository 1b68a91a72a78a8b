import { expect, test } from "vitest";
import { restarts } from "../_harness/restarts.ts";
import { testScope } from "../_harness/scope.ts";

const use = testScope();

test("LC-04 a server with sessions that restarts five times at 200 calls a second", { timeout: 60_000 }, async () => {
  const report = await restarts(use, { times: 5, down: 150, rate: 200, clients: 10, calm: 60 });
  expect(report.balance).toMatchObject({ lost: [], duplicated: [], misrouted: [], executedTwice: [], invented: [] });
  expect(report.outside.slice(0, 5)).toEqual([]);
  expect(Math.max(...report.recoveries)).toBeLessThan(2000);
  expect(report.sessions, "session ids that clients had").toBe(10);
});
