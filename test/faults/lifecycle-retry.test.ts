import { type Socket, createServer } from "node:net";
import { describe, expect, test } from "vitest";
import { listen, closeable, stop } from "../_harness/loopback.ts";
import { apiKeys, breaker, retry, standard } from "../_harness/plugins.ts";
import { rawClient, rawServer, within } from "../_harness/peers.ts";
import { idOf, scripted } from "../_harness/scripted.ts";
import { testScope } from "../_harness/scope.ts";
import { SSE_HEAD, call, front, jsonAnswer, plain, post } from "../_harness/wire.ts";

const use = testScope();
const SAFE = ["initialize", "ping", "server/discover", "tools/list", "resources/list", "resources/templates/list"];
const UNSAFE = ["tools/call", "prompts/get", "resources/subscribe", "completion/complete", "notes/list/delete"];
const UNAVAILABLE = "503 Service Unavailable";

/** A server that does with the first `times` requests what `fault` says, and answers all others. */
async function faulty(fault: "reset" | string, times = 1) {
  let left = times;
  const script = await scripted((request) => {
    if (left-- > 0) return fault;
    return request.method === "GET" ? SSE_HEAD : jsonAnswer(`{"jsonrpc":"2.0","id":${idOf(request)},"result":{}}`);
  });
  await use(script.server);
  return script;
}

async function clientOf(url: string, plugins: unknown = [retry({ backoff: 20 })], server: object = {}) {
  return use(rawClient((await use(front(url, plugins, server))).port));
}

describe("LC-06 a connection that is refused, and then not", () => {
  // Its port is free when the proxy first asks.
  test.each([["tools/call"], ["tools/list"]])("%s is sent again, and arrives once", async (method) => {
    const server = createServer();
    const port = await listen(server);
    await stop(server);
    // Three attempts more, and the waits before the last ones are seconds.
    const client = await clientOf(`http://127.0.0.1:${port}`, [retry({ retries: 3, backoff: 1000, budget: 1 })]);
    client.send(post(call(1, method)));
    // Time is the subject: whoever asks at once finds nobody.
    await new Promise((resolve) => setTimeout(resolve, 50));
    let requests = 0;
    const sockets: Socket[] = [];
    const back = createServer((socket) => {
      sockets.push(socket);
      socket.on("error", () => {});
      socket.on("data", () => {
        requests++;
        socket.write(jsonAnswer('{"jsonrpc":"2.0","id":1,"result":{}}'));
      });
    });
    await new Promise<void>((resolve) => back.listen(port, "127.0.0.1", resolve));
    const close = async () => {
      for (const socket of sockets) socket.destroy();
      await stop(back);
    };
    await use(closeable({ close }));
    const answer = await client.receiveResponse({ timeout: 9000 });
    expect([answer.status, requests]).toEqual([200, 1]);
  });

  test("one that stays refused is 502, after a few attempts", async () => {
    const server = createServer();
    const port = await listen(server);
    await stop(server);
    const client = await clientOf(`http://127.0.0.1:${port}`);
    client.send(post(call(1, "tools/call")));
    const { status, body } = await client.receiveResponse();
    expect([status, body]).toEqual([502, expect.stringContaining("UPSTREAM_UNREACHABLE")]);
  });
});

