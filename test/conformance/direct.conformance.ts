import { expect, test } from "vitest";
import { differences, notRun } from "./compare.ts";
import { runDirect } from "./direct.ts";
import { VERSIONS } from "./suite.ts";

test("without a proxy every check runs and passes, and nothing differs from run to run", async () => {
  const [once, again] = [await runDirect(), await runDirect()];
  for (const version of VERSIONS) {
    const { scenarios, results } = once.get(version)!;
    expect(scenarios.length, version).toBeGreaterThan(0);
    expect(notRun(scenarios, results), version).toEqual([]);
    const failed = [...results].filter(([, checks]) => checks.some(({ status }) => /FAILURE|WARNING/.test(status)));
    expect(failed, version).toEqual([]);
    expect(differences(results, again.get(version)!.results), version).toEqual([]);
  }
});
