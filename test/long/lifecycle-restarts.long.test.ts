import { expect, test } from "vitest";
import { restarts } from "../_harness/restarts.ts";
import { testScope } from "../_harness/scope.ts";

const use = testScope();

test("LC-04 a server with sessions that restarts 20 times in 60 s at 200 calls a second", async ({ task }) => {
  const report = await restarts(use, { times: 20, every: 3000, down: 300, rate: 200, clients: 20, recovery: 2000 });
  const { balance, answers, errors, outside, slowest, initialized } = report;
  console.log(
    `LC-04 ${task.file.projectName}: ${balance.sent} calls, ${answers} answered, ${errors.length} errors, the last one ${slowest.toFixed(0)} ms after the server listened`,
  );
  expect(balance).toMatchObject({ lost: [], duplicated: [], misrouted: [], executedTwice: [], invented: [] });
  expect(outside.slice(0, 5)).toEqual([]);
  expect(answers).toBeGreaterThan(balance.sent / 2);
  expect(initialized, "sessions that clients had").toBe(20);
});
