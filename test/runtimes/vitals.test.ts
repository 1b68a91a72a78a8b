import { expect, test } from "vitest";
import { rawClient, rawServer } from "../_harness/peers.ts";
import { startCli } from "../_harness/proxy.ts";
import { otherRuntime } from "../_harness/runtimes.ts";
import { testScope } from "../_harness/scope.ts";
import { vitals } from "../_harness/vitals.ts";
import { SSE_HEAD, call, front, jsonAnswer, plain, post } from "../_harness/wire.ts";

const use = testScope();

/** A server whose GET streams stay open, and whose connections are not kept after a call. */
async function server() {
  return use(
    rawServer(async (connection) => {
      for await (const { method } of connection.requests())
        connection.send(method === "GET" ? SSE_HEAD : jsonAnswer("{}", "200 OK", "connection: close\r\n"));
    }),
  );
}

test("a process that has streams open is not at its baseline, and is when they have left", async () => {
  const upstream = await server();
  const proxy = await use(front(upstream.url));
  const caller = await use(rawClient(proxy.port));
  caller.send(post(call()));
  await caller.receiveResponse();
  const net = await vitals(proxy);
  expect(net.baseline.rss).toBeGreaterThan(10 * 2 ** 20);
  expect(net.baseline.heap).toBeGreaterThan(2 ** 20);
  expect(net.baseline.listeners).toBeGreaterThan(0);

  const streams = await Promise.all(Array.from({ length: 10 }, () => use(rawClient(proxy.port))));
  for (const stream of streams) stream.send(plain("GET", "/mcp", "accept: text/event-stream\r\n"));
  await Promise.all(streams.map((stream) => stream.receive(/\r\n\r\n/)));
  // In the test process the ends of the peers count as well.
  const expected = otherRuntime ? 20 : 40;
  const { sockets, fds } = await net.now();
  expect([sockets - net.baseline.sockets, fds - net.baseline.fds]).toEqual([expected, expected]);
  await expect(net.backToBaseline({ timeout: 100 })).rejects.toThrow(
    new RegExp(
      `not back at the baseline after 100 ms: ${fds} file descriptors, ${net.baseline.fds} before; ${sockets} sockets`,
    ),
  );

  for (const stream of streams) await stream.close();
  await net.backToBaseline();
  await expect(net.backToBaseline({ heap: -(2 ** 30), timeout: 0 })).rejects.toThrow("MiB more heap");
});

test("a command line of its own tells what can be seen from outside", async () => {
  const upstream = await server();
  const cli = await use(startCli(["--url", `${upstream.url}/mcp`, "--port", "0"]));
  const net = await vitals(cli);
  expect(net.baseline.heap).toBeUndefined();
  const client = await use(rawClient(cli.port));
  client.send(plain("GET", "/server/mcp", "accept: text/event-stream\r\n"));
  await client.receive(/ 200 [^]*\r\n\r\n/);
  expect((await net.now()).sockets).toBe(net.baseline.sockets + 2);
  await client.close();
  await net.backToBaseline();
});
