import { expect, test } from "vitest";
import { differences, notRun } from "./compare.ts";
import { CLIENTS, CLIENT_VERSIONS, type Direct, directClient, directServer, isBridged } from "./direct.ts";
import { VERSIONS } from "./suite.ts";

function expectAllPassed({ scenarios, results }: Direct, again: Direct, what: string): void {
  expect(scenarios.length, what).toBeGreaterThan(0);
  expect(notRun(scenarios, results), what).toEqual([]);
  const failed = [...results].filter(([, checks]) => checks.some(({ status }) => /FAILURE|WARNING/.test(status)));
  expect(failed, what).toEqual([]);
  expect(differences(results, again.results), what).toEqual([]);
}

test("a server without a proxy: every check runs and passes, and nothing differs from run to run", async () => {
  const [once, again] = [await directServer(), await directServer()];
  for (const version of VERSIONS) expectAllPassed(once.get(version)!, again.get(version)!, version);
});

test.for(CLIENTS)("the client %s without a proxy, the same", async (client) => {
  for (const version of CLIENT_VERSIONS.filter((version) => !isBridged(client, version)))
    expectAllPassed(await directClient(client, version), await directClient(client, version), version);
});
