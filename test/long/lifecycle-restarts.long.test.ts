import { expect, test } from "vitest";
import { restarts } from "../_harness/restarts.ts";
import { testScope } from "../_harness/scope.ts";

const use = testScope();

test("LC-04 a server with sessions that restarts 20 times in a minute at 200 calls a second", async ({ task }) => {
  const report = await restarts(use, { times: 20, down: 300, rate: 200, clients: 20, calm: 300 });
  const { balance, answers, errors, recoveries } = report;
  const slowest = Math.max(...recoveries);
  console.log(
    `LC-04 ${task.file.projectName}: ${balance.sent} calls, ${answers} answered, ${errors} errors, the last one ${slowest.toFixed(0)} ms after the server listened`,
  );
  expect(balance).toMatchObject({ lost: [], duplicated: [], misrouted: [], executedTwice: [], invented: [] });
  expect(report.outside.slice(0, 5)).toEqual([]);
  expect(slowest).toBeLessThan(2000);
  expect(report.sessions, "session ids that clients had").toBe(20);
});
