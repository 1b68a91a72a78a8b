import type { Outcome, Plugin } from "mcp-penstock";
import { describe, expect, test } from "vitest";
import { journal } from "../_harness/journal.ts";
import { gate, rawClient, rawServer, within } from "../_harness/peers.ts";
import { calm, failingLate, twice } from "../_harness/plugins.ts";
import { testScope } from "../_harness/scope.ts";
import { SSE_HEAD, call, chunk, front, jsonAnswer, plain, post } from "../_harness/wire.ts";

const use = testScope();

describe("forward", () => {
  test("calling next twice sends the same request twice: a retry", async () => {
    const server = await use(
      rawServer(async (connection) => {
        for await (const _request of connection.requests())
          connection.send(jsonAnswer("{}", server.requests === 1 ? "503 Busy" : "200 OK"));
      }),
    );
    const client = await use(rawClient((await use(front(server.url, [twice()]))).port));
    client.send(post(call("9007199254740993")));
    expect((await client.receiveResponse()).status).toBe(200);
    const bodies = server.connections.flatMap(({ received }) => received.match(/\{"jsonrpc".*?\}\}/g) ?? []);
    expect(bodies).toEqual([call("9007199254740993"), call("9007199254740993")]);
  });

  test("may answer without the server, change headers, and turn an error into an answer", async () => {
    const server = await use(
      rawServer(async (connection) => {
        const { headers } = await connection.receiveRequest();
        expect(headers["x-added"]).toBe("1");
        connection.reset();
      }),
    );
    const client = await use(rawClient((await use(front(server.url, [calm()]))).port));
    client.send(plain("DELETE"));
    expect((await client.receiveResponse()).body).toBe('{"local":true}');
    client.send(post(call()));
    expect((await client.receiveResponse()).body).toBe('{"was":"UPSTREAM_BROKE"}');
    expect(server.requests).toBe(1);
  });

  test("another signal: the call outlives its client, or ends before it", async () => {
    const asked = gate();
    const server = await use(
      rawServer(async (connection) => {
        await connection.receiveRequest();
        asked.open();
      }),
    );
    const own = new AbortController();
    const detached: Plugin = {
      name: "detached",
      forward: (_exchange, request, next) => next({ ...request, signal: own.signal }),
    };
    const client = await use(rawClient((await use(front(server.url, [detached]))).port));
    client.send(post(call()));
    await asked.promise;
    client.reset();
    await client.closed;
    const other = await use(rawClient((await use(front(server.url, []))).port));
    other.send(post(call()));
    await server.connection(1);
    other.reset();
    // The one that is connected to its client is released; the detached one, which left earlier, is still there.
    await within((await server.connection(1)).closed, "the release of the other");
    const first = await server.connection(0);
    expect(first.socket.destroyed).toBe(false);
    own.abort();
    await within(first.closed, "the release by the hook's own signal");
  });

  test("a hook that is skipped after it had called the server delivers nothing twice", async () => {
    const server = await use(
      rawServer(async (connection) => {
        for await (const _request of connection.requests()) connection.send(jsonAnswer("{}"));
      }),
    );
    const client = await use(rawClient((await use(front(server.url, [failingLate()]))).port));
    client.send(post(call(1, "tools/call")));
    expect(await client.receiveResponse()).toMatchObject({ status: 200, body: "{}" });
    expect(server.requests).toBe(1);
  });
});

describe("done", () => {
  /** Outcomes as they come, seen by a plugin that stands behind one that throws. */
  function observer() {
    const outcomes = journal<Outcome>(({ end }) => end);
    const plugins: Plugin[] = [
      {
        name: "broken",
        done() {
          throw new Error("an observer disturbs nobody");
        },
      },
      { name: "observer", done: (_exchange, outcome) => outcomes.add(outcome) },
    ];
    return { plugins, outcomes };
  }
  const ENDINGS = [
    ["complete", post(call()), jsonAnswer("{}"), { status: 200, bytesUp: call().length, bytesDown: 2 }],
    ["complete", plain("GET"), SSE_HEAD + chunk("data: 1\n\n") + chunk(""), { status: 200, bytesUp: 0, bytesDown: 9 }],
    ["refused", post("{"), "", { status: 400 }],
    ["refused", plain("PUT"), "", { status: 405 }],
    ["upstream-broke", post(call()), "garbage\r\n\r\n", { status: 502 }],
    ["upstream-broke", post(call()), `${SSE_HEAD}data\r\n`, { status: 200 }],
  ] as const;

  test.each(ENDINGS)("is told once: %s (%#)", async (end, request, text, outcome) => {
    const server = await use(
      rawServer(async (connection) => {
        for await (const _request of connection.requests()) connection.send(text);
      }),
    );
    const { plugins, outcomes } = observer();
    const { port } = await use(front(server.url, plugins));
    const client = await use(rawClient(port));
    client.send(request);
    await outcomes.find(() => true, "the end");
    client.reset();
    await client.closed;
    // A second exchange from start to end: by then a second call for the first would have come.
    const next = await use(rawClient(port));
    next.send(post("{"));
    await outcomes.find(({ status }) => status === 400 && outcomes.entries.length > 1, "the second end");
    expect(outcomes.entries).toHaveLength(2);
    expect(outcomes.entries[0]).toMatchObject({ end, ...outcome });
    expect(outcomes.entries[0]!.ms).toBeGreaterThan(0);
    expect(outcomes.entries[0]!.error === undefined).toBe(end === "complete");
  });

  test.each([
    ["before the head", "", 499],
    ["in the middle of a stream", SSE_HEAD + chunk("data: 1\n\n"), 200],
  ])("a client that leaves %s: client-gone, once", async (_when, text, status) => {
    const asked = gate();
    const server = await use(
      rawServer(async (connection) => {
        await connection.receiveRequest();
        connection.send(text);
        asked.open();
      }),
    );
    const { plugins, outcomes } = observer();
    const client = await use(rawClient((await use(front(server.url, plugins))).port));
    client.send(post(call()));
    await asked.promise;
    if (text) await client.receive(/data: 1/);
    client.reset();
    await within((await server.connection()).closed, "the release");
    await outcomes.find(() => true, "the end");
    expect(outcomes.entries).toMatchObject([{ end: "client-gone", status }]);
  });
});
