/** What a run through the proxy found, compared with what the same run found without it. */
import { isDeepStrictEqual } from "node:util";
import type { LaneName } from "./lanes.ts";
import type { Check, Results } from "./suite.ts";

/** One thing that is not the same. */
export interface Difference {
  scenario: string;
  /** Id of the check; one that is there several times has a number behind it. */
  check: string;
  /** `missing`, `added`, or what of it differs: `status`, `errorMessage`, `details.body` … */
  what: string;
  direct?: unknown;
  proxied?: unknown;
}

/** A difference that is right as it is. */
export interface Expected {
  lanes: readonly LaneName[];
  scenario: string;
  check: string;
  /** With everything below it: `details` covers `details.body`. */
  what: string;
  reason: string;
}

/** Other values with each run, whoever answers. */
const VOLATILE =
  /[./](?:sessionId|sessionIdSent|lastEventId|lastEventIdUsed|eventId|event\.id|serverUrl|timestamp|requestState|requestStateSent|requestStateReceived|subscriptionId|actualDelayMs)$/;

/** Skipped by whoever speaks 2026-07-28: the methods that they look at are gone from it (changelog of 2026-07-28, `initialize`). */
const GONE = new Set(["ClientMcpMethodHeader_initialize", "ClientMcpMethodHeader_notifications_initialized"]);

/** The traffic that a scenario notes down is no check. Header fields of a proxy's answers are others. */
function checksOf(checks: readonly Check[]): Map<string, Check> {
  const found = new Map<string, Check>();
  for (const check of checks) {
    if (check.status === "INFO") continue;
    let id = check.id;
    for (let i = 2; found.has(id); i++) id = `${check.id} ${i}`;
    found.set(id, check);
  }
  return found;
}

/** @returns what could not be compared, because it did not run or found nothing */
export function notRun(scenarios: readonly string[], results: Results): string[] {
  return scenarios.filter((scenario) => {
    const checks = [...checksOf(results.get(scenario) ?? []).values()];
    return checks.length === 0 || checks.some(({ status, name = "" }) => status === "SKIPPED" && !GONE.has(name));
  });
}

/** Compares all scenarios, check by check. */
export function differences(direct: Results, proxied: Results): Difference[] {
  return [...new Set([...direct.keys(), ...proxied.keys()])].flatMap((scenario) => {
    const [before, after] = [direct, proxied].map((results) => checksOf(results.get(scenario) ?? []));
    return [...new Set([...before!.keys(), ...after!.keys()])].flatMap((check) => {
      const [one, other] = [before!.get(check), after!.get(check)];
      if (!one || !other) return [{ scenario, check, what: one ? "missing" : "added", direct: one, proxied: other }];
      return fields(one, other).map((difference) => ({ scenario, check, ...difference }));
    });
  });
}

function fields(one: Check, other: Check): Pick<Difference, "what" | "direct" | "proxied">[] {
  return (["status", "errorMessage", "details"] as const).flatMap((name) => deep(name, one[name], other[name]));
}

function deep(what: string, direct: unknown, proxied: unknown): Pick<Difference, "what" | "direct" | "proxied">[] {
  if (isDeepStrictEqual(direct, proxied) || VOLATILE.test(what)) return [];
  if (isObject(direct) && isObject(proxied))
    return [...new Set([...Object.keys(direct), ...Object.keys(proxied)])].flatMap((key) =>
      deep(`${what}.${key}`, direct[key], proxied[key]),
    );
  return plain(direct) === plain(proxied) ? [] : [{ what, direct, proxied }];
}

/** Each run has another port. */
function plain(value: unknown): string | undefined {
  return JSON.stringify(value)?.replace(/\b(localhost|127\.0\.0\.1):\d+/g, "$1:…");
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

/** Which differences nobody expected, and which expected ones (of those that apply) never came. */
export function judge(
  found: readonly Difference[],
  expected: readonly Expected[],
): { unexpected: Difference[]; stale: Expected[] } {
  const covers = (row: Expected, { scenario, check, what }: Difference) =>
    row.scenario === scenario && row.check === check && `${what}.`.startsWith(`${row.what}.`);
  return {
    unexpected: found.filter((one) => !expected.some((row) => covers(row, one))),
    stale: expected.filter((row) => !found.some((one) => covers(row, one))),
  };
}
