/** Options and waits of `retry`; what is sent again on the wire is in `test/faults/lifecycle-retry.test.ts`. */
import { type Plugin, ProxyError, createPenstock, json } from "mcp-penstock";
import { retry } from "mcp-penstock/plugins/retry";
import { type FakeServer, fakeServer, testPlugin } from "mcp-penstock/testing";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

const unreachable = () => new ProxyError("UPSTREAM_UNREACHABLE");

/** A server that fails `times` times. */
function failing(times: number, fail: () => Error = unreachable): FakeServer {
  let left = times;
  return fakeServer(() => {
    if (left-- > 0) throw fail();
  });
}

describe("the wait", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }));
  afterEach(() => {
    // In this order: what was watched are the fakes.
    vi.restoreAllMocks();
    vi.useRealTimers();
  });

  /** The waits of one request, each as long as it may be. */
  async function waitsOf(options: object, times: number, failure?: () => Error): Promise<number[]> {
    vi.spyOn(Math, "random").mockReturnValue(0.999_999);
    const server = failing(times, failure);
    const kit = await testPlugin(retry({ budget: 1, ...options }), { server });
    const waits: number[] = [];
    const set = vi.spyOn(globalThis, "setTimeout");
    const answer = kit.request("ping");
    for (let i = 0; i < 5; i++) {
      await vi.advanceTimersByTimeAsync(6000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await answer;
    for (const [, ms] of set.mock.calls) waits.push(Math.round(ms!));
    await kit.close();
    return waits;
  }

  test("doubles", async () => expect(await waitsOf({}, 9)).toEqual([250, 500]));
  test("has an end", async () => expect(await waitsOf({ backoff: 4000 }, 9)).toEqual([4000, 5000]));
  test("is any part of that", async () => {
    const found = new Set<number>();
    for (let i = 0; i < 5; i++) {
      const random = vi.spyOn(Math, "random").mockReturnValue(i / 5);
      const kit = await testPlugin(retry({ backoff: 1000, retries: 1 }), { server: failing(1) });
      const set = vi.spyOn(globalThis, "setTimeout");
      const answer = kit.request("ping");
      await vi.advanceTimersByTimeAsync(1000);
      expect((await answer).status).toBe(200);
      found.add(Math.round(set.mock.calls[0]![1]!));
      random.mockRestore();
      set.mockRestore();
      await kit.close();
    }
    expect([...found]).toEqual([0, 200, 400, 600, 800]);
  });
});

test("nothing is sent again while the proxy stops", async () => {
  const server = failing(1);
  const penstock = createPenstock(
    { servers: { one: { url: "http://fake.invalid/mcp", path: "/mcp" } }, plugins: retry({ backoff: 1 }) },
    { connect: server.connect },
  );
  await penstock.ready();
  penstock.announceStop();
  const answer = await penstock.fetch(
    new Request("http://localhost/mcp", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"jsonrpc":"2.0","id":1,"method":"ping"}',
    }),
  );
  expect(answer.status).toBe(502);
  expect(server.requests).toHaveLength(1);
  await penstock.close();
});

test("a plugin's own call is not sent again", async () => {
  const server = failing(1);
  let failed: unknown;
  const calling: Plugin = {
    name: "calling",
    order: "pre",
    async setup(app) {
      const body = { jsonrpc: "2.0" as const, id: 1, method: "ping" };
      failed = await app.call(app.mounts[0]!, { body }, { reason: "test" }).catch((cause: unknown) => cause);
    },
  };
  const kit = await testPlugin([retry({ backoff: 1 }), calling], { server });
  expect(failed).toMatchObject({ code: "UPSTREAM_UNREACHABLE" });
  expect(server.requests).toHaveLength(1);
  await kit.close();
});

test.each([
  "UPSTREAM_TLS",
  "UPSTREAM_TIMEOUT",
  "UPSTREAM_INVALID",
  "UPSTREAM_REDIRECT",
  "STOPPING",
  "CLIENT_GONE",
] as const)("%s is final", async (code) => {
  const server = failing(1, () => new ProxyError(code));
  const kit = await testPlugin(retry({ backoff: 1 }), { server });
  await kit.request("tools/list");
  expect(server.requests).toHaveLength(1);
  await kit.close();
});

test.each([
  [{ retries: 0 }, 1],
  [{ retries: 1 }, 2],
  [{ retries: 4, budget: 1 }, 4],
])("%o: %i attempts", async (options, attempts) => {
  const server = failing(99);
  const kit = await testPlugin(retry({ backoff: 1, ...options }), { server });
  await kit.request("ping");
  expect(server.requests).toHaveLength(attempts);
  await kit.close();
});

test("a notification that did not leave is sent again as well", async () => {
  const server = failing(1);
  const kit = await testPlugin(retry({ backoff: 1 }), { server });
  expect((await kit.post({ method: "notifications/initialized" })).status).toBe(202);
  expect(server.requests).toHaveLength(2);
  await kit.close();
});

test("maxRetryAfter: a server that asks for more is not asked again", async () => {
  const server = fakeServer(() => json({}, 503, { "retry-after": "1" }));
  const kit = await testPlugin(retry({ backoff: 1, maxRetryAfter: 500 }), { server });
  expect((await kit.request("ping")).status).toBe(503);
  expect(server.requests).toHaveLength(1);
  await kit.close();
});

test.each([
  [{ retries: 1.5 }, /retries/],
  [{ retries: 11 }, /retries/],
  [{ backoff: 0 }, /backoff/],
  [{ backoff: 6000 }, /backoff/],
  [{ maxRetryAfter: -1 }, /maxRetryAfter/],
  [{ budget: 2 }, /budget/],
])("refuses %o", (options, message) => expect(() => retry(options)).toThrow(message));
