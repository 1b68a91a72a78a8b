import { beforeAll, expect, test } from "vitest";
import { newHost } from "../_harness/elsewhere.ts";
import { framing, standard } from "../_harness/plugins.ts";
import { testScope } from "../_harness/scope.ts";
import { stalled } from "../_harness/stalled.ts";

const use = testScope();
// Memory that earlier files left free would hide what is held.
beforeAll(newHost);
const MB = 1e6;

test.each([
  ["the bare core", () => []],
  ["a hook that reads", () => [framing()]],
  ["standard()", () => [standard()]],
])(
  "ST-07 a client that stops reading through %s blocks the server, and gets every byte when it reads again",
  { timeout: 30_000 },
  async (_, plugins) => {
    const { accepted, grown, same } = await stalled(use, plugins(), 64 * MB);
    expect(accepted).toBeLessThan(32 * MB);
    expect(grown).toBeLessThan(48 * MB);
    expect(same).toBe(true);
  },
);
