/** What is known of a server's eras, and for how long: MCP 2026-07-28, Versioning, "Era detection". */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Answer, type Mount, type Probe, ProxyError, ServerEras, json } from "../../core/index.ts";
import { gate } from "../_harness/peers.ts";

const MODERN = { resultType: "complete", supportedVersions: ["2026-07-28"], capabilities: {} };
const LEGACY = { protocolVersion: "2025-11-25", capabilities: {}, serverInfo: { name: "s", version: "1" } };
const HORIZON = 1000;

const mountOf = (transport: Mount["transport"] = "http", era: Mount["era"] = "auto") => ({ transport, era }) as Mount;

/** A server that answers what it has a result for. */
function server(results: Record<string, object>) {
  const asked: string[] = [];
  const current = { results, failure: undefined as ProxyError | undefined, until: Promise.resolve() };
  const call = async ({ body, method }: { body?: unknown; method?: string }): Promise<Answer> => {
    if (method === "DELETE") return json({});
    const { id, method: name } = body as { id: string; method: string };
    asked.push(name);
    await current.until;
    if (current.failure) throw current.failure;
    const result = current.results[name];
    return result
      ? json({ jsonrpc: "2.0", id, result })
      : json({ jsonrpc: "2.0", id, error: { code: -32601, message: "no" } }, 404);
  };
  return { asked, current, call };
}

let now: number;
beforeEach(() => {
  now = 10_000;
  vi.spyOn(performance, "now").mockImplementation(() => now);
});
afterEach(() => vi.restoreAllMocks());

describe("an answer", () => {
  test.each([
    [0, 0.9],
    [0.5, 1],
    [0.999, 1.0998],
  ])("counts for the horizon and a tenth less or more: %d", (random, factor) => {
    vi.spyOn(Math, "random").mockReturnValue(random);
    const eras = new ServerEras(mountOf(), { horizon: HORIZON });
    eras.learn("modern", true);
    now += HORIZON * factor - 1;
    expect(eras.isOld()).toBe(false);
    now += 2;
    expect(eras.isOld()).toBe(true);
  });

  test("counts while it is asked for anew, and then the new one does", async () => {
    const eras = new ServerEras(mountOf(), { horizon: HORIZON });
    const { asked, current, call } = server({ initialize: LEGACY });
    expect((await eras.probe("modern", call)).verdict).toBe("legacy");
    expect([eras.speaks("modern"), eras.isOld()]).toEqual([false, false]);
    now += 2 * HORIZON;
    expect(eras.isOld()).toBe(true);
    const answered = gate();
    current.until = answered.promise;
    current.results = { "server/discover": MODERN };
    eras.refresh(call);
    // It is being asked: nobody else need.
    expect([eras.speaks("modern"), eras.isOld()]).toEqual([false, false]);
    answered.open();
    await eras.asking("modern");
    expect([eras.speaks("modern"), eras.isOld()]).toEqual([true, false]);
    expect(asked).toEqual(["server/discover", "server/discover"]);
  });

  test("that a server is legacy is no reason to ask again: it says so itself when it no longer is", () => {
    const eras = new ServerEras(mountOf(), { horizon: HORIZON });
    eras.learn("legacy", true);
    now += 100 * HORIZON;
    expect(eras.isOld()).toBe(false);
  });

  test("over stdio counts a minute, where it was silence", () => {
    const eras = new ServerEras(mountOf("stdio"));
    eras.learn("modern", false);
    now += 67_000;
    expect(eras.isOld()).toBe(true);
    eras.learn("modern", true);
    now += 67_000;
    expect(eras.isOld()).toBe(false);
  });

  test("of a server that was modern only: the question is whether it knows initialize by now", async () => {
    const eras = new ServerEras(mountOf(), { horizon: HORIZON });
    const { asked, call } = server({ initialize: LEGACY });
    eras.learn("legacy", false);
    eras.refresh(call);
    await eras.asking("legacy");
    expect(asked).toEqual(["initialize"]);
    expect(eras.speaks("legacy")).toBe(true);
  });
});