describe("LC-06 a server that breaks off after the request, without a byte of an answer", () => {
  test.each(SAFE)("%s is sent again", async (method) => {
    const { server, seen } = await faulty("reset");
    const client = await clientOf(server.url);
    client.send(post(call(7, method)));
    expect(await client.receiveResponse()).toMatchObject({ status: 200, body: expect.stringContaining('"id":7,') });
    expect(seen).toEqual([`POST ${method}`, `POST ${method}`]);
  });

  test.each([["bare", () => [retry()]] as const, ["standard()", () => [standard()]] as const])(
    "what may have an effect is not, with %s",
    async (_name, plugins) => {
      const { server, seen } = await faulty("reset", 100);
      const client = await clientOf(server.url, plugins(), {});
      for (const method of UNSAFE.slice(0, 4)) {
        client.send(post(call(7, method)));
        expect(await client.receiveResponse()).toMatchObject({
          status: 502,
          body: expect.stringContaining("UPSTREAM_BROKE"),
        });
      }
      expect(seen).toEqual(UNSAFE.slice(0, 4).map((method) => `POST ${method}`));
    },
  );

  test("a method that only looks like a list, a notification and a response are not", async () => {
    const { server, seen } = await faulty("reset", 100);
    const client = await clientOf(server.url);
    for (const body of [
      call(1, UNSAFE[4]),
      '{"jsonrpc":"2.0","method":"notifications/initialized"}',
      '{"jsonrpc":"2.0","id":1,"result":{}}',
    ]) {
      client.send(post(body));
      expect((await client.receiveResponse()).status).toBe(502);
    }
    expect(seen).toHaveLength(3);
  });

  test("a GET that opens a stream is, one that resumes a stream is not", async () => {
    const { server, seen } = await faulty("reset");
    const client = await clientOf(server.url);
    client.send(plain("GET"));
    await client.receive(/^HTTP\/1\.1 200[^]*\r\n\r\n/);
    expect(seen).toEqual(["GET", "GET"]);
    const resumed = await faulty("reset");
    const other = await clientOf(resumed.server.url);
    other.send(plain("GET", "/mcp", "last-event-id: 4\r\n"));
    expect((await other.receiveResponse()).status).toBe(502);
    expect(resumed.seen).toEqual(["GET"]);
  });

  test("no request is, of whose answer a byte has come", async () => {
    const server = await use(
      rawServer(async (connection) => {
        await connection.receiveRequest();
        connection.socket.write("HTTP/1.1 20", () => connection.fin());
      }),
    );
    const client = await clientOf(server.url);
    client.send(post(call(1, "tools/list")));
    expect((await client.receiveResponse()).status).toBe(502);
    expect(server.requests).toBe(1);
  });
});

describe("LC-06 a server that says 503", () => {
  const refusal = (retryAfter?: string, body = '{"busy":true}') =>
    jsonAnswer(body, UNAVAILABLE, retryAfter === undefined ? "" : `retry-after: ${retryAfter}\r\n`);

  test.each([["without Retry-After", undefined, 0] as const, ["Retry-After: 1", "1", 1000] as const])(
    "%s: what may be asked twice is, and not before",
    async (_name, retryAfter, wait) => {
      const { server, seen } = await faulty(refusal(retryAfter));
      const client = await clientOf(server.url);
      const before = performance.now();
      client.send(post(call(3, "tools/list")));
      expect((await client.receiveResponse({ timeout: 5000 })).status).toBe(200);
      expect(performance.now() - before).toBeGreaterThanOrEqual(wait);
      expect(seen).toHaveLength(2);
    },
  );

  test("a date that has passed is no wait", async () => {
    const { server, seen } = await faulty(refusal("Sat, 01 Jan 2022 00:00:00 GMT"));
    const client = await clientOf(server.url);
    client.send(post(call(3, "tools/list")));
    expect((await client.receiveResponse()).status).toBe(200);
    expect(seen).toHaveLength(2);
  });

  test("a longer wait than is had reaches the client as it came, and so does a 503 to a call", async () => {
    const { server, seen } = await faulty(refusal("60"), 2);
    const client = await clientOf(server.url);
    for (const method of ["tools/list", "tools/call"]) {
      client.send(post(call(3, method)));
      expect(await client.receiveResponse()).toMatchObject({
        status: 503,
        headers: { "retry-after": "60" },
        body: '{"busy":true}',
      });
    }
    expect(seen).toHaveLength(2);
  });

  test("one that is not whole is not asked again", async () => {
    const server = await use(
      rawServer(async (connection) => {
        await connection.receiveRequest();
        connection.socket.write(refusal(undefined).slice(0, -3), () => connection.fin());
      }),
    );
    const client = await clientOf(server.url);
    client.send(post(call(1, "tools/list")));
    expect((await client.receiveResponse()).status).toBe(502);
    expect(server.requests).toBe(1);
  });
});

