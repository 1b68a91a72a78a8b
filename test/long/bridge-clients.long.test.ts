import { expect, test } from "vitest";
import { testScope } from "../_harness/scope.ts";
import { CLIENTS, SERVERS } from "../bridge/pairs.ts";
import { failures, runPairs } from "../bridge/run-pairs.ts";

const use = testScope();

/** Every pair of `test/bridge/clients.test.ts` and the clients that it leaves out, on each runtime. */
test("clients of both SDKs can do all that a server offers, on this runtime too", { timeout: 300_000 }, async () => {
  expect(failures(await runPairs(use, CLIENTS, SERVERS))).toEqual([]);
});
