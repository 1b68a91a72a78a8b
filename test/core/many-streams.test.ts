import { createServer } from "node:http";
import { expect, test } from "vitest";
import { closeable, listen, stop } from "../_harness/loopback.ts";
import { rawClient } from "../_harness/peers.ts";
import { otherRuntime } from "../_harness/runtimes.ts";
import { testScope } from "../_harness/scope.ts";
import { call, front, plain, post } from "../_harness/wire.ts";

const use = testScope();
/** Bun's own client stops at 256 requests of a process. */
const STREAMS = 300;

test(`${STREAMS} open streams leave room for a call`, async () => {
  const server = createServer((request, response) => {
    if (request.method === "GET") response.writeHead(200, { "content-type": "text/event-stream" }).write(": open\n\n");
    else request.resume().on("end", () => response.writeHead(200, { "content-type": "application/json" }).end("{}"));
  });
  const port = await listen(server);
  await use(closeable({ close: () => stop(server) }));
  const proxy = await use(front(`http://127.0.0.1:${port}`));
  const streams = await Promise.all(Array.from({ length: STREAMS }, () => use(rawClient(proxy.port))));
  for (const stream of streams) stream.send(plain("GET", "/mcp", "accept: text/event-stream\r\n"));
  await Promise.all(streams.map((stream) => stream.receive(/: open/)));
  const caller = await use(rawClient(proxy.port));
  caller.send(post(call()));
  expect((await caller.receiveResponse()).status).toBe(200);
});

test(
  "a stream that is silent for 13 s stays open: Bun's server ends them after 10 s",
  { timeout: 25_000 },
  async (context) => {
    if (otherRuntime !== "bun") context.skip("it takes 13 s, and is about a limit of Bun's server");
    const server = createServer((_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" }).write(": open\n\n");
      setTimeout(() => response.write("data: late\n\n"), 13_000).unref();
    });
    const port = await listen(server);
    await use(closeable({ close: () => stop(server) }));
    // No plugin: keep-alive comments would hide it.
    const client = await use(rawClient((await use(front(`http://127.0.0.1:${port}`))).port));
    client.send(plain("GET", "/mcp", "accept: text/event-stream\r\n"));
    await client.receive(/data: late/, { timeout: 20_000 });
  },
);
