import { expect, test } from "vitest";
import { unsupported } from "../_harness/plugins.ts";
import { startProxy } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { StdioClient, childrenOf, gone, stdioServer } from "../_harness/stdio.ts";
import { vitals } from "../_harness/vitals.ts";

const use = testScope();
const ROUNDS = 5;
const AT_A_TIME = 10;

test("SD-05 50 stdio servers started and ended in every way: nothing is left of them", async () => {
  const servers = { one: stdioServer([], { idleTimeout: 2000 }) };
  const proxy = await use(startProxy({ servers, plugins: [unsupported()], clientLimits: { idle: 1000 } }));
  // What the first one loads stays.
  await (await StdioClient.open(proxy.url)).end();
  await expect.poll(() => childrenOf(proxy.pid)).toEqual([]);
  const net = await vitals(proxy);
  const seen: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const clients = await Promise.all(Array.from({ length: AT_A_TIME }, () => StdioClient.open(proxy.url)));
    const pids = childrenOf(proxy.pid);
    expect(pids).toHaveLength(AT_A_TIME);
    seen.push(...pids);
    await Promise.all(
      clients.map(async (client, i) => {
        const held = client.call("wait");
        // One is killed, for more would suspend the server; the others are ended by their client, or left to the idle limit.
        if (i === 0) await client.call("die");
        else if (i % 2 === 0) await client.end();
        else await client.call("release").then(() => {});
        await held;
      }),
    );
    await gone(pids, 10_000);
  }
  expect(new Set(seen).size).toBe(ROUNDS * AT_A_TIME);
  await net.backToBaseline();
});