test("LC-06 nothing is sent again for a client that left", async () => {
  const { server, seen } = await faulty("reset", 2);
  const client = await clientOf(server.url, [retry({ backoff: 400 })]);
  client.send(post(call(1, "tools/list")));
  const first = await server.connection(0);
  await within(first.closed, "the first attempt");
  client.reset();
  await client.closed;
  // Time is the subject: longer than it would have waited.
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(seen.length).toBeLessThan(3);
  const count = seen.length;
  const other = await clientOf(server.url);
  other.send(post(call(2, "ping")));
  await other.receiveResponse();
  expect(seen.filter((one) => one === "POST tools/list")).toHaveLength(count);
});

test("LC-06 all attempts together have the time of one", async () => {
  const { server, seen } = await faulty("reset", 100);
  const client = await clientOf(server.url, [retry({ retries: 10, backoff: 200, budget: 1 })], {
    timeouts: { headers: 300 },
  });
  const before = performance.now();
  client.send(post(call(1, "tools/list")));
  expect((await client.receiveResponse()).status).toBe(502);
  expect(performance.now() - before).toBeLessThan(1500);
  expect(seen.length).toBeLessThanOrEqual(3);
});

describe("LC-06 the retry budget", () => {
  const REQUESTS = 200;

  test("a fifth of the requests, counted on both sides", async () => {
    const executed = new Map<string, number>();
    const script = await scripted((request) => {
      executed.set(idOf(request), (executed.get(idOf(request)) ?? 0) + 1);
      return "reset";
    });
    await use(script.server);
    const { port } = await use(front(script.server.url, [retry({ backoff: 1 })]));
    const client = await use(rawClient(port));
    let outcomes = 0;
    for (let id = 1; id <= REQUESTS; id++) {
      client.send(post(call(id, "tools/list")));
      const { status, body } = await client.receiveResponse();
      expect([status, (JSON.parse(body) as { id: number }).id]).toEqual([502, id]);
      outcomes++;
    }
    const deliveries = [...executed.values()].reduce((sum, count) => sum + count, 0);
    // Every request has one outcome; beyond their number there is a fifth, and the two of a quiet time.
    expect([outcomes, executed.size]).toEqual([REQUESTS, REQUESTS]);
    expect(deliveries - REQUESTS).toBeLessThanOrEqual(REQUESTS * 0.2 + 3);
    expect(deliveries - REQUESTS).toBeGreaterThanOrEqual(REQUESTS * 0.2);
    expect(Math.max(...executed.values())).toBeLessThanOrEqual(3);
  });

  test("what one principal uses up is not missing to another", async () => {
    const script = await scripted(() => "reset");
    await use(script.server);
    const keys = { anna: "0123456789abcdef", ben: "fedcba9876543210" };
    const { port } = await use(front(script.server.url, [apiKeys({ keys }), retry({ backoff: 1 })]));
    const ask = async (key: string) => {
      const before = script.seen.length;
      const client = await use(rawClient(port));
      client.send(post(call(1, "ping"), "/mcp", `content-type: application/json\r\nx-api-key: ${key}\r\n`));
      expect((await client.receiveResponse()).status).toBe(502);
      return script.seen.length - before;
    };
    const asked: number[] = [];
    for (let i = 0; i < 4; i++) asked.push(await ask(keys.anna));
    expect(asked.at(-1)).toBe(1);
    expect(await ask(keys.ben)).toBe(3);
  });
});

test("LC-06 each attempt counts for the breaker, and an open one is not asked again", async () => {
  const { server, seen } = await faulty("reset", 100);
  const client = await clientOf(server.url, [
    retry({ backoff: 1, budget: 1 }),
    breaker({ failures: 3, backoff: 30_000 }),
  ]);
  client.send(post(call(1, "ping")));
  expect((await client.receiveResponse()).status).toBe(502);
  client.send(post(call(2, "ping")));
  expect((await client.receiveResponse()).status).toBe(503);
  expect(seen).toHaveLength(3);
});
