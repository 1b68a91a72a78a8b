import { expect, test } from "vitest";
import { replicas } from "../_harness/replicas.ts";
import { testScope } from "../_harness/scope.ts";

const use = testScope();
const CLIENTS = 6;

test("two proxies with one secret, of which one is killed every second", { timeout: 90_000 }, async () => {
  const { balance, answers, initialized } = await replicas(use, { kills: 4, rate: 60, clients: CLIENTS });
  expect(balance).toMatchObject({ lost: [], duplicated: [], misrouted: [], executedTwice: [], invented: [] });
  expect(answers).toBeGreaterThan(balance.sent * 0.7);
  expect(initialized).toBe(CLIENTS);
});
