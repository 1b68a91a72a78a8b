import { expect, test } from "vitest";
import { type Expected, differences, judge, notRun } from "./compare.ts";
import type { Check, Results } from "./suite.ts";

const run = (...checks: Check[]): Results => new Map([["a", checks]]);
const ok = (details?: unknown): Check => ({ id: "x", status: "SUCCESS", details });
const row = (what: string): Expected => ({ lanes: ["http"], scenario: "a", check: "x", what, reason: "so it is" });

test("what has another value with each run is no difference, neither is the traffic that was noted", () => {
  const trace: Check = { id: "incoming", status: "INFO", details: { date: "today" } };
  const one = run(ok({ sessionId: "1", host: "127.0.0.1:1" }), trace);
  expect(differences(one, run(ok({ sessionId: "2", host: "127.0.0.1:2" })))).toEqual([]);
});

test("a check that fails, says something else, is missing or is new is a difference", () => {
  const failed: Check = { id: "x", status: "FAILURE", errorMessage: "no" };
  expect(differences(run(ok()), run(failed)).map(({ what }) => what)).toEqual(["status", "errorMessage"]);
  expect(differences(run(ok({ body: { n: 1 } })), run(ok({ body: { n: 2 } })))).toEqual([
    { scenario: "a", check: "x", what: "details.body.n", direct: 1, proxied: 2 },
  ]);
  expect(differences(run(ok(), ok()), run(ok()))).toMatchObject([{ check: "x 2", what: "missing" }]);
  expect(differences(new Map(), run(ok()))).toMatchObject([{ check: "x", what: "added" }]);
});

test("a scenario without a check, or with one that was skipped, did not run", () => {
  expect(notRun(["a"], run(ok()))).toEqual([]);
  expect(notRun(["a", "b"], run({ id: "x", status: "SKIPPED" }))).toEqual(["a", "b"]);
  expect(notRun(["a"], run({ id: "x", status: "INFO" }))).toEqual(["a"]);
});

test("an expected difference covers what it names, and is stale when it never came", () => {
  const found = differences(run(ok({ body: { n: 1 } })), run(ok({ body: { n: 2 } })));
  expect(judge(found, [row("details.body")])).toEqual({ unexpected: [], stale: [] });
  expect(judge(found, [row("details.bod")])).toEqual({ unexpected: found, stale: [row("details.bod")] });
  expect(judge([], [row("status")])).toEqual({ unexpected: [], stale: [row("status")] });
});
