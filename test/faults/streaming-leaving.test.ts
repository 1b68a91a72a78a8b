import { describe, expect, test } from "vitest";
import { type RawClient, type RawServer, gate, rawClient, rawServer, within } from "../_harness/peers.ts";
import { framing, outcomes, standard, waitingRoom } from "../_harness/plugins.ts";
import { testScope } from "../_harness/scope.ts";
import { SSE_HEAD, call, chunk, front, jsonAnswer, plain, post } from "../_harness/wire.ts";

const use = testScope();
const RELEASE_MS = 250;
const STACKS = [
  ["the bare core", () => []],
  ["standard()", () => [standard()]],
  ["a hook that reads", () => [framing()]],
] as const;
const WAYS = ["reset", "fin"] as const;
const PHASES = [
  ["before the head of a POST", post(call()), ""],
  ["before the head of a GET", plain("GET"), ""],
  ["on an idle GET stream", plain("GET"), SSE_HEAD],
  ["in the middle of a POST's stream", post(call()), SSE_HEAD + chunk("data: 1\n\n")],
] as const;

/** Waits until the exchange is over for the proxy too: its last hook was called. @returns how long that took, in milliseconds */
async function settled(url: string, since: number): Promise<number> {
  for (;;) {
    const ended = (await (await fetch(`${url}/outcomes`)).json()) as { end: string }[];
    if (ended.length > 0) {
      expect(ended).toEqual([{ end: "client-gone", status: expect.any(Number) }]);
      return performance.now() - since;
    }
    expect(performance.now() - since).toBeLessThan(2000);
  }
}

/** The proxy serves others as before. */
async function expectOthersServed(port: number, server: RawServer): Promise<void> {
  const other = await use(rawClient(port));
  const before = server.connections.length;
  other.send(post(call(2)));
  const connection = await server.connection(before);
  await waitFor(async () => connection.received.includes('"id":2'));
}

describe.each(STACKS)("ST-02 a client of %s that leaves", (_stack, plugins) => {
  describe.each(WAYS)("with a %s", (how) => {
    test.each(PHASES)("%s: the server sees its connection close at once", async (_phase, request, answer) => {
      const asked = gate();
      const server = await use(
        rawServer(async (connection) => {
          if (connection.index > 0) return;
          await connection.receiveRequest();
          connection.send(answer);
          asked.open();
        }),
      );
      const { port, url } = await use(front(server.url, [...plugins(), outcomes()]));
      const client = await use(rawClient(port));
      client.send(request);
      await asked.promise;
      if (answer !== "") await client.receive(answer.includes("data") ? /data: 1/ : /\r\n\r\n/);
      const left = performance.now();
      client[how]();
      const closed = await within((await server.connection()).closed, "the release");
      expect(closed.at - left).toBeLessThan(RELEASE_MS);
      await settled(url, left);
      await expectOthersServed(port, server);
    });
  });
});

describe.each(WAYS)("ST-02 a client that leaves with a %s", (how) => {
  test("while its connection to the server is being set up: the attempt ends", async () => {
    // It accepts and never answers the TLS handshake.
    const server = await use(rawServer());
    const { port, url } = await use(front(server.url.replace("http:", "https:"), [outcomes()]));
    const client = await use(rawClient(port));
    client.send(post(call()));
    const connection = await server.connection();
    await connection.receive(() => true);
    const left = performance.now();
    client[how]();
    expect((await within(connection.closed, "the end of the attempt")).at - left).toBeLessThan(RELEASE_MS);
    expect(await settled(url, left)).toBeLessThan(2 * RELEASE_MS);
  });

  test("while a plugin makes it wait: the plugin is told, and the server is never asked", async () => {
    const server = await use(rawServer());
    const { port, url } = await use(front(server.url, [waitingRoom(), outcomes()]));
    const client = await use(rawClient(port));
    client.send(post(call()));
    await waitFor(async () => (await (await fetch(`${url}/waiting`)).text()) === "1");
    const left = performance.now();
    client[how]();
    expect(await settled(url, left)).toBeLessThan(2 * RELEASE_MS);
    expect(server.connections).toHaveLength(0);
  });

  test("while it waits for an answer on a connection that was used before: it is closed, and not used again", async () => {
    const server = await use(
      rawServer(async (connection) => {
        for await (const { body } of connection.requests())
          if (body.includes('"id":1,')) connection.send(jsonAnswer("{}"));
      }),
    );
    const { port } = await use(front(server.url));
    const client = await use(rawClient(port));
    client.send(post(call()));
    await client.receiveResponse();
    client.send(post(call(3)));
    const first = await server.connection(0);
    await waitFor(async () => first.received.includes('"id":3'));
    const left = performance.now();
    client[how]();
    expect((await within(first.closed, "the release")).at - left).toBeLessThan(RELEASE_MS);
    await expectOthersServed(port, server);
  });

  test("in the middle of its upload: the server is never asked", async () => {
    const server = await use(rawServer());
    const { port, url } = await use(front(server.url, [outcomes()]));
    for (const head of [`content-length: 1000`, "transfer-encoding: chunked"]) {
      const client = await use(rawClient(port));
      client.send(
        `POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n${head}\r\n\r\n10\r\n{"jsonrpc":"2.0"\r\n`,
      );
      await arrived(client, url);
      client[how]();
    }
    const left = performance.now();
    await waitFor(async () => ((await (await fetch(`${url}/outcomes`)).json()) as unknown[]).length === 2);
    expect(performance.now() - left).toBeLessThan(2 * RELEASE_MS);
    expect(await (await fetch(`${url}/outcomes`)).json()).toEqual([
      { end: "client-gone", status: 499 },
      { end: "client-gone", status: 499 },
    ]);
    expect(server.connections).toHaveLength(0);
  });
});

async function waitFor(check: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 2000;
  while (!(await check())) {
    expect(performance.now()).toBeLessThan(deadline);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** What a client has sent was read: requests of others that came later were answered. */
async function arrived({ socket }: RawClient, url: string): Promise<void> {
  while (socket.writableLength > 0) await new Promise((resolve) => setImmediate(resolve));
  for (let i = 0; i < 3; i++) await (await fetch(`${url}/outcomes`)).text();
}
