import { expect, test } from "vitest";
import { standard } from "../_harness/plugins.ts";
import { testScope } from "../_harness/scope.ts";
import { stalled } from "../_harness/stalled.ts";

const use = testScope();
const MB = 1e6;

test.each([
  ["the bare core", () => []],
  ["standard()", () => [standard()]],
])("ST-07 600 MB for a client of %s that stops reading, and reads again", async (name, plugins) => {
  const { accepted, grown, grownLater, same } = await stalled(use, plugins(), 600 * MB);
  const mb = (bytes: number) => `${(bytes / MB).toFixed(1)} MB`;
  console.log(
    `ST-07 ${name}: the server was blocked after ${mb(accepted)}, the proxy had grown by ${mb(grown)}, later by ${mb(grownLater)}`,
  );
  expect(accepted).toBeLessThan(32 * MB);
  expect(grown).toBeLessThan(48 * MB);
  expect(same).toBe(true);
});
