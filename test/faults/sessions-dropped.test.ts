import { expect, test } from "vitest";
import { drops } from "../_harness/dropped-sessions.ts";
import { testScope } from "../_harness/scope.ts";

const use = testScope();

test(
  "SE-08 100 sessions, dropped in every way: nothing of them is left, here or at the server",
  { timeout: 90_000 },
  async () => {
    const { left, fds } = await drops(use, 100);
    expect(left).toEqual([]);
    expect(fds.after).toBeLessThanOrEqual(fds.before);
  },
);
