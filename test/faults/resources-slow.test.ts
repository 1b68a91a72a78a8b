import { describe, expect, test } from "vitest";
import { type RawClient, rawClient, rawServer, within } from "../_harness/peers.ts";
import { startProxy } from "../_harness/proxy.ts";
import { type Slow, expectHealthy, openSlow } from "../_harness/slow-clients.ts";
import { testScope } from "../_harness/scope.ts";
import { call, jsonAnswer, plain, post } from "../_harness/wire.ts";

const use = testScope();
const CLIENTS = 100;
/** In milliseconds; true are 15 s, 30 s and 75 s. */
const clientLimits = { headers: 600, body: 900, idle: 600 };

/** A server that answers every call, and a proxy with short limits. */
async function setUp() {
  const server = await use(
    rawServer(async (connection) => {
      for await (const _ of connection.requests()) connection.send(jsonAnswer("{}"));
    }),
  );
  const servers = { one: { url: `${server.url}/mcp`, path: "/mcp" } };
  const proxy = await use(startProxy({ servers, plugins: [], clientLimits }));
  return { server, port: Number(new URL(proxy.url).port) };
}

describe("RL-05 clients that hold connections:", () => {
  const KINDS: readonly [Slow, number, string][] = [
    ["nothing", clientLimits.headers, "closed"],
    ["half a head", clientLimits.headers, "408"],
    ["a head, byte by byte", clientLimits.headers, "408"],
    ["half a body", clientLimits.body, "408"],
    ["a body, byte by byte", clientLimits.body, "408"],
  ];

  test.each(KINDS)(
    `${CLIENTS} that send %s are closed in time, and others notice nothing`,
    async (kind, limit, how) => {
      const { port } = await setUp();
      const slow = await openSlow(use, port, CLIENTS, kind);
      const healthy = expectHealthy(use, port, slow.ended);
      const ms = await within(slow.ended, "the end of all of them", { timeout: limit + 8000 });
      // The limits are looked at four times within the shortest one.
      expect(Math.min(...ms)).toBeGreaterThan(limit * 0.7);
      expect(Math.max(...ms)).toBeLessThan(limit + 4000);
      expect([...new Set(slow.fates())]).toEqual([how]);
      const calls = await healthy;
      expect(calls.length).toBeGreaterThan(5);
      expect(calls[Math.floor(calls.length * 0.95)]).toBeLessThan(250);
    },
  );

  test("one that is idle between two calls is closed, and one that calls in time is not", async () => {
    const { port } = await setUp();
    const [idle, busy] = [await use(rawClient(port)), await use(rawClient(port))];
    const ask = async (client: RawClient) => {
      client.send(post(call()));
      expect((await client.receiveResponse()).status).toBe(200);
    };
    await ask(idle);
    const left = within(idle.ended, "the end of the idle one", { timeout: 6000 }).then(() => (over = true));
    let over = false;
    // oxlint-disable-next-line no-unmodified-loop-condition -- the promise changes it
    while (!over) {
      await ask(busy);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await left;
    await ask(busy);
  });
});

test("RL-05 a flood of pipelined requests: each is answered in order, others notice nothing, and one who reads no answers is not served on", async () => {
  const { server, port } = await setUp();
  const count = 2000;
  const [flood, deaf] = [await use(rawClient(port)), await use(rawClient(port))];
  deaf.pause();
  deaf.send(plain("PUT").repeat(50_000));
  flood.send(plain("PUT").repeat(count - 1) + post(call(2)));
  const answered = flood.receive((pending) => pending.endsWith("{}"), { timeout: 8000 });
  const healthy = expectHealthy(use, port, answered);
  await answered;
  const calls = await healthy;
  // The slowest, on a machine that runs other tests as well: behind the flood it would wait for its end.
  expect(calls.at(-1)).toBeLessThan(2000);
  const statuses = [...flood.received.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => status);
  expect(statuses).toHaveLength(count);
  expect(statuses.slice(0, -1).every((status) => status === "405")).toBe(true);
  expect(statuses.at(-1)).toBe("200");
  expect(server.requests).toBe(1 + calls.length);
});
