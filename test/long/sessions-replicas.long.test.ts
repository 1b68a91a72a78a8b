import { expect, test } from "vitest";
import { replicas } from "../_harness/replicas.ts";
import { testScope } from "../_harness/scope.ts";

const use = testScope();
const CLIENTS = 12;

test("two proxies with one secret, of which one is killed every second for 30 s", async ({ task }) => {
  const report = await replicas(use, { kills: 30, rate: 100, clients: CLIENTS });
  const { balance, answers, errors, initialized, upstreamSessions } = report;
  console.log(
    `replicas ${task.file.projectName}: ${balance.sent} calls, ${answers} answered, ${errors.length} errors, ${upstreamSessions} sessions at the server for ${CLIENTS} clients`,
  );
  expect(balance).toMatchObject({ lost: [], duplicated: [], misrouted: [], executedTwice: [], invented: [] });
  expect(answers).toBeGreaterThan(balance.sent * 0.8);
  expect(initialized).toBe(CLIENTS);
});