test("all who want to know at the same time ask once", async () => {
  const eras = new ServerEras(mountOf());
  const { asked, call } = server({ "server/discover": MODERN });
  const answers = await Promise.all(Array.from({ length: 20 }, () => eras.probe("modern", call)));
  expect(new Set(answers).size).toBe(1);
  expect(asked).toEqual(["server/discover"]);
  expect(eras.asking("modern")).toBeUndefined();
});

describe("a question that somebody else asks", () => {
  test("is waited for", async () => {
    const eras = new ServerEras(mountOf());
    const { asked, call } = server({});
    const found: Probe = { verdict: "modern", transport: "http", latencyMs: 1 };
    eras.lend(Promise.resolve(found));
    expect(await eras.probe("modern", call)).toBe(found);
    expect(eras.speaks("modern")).toBe(true);
    expect(asked).toEqual([]);
  });

  test.each([
    ["that got no answer", () => Promise.resolve(undefined)],
    ["that failed", () => Promise.reject(new ProxyError("CLIENT_GONE"))],
  ])("%s says nothing", async (_what, lent) => {
    const eras = new ServerEras(mountOf());
    const { asked, call } = server({ "server/discover": MODERN });
    eras.lend(lent());
    expect(await eras.probe("modern", call)).toEqual({ verdict: "down", transport: "http", latencyMs: 0 });
    expect(eras.speaks("modern")).toBeUndefined();
    await eras.probe("modern", call);
    expect([eras.speaks("modern"), asked.length]).toEqual([true, 1]);
  });
});

test("an outage is not kept, and takes nothing away that was known", async () => {
  const eras = new ServerEras(mountOf(), { horizon: HORIZON, pause: 60_000 });
  const { current, call, asked } = server({ "server/discover": MODERN });
  current.failure = new ProxyError("UPSTREAM_UNREACHABLE");
  expect((await eras.probe("modern", call)).verdict).toBe("down");
  expect(eras.speaks("modern")).toBeUndefined();
  current.failure = undefined;
  await eras.probe("modern", call);
  now += 2 * HORIZON;
  current.failure = new ProxyError("UPSTREAM_UNREACHABLE");
  eras.refresh(call);
  await eras.asking("modern");
  expect(eras.speaks("modern")).toBe(true);
  // Nor is it asked with every request from now on.
  expect(eras.isOld()).toBe(false);
  now += 60_001;
  expect(eras.isOld()).toBe(true);
  expect(asked).toHaveLength(3);
});

test("a doubt is allowed when the last answer is old enough; sooner where there was none", async () => {
  const eras = new ServerEras(mountOf(), { pause: 5000 });
  const { current, call } = server({ "server/discover": MODERN });
  expect(eras.mayDoubt()).toBe(true);
  await eras.probe("modern", call);
  expect(eras.mayDoubt()).toBe(false);
  now += 5001;
  expect(eras.mayDoubt()).toBe(true);
  current.failure = new ProxyError("UPSTREAM_UNREACHABLE");
  await eras.probe("modern", call);
  expect(eras.mayDoubt()).toBe(false);
  now += 1001;
  expect(eras.mayDoubt()).toBe(true);
});

test("a thousand credentials are remembered, and of more the ones that were used last", () => {
  const eras = new ServerEras(mountOf());
  for (let i = 0; i < 1000; i++) eras.learn("modern", true, `key ${i}`);
  eras.learn("modern", false, "key 0");
  eras.learn("modern", true, "one more");
  expect(["key 0", "key 1", "key 2", "one more"].map((key) => eras.speaks("modern", key))).toEqual([
    false,
    undefined,
    true,
    true,
  ]);
});

test.each([
  ["http", "modern", [false, true]],
  ["http", "legacy", [true, false]],
  ["sse", "auto", [true, false]],
  ["sse", "modern", [false, true]],
] as const)("what is fixed is never asked: %s, %s", (transport, era, expected) => {
  const eras = new ServerEras(mountOf(transport, era));
  expect([eras.isFixed, eras.mayDoubt(), eras.isOld()]).toEqual([true, false, false]);
  expect([eras.speaks("legacy"), eras.speaks("modern")]).toEqual(expected);
});
