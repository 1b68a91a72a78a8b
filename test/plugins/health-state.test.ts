/** What signals make of a server's state; no server is needed for that. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Logger, Mount } from "mcp-penstock";
import { readSettings } from "../../plugins/_health-options.ts";
import { Health } from "../../plugins/_health-state.ts";

const lines: string[] = [];
const at = (level: string) => (text: string | (() => string)) =>
  void lines.push(`${level} ${typeof text === "function" ? text() : text}`);
const log: Logger = { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
const health = (auth?: "passthrough") => new Health({ server: "one", auth } as Mount, log, { fall: 3, rise: 2 });
const states = (state: Health, verdicts: string) =>
  verdicts
    .split(" ")
    .map((verdict) => {
      state.record(({ ok: "healthy", no: "down", auth: "auth-required" } as const)[verdict as "ok"], verdict);
      return state.status;
    })
    .join(" ");

beforeEach(() => {
  lines.length = 0;
  vi.useFakeTimers();
});
afterEach(() => void vi.useRealTimers());

describe("thresholds", () => {
  test.each([
    ["the first signal decides", "ok", "healthy"],
    ["the first signal decides", "no", "down"],
    ["the first signal decides", "auth", "auth-required"],
    ["three bad ones in a row", "ok no no no", "healthy degraded degraded down"],
    ["one good one in between", "ok no no ok no no ok", "healthy degraded degraded healthy degraded degraded healthy"],
    ["two good ones bring it back", "no ok ok", "down degraded healthy"],
    ["one good one does not", "no ok no ok no", "down degraded down degraded down"],
    ["bad ones of both kinds add up", "ok no auth no", "healthy degraded degraded down"],
    ["a credential that is refused", "ok auth auth auth", "healthy degraded degraded auth-required"],
    ["who asks for a credential is not down", "no auth", "down auth-required"],
    ["and back", "auth ok ok", "auth-required degraded healthy"],
  ])("%s: %s", (_what, signals, expected) => {
    expect(states(health(), signals)).toBe(expected);
  });

  test("`since` is when the state began, with its first reason", () => {
    const state = health();
    vi.setSystemTime("2026-01-01T00:00:00Z");
    state.record("down", "first");
    vi.setSystemTime("2026-01-01T00:01:00Z");
    state.record("down", "second");
    expect(state.report()).toEqual({ status: "down", reason: "first", since: "2026-01-01T00:00:00.000Z" });
    state.record("healthy");
    state.record("healthy");
    expect(state.report()).toEqual({ status: "healthy", since: "2026-01-01T00:01:00.000Z" });
  });
});

describe("lines", () => {
  test("one per change, none per signal", () => {
    states(health(), "ok ok no no no no no ok no ok ok ok");
    expect(lines).toEqual(["debug one is healthy (ok)", "warn one is down (no)", "info one is healthy (ok) again"]);
  });

  test("a server that checks its callers itself is no warning", () => {
    states(health("passthrough"), "auth auth");
    states(health(), "auth auth");
    expect(lines).toEqual(["debug one is auth-required (auth)", "warn one is auth-required (auth)"]);
  });

  test("push: one at debug per change", () => {
    const state = health();
    for (const reason of ["HTTP 405", "HTTP 405", "reset"]) state.notePush({ available: false, reason });
    state.notePush({ available: true, reason: "event stream" });
    expect(lines).toEqual([
      "debug one: push unavailable (HTTP 405)",
      "debug one: push unavailable (reset)",
      "debug one: push available (event stream)",
    ]);
  });
});

describe("when to ask again", () => {
  test("later and later while it is down, up to eight intervals, within a fifth", () => {
    const state = health();
    const waits = Array.from({ length: 6 }, () => {
      state.record("down");
      state.schedule(0, 1000);
      return state.nextProbe / 1000;
    });
    [1, 2, 4, 8, 8, 8].forEach((factor, i) => expect(Math.abs(waits[i]! / factor - 1)).toBeLessThanOrEqual(0.2));
    states(state, "ok ok");
    state.schedule(0, 1000);
    expect(state.nextProbe).toBeLessThanOrEqual(1200);
  });

  test("jitter spreads servers that were started together", () => {
    const times = Array.from({ length: 50 }, () => {
      const state = health();
      state.schedule(0, 1000);
      return Math.round(state.nextProbe);
    });
    expect(new Set(times).size).toBeGreaterThan(10);
  });

  test("405 and 404 to a GET are final for ten minutes, other refusals are tried less and less often", () => {
    const final = health();
    expect(final.wantsPush(performance.now(), 1000)).toBe(true);
    final.notePush({ available: false, reason: "HTTP 405" });
    expect(final.wantsPush(performance.now() + 599_000, 1000)).toBe(false);
    expect(final.wantsPush(performance.now() + 601_000, 1000)).toBe(true);

    const passing = health();
    const asked: number[] = [];
    for (let second = 0; second < 600; second++) {
      if (!passing.wantsPush(second * 1000, 1000)) continue;
      asked.push(second);
      passing.notePush({ available: false, reason: "HTTP 503" });
    }
    expect(asked).toEqual([0, 2, 6, 14, 30, 62, 126, 254, 510]);
  });

  test("a client's own refusal is news only where nothing is known, or when it is final", () => {
    const state = health();
    state.notePushOfClient({ available: false, reason: "HTTP 409" });
    expect(state.push).toEqual({ available: false, reason: "HTTP 409" });
    state.notePushOfClient({ available: true, reason: "event stream" });
    state.notePushOfClient({ available: false, reason: "HTTP 404" });
    expect(state.push!.available).toBe(true);
    state.notePushOfClient({ available: false, reason: "HTTP 405" });
    expect(state.push!.available).toBe(false);
  });
});

describe("options", () => {
  const of = (options: object, env: Record<string, string> = {}) => readSettings(options, env).of("one");

  test("a server's own wins over the general one, that over the environment, that over the default", () => {
    expect(of({})).toEqual({ timeout: 10_000, interval: 30_000, push: true });
    const env = { PENSTOCK_PROBE_TIMEOUT: "1", PENSTOCK_PROBE_INTERVAL: "0", PENSTOCK_PUSH: "false" };
    expect(of({}, env)).toEqual({ timeout: 1, interval: 0, push: false });
    expect(of({ timeout: 2, push: true }, env)).toEqual({ timeout: 2, interval: 0, push: true });
    expect(of({ timeout: 2, servers: { one: { timeout: 3 } } }, env)).toEqual({ timeout: 3, interval: 0, push: false });
  });

  test.each<[object, Record<string, string>, RegExp]>([
    [{ timeout: 0 }, {}, /health.*timeout/],
    [{ interval: -1 }, {}, /interval/],
    [{ interval: Number.NaN }, {}, /interval/],
    [{ push: "no" }, {}, /push/],
    [{ fall: 0 }, {}, /fall/],
    [{ rise: 1.5 }, {}, /rise/],
    [{ initialDelay: -1 }, {}, /initialDelay/],
    [{ servers: { docs: { timeout: 2 ** 31 } } }, {}, /servers\.docs\.timeout/],
    [{}, { PENSTOCK_PROBE_TIMEOUT: "0" }, /PENSTOCK_PROBE_TIMEOUT.*"0"/],
    [{}, { PENSTOCK_PROBE_INTERVAL: "30s" }, /PENSTOCK_PROBE_INTERVAL.*"30s"/],
    [{}, { PENSTOCK_PUSH: "maybe" }, /PENSTOCK_PUSH.*"maybe"/],
  ])("%j with %j is refused", (options, env, message) => {
    expect(() => readSettings(options, env)).toThrow(message);
  });
});
