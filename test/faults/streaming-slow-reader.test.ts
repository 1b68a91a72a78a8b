import { describe, expect, test } from "vitest";
import { standard } from "../_harness/plugins.ts";
import { type RawClient, type RawConnection, rawClient, rawServer, within } from "../_harness/peers.ts";
import { testScope } from "../_harness/scope.ts";
import { startProxy } from "../_harness/proxy.ts";
import { SSE_HEAD, call, chunk, plain, post } from "../_harness/wire.ts";

const use = testScope();
/** The write-idle limit, shrunken from 60 s. */
const WRITE_MS = 300;
const TICK_MS = 20;
const PIECE = `data: ${"x".repeat(65_000)}\n\n`;

const stacks = [
  ["the bare core", () => []],
  ["standard()", () => [standard()]],
] as const;

/** A proxy for one server. @param write the write-idle limit, in milliseconds */
async function proxyTo(url: string, plugins: unknown, write?: number) {
  const servers = { one: { url: `${url}/mcp`, path: "/mcp" } };
  const proxy = await use(startProxy({ servers, plugins, ...(write !== undefined && { clientLimits: { write } }) }));
  return { port: Number(new URL(proxy.url).port) };
}

/** Sends until every buffer on the way is full, and goes on whenever there is room. */
function flood(connection: RawConnection, head: string): void {
  connection.send(head);
  const fill = () => {
    while (!connection.socket.destroyed && connection.send(PIECE));
  };
  connection.socket.on("drain", fill);
  fill();
}

const FLOODS = {
  "GET, an event stream": [plain("GET"), "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"],
  "POST, a large answer": [post(call()), "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n"],
} as const;

/** Reads by and by: `bytes` every `ms`. What arrived is thrown away. */
function readSlowly({ socket }: RawClient, bytes: number, ms: number): { stop: () => void } {
  socket.removeAllListeners("data");
  socket.pause();
  const handle = setInterval(() => void socket.read(Math.min(bytes, socket.readableLength || bytes)), ms);
  socket.once("close", () => clearInterval(handle));
  return { stop: () => clearInterval(handle) };
}

describe.each(stacks)("ST-08 %s", (_name, plugins) => {
  test.each(Object.entries(FLOODS))(
    "a client that drains 1 KB/s is cut after the limit: %s",
    async (_kind, flooded) => {
      const [request, head] = flooded;
      const server = await use(
        rawServer(async (connection) => {
          await connection.receiveRequest();
          flood(connection, head);
        }),
      );
      const { port } = await proxyTo(server.url, plugins(), WRITE_MS);
      const client = await use(rawClient(port));
      client.send(request);
      await client.receive(/x{1000}/);
      const { stop } = readSlowly(client, 100, 100);
      const before = performance.now();
      const closed = await within((await server.connection()).closed, "the release of the server", { timeout: 5000 });
      expect(closed.at - before).toBeGreaterThan(WRITE_MS / 2);
      stop();
      client.socket.resume();
      await within(client.ended, "the cut", { timeout: 5000 });
    },
  );

  test("a client that reads, though not fast, and one for whom nothing waits are left alone", async () => {
    const server = await use(
      rawServer(async (connection) => {
        const { method } = await connection.receiveRequest();
        if (method === "POST") flood(connection, FLOODS["POST, a large answer"][1]);
        else connection.send(SSE_HEAD + chunk("data: 1\n\n"));
      }),
    );
    const { port } = await proxyTo(server.url, plugins(), WRITE_MS);
    const [reader, idle] = [await use(rawClient(port)), await use(rawClient(port))];
    reader.send(post(call()));
    await reader.receive(/x{1000}/);
    readSlowly(reader, 256 * 1024, 5);
    idle.send(plain("GET"));
    await idle.receive(/data: 1/);
    idle.pause();
    // Time is the subject: several limits go by.
    await new Promise((resolve) => setTimeout(resolve, WRITE_MS * 4));
    expect(server.connections.map(({ socket }) => socket.destroyed)).toEqual([false, false]);
    expect(reader.socket.bytesRead).toBeGreaterThan(4_000_000);
  });
});

test("ST-08 slow readers do not delay 50 healthy streams", { timeout: 20_000 }, async () => {
  const healthy: RawConnection[] = [];
  const server = await use(
    rawServer(async (connection) => {
      const { method } = await connection.receiveRequest();
      if (method === "POST") return flood(connection, FLOODS["POST, a large answer"][1]);
      connection.send(SSE_HEAD);
      healthy.push(connection);
    }),
  );
  const { port } = await proxyTo(server.url, [standard()]);
  const latencies: number[] = [];
  for (let i = 0; i < 50; i++) {
    const client = await use(rawClient(port));
    client.send(plain("GET"));
    await client.receive(/\r\n\r\n/);
    client.socket.on("data", (data: Buffer) => {
      for (const [, at] of data.toString().matchAll(/data: ([\d.]+)\n/g))
        latencies.push(performance.now() - Number(at));
    });
  }
  expect(healthy).toHaveLength(50);
  /** The p99 of the calmest of several windows: what other processes do to one of them is not the subject. */
  const measure = async () => {
    let best = Number.POSITIVE_INFINITY;
    for (let window = 0; window < 5; window++) {
      latencies.length = 0;
      for (let round = 0; round < 10; round++) {
        for (const connection of healthy) connection.send(chunk(`data: ${performance.now()}\n\n`));
        await new Promise((resolve) => setTimeout(resolve, TICK_MS));
      }
      await expect.poll(() => latencies.length).toBe(10 * healthy.length);
      best = Math.min(best, latencies.toSorted((a, b) => a - b)[Math.floor(latencies.length * 0.99)]!);
    }
    return best;
  };
  const before = await measure();
  for (let i = 0; i < 10; i++) {
    const slow = await use(rawClient(port));
    slow.send(post(call()));
    await slow.receive(/x{1000}/);
    readSlowly(slow, 100, 100);
  }
  const beside = await measure();
  // 5 ms on a machine of its own.
  expect(beside - before).toBeLessThan(40);
});
