import { expect, test } from "vitest";
import { rawServer, within } from "../_harness/peers.ts";
import { type Slow, expectHealthy, openSlow } from "../_harness/slow-clients.ts";
import { testScope } from "../_harness/scope.ts";
import { front, jsonAnswer } from "../_harness/wire.ts";

const use = testScope();
const CLIENTS = 500;
/** What the sweep over all connections may come late. */
const LATE_MS = 2000;
const KINDS: readonly [Slow, number][] = [
  ["nothing", 15_000],
  ["half a head", 15_000],
  ["a head, byte by byte", 15_000],
  ["half a body", 30_000],
  ["a body, byte by byte", 30_000],
];

test.each(KINDS)(`RL-05 ${CLIENTS} clients that send %s are closed after %i ms`, async (kind, limit) => {
  const server = await use(
    rawServer(async (connection) => {
      for await (const _ of connection.requests()) connection.send(jsonAnswer("{}"));
    }),
  );
  const { port } = await use(front(server.url));
  const slow = await openSlow(use, port, CLIENTS, kind, 1000);
  const healthy = expectHealthy(use, port, slow.ended);
  const ms = await within(slow.ended, "the end of all of them", { timeout: limit + 20_000 });
  expect(Math.max(...ms)).toBeLessThan(limit + LATE_MS);
  const calls = await healthy;
  console.log(
    `RL-05 ${kind}: closed after ${Math.round(Math.max(...ms))} ms, p99 of others ${calls[Math.floor(calls.length * 0.99)]!.toFixed(1)} ms`,
  );
  expect(calls[Math.floor(calls.length * 0.99)]).toBeLessThan(100);
});
