import { expect, test } from "vitest";
import { drops } from "../_harness/dropped-sessions.ts";
import { testScope } from "../_harness/scope.ts";

const use = testScope();

test("SE-08 1,000 sessions, dropped in every way: nothing of them is left, here or at the server", async () => {
  const { left, fds } = await drops(use, 1000);
  expect(left).toEqual([]);
  expect(fds.after).toBeLessThanOrEqual(fds.before);
});
