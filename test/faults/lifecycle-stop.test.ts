import { describe, expect, test } from "vitest";
import { type Gate, gate } from "../_harness/peers/gate.ts";
import { type RawClient, rawClient, rawServer, within } from "../_harness/peers.ts";
import { type Cli, startCli } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { SSE_HEAD, call, chunk, jsonAnswer, plain } from "../_harness/wire.ts";
import { idOf, methodOf, scripted } from "../_harness/scripted.ts";
import { folderWith } from "../core/files.ts";

const use = testScope();
const CALL = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"slow"}}';
const RESULT = '{"jsonrpc":"2.0","id":1,"result":{}}';
const post = `POST /mcp HTTP/1.1\r\nhost: localhost\r\naccept: application/json, text/event-stream\r\ncontent-type: application/json\r\ncontent-length: ${CALL.length}\r\n\r\n${CALL}`;
const get = "GET /mcp HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n";
const EVENT = "data: {}\n\n";

/** An upstream that holds each call until the gate opens, and each GET stream for ever; a proxy in front of it. */
async function start({
  drainTimeout = 5000,
  lameDuck = 0,
  env = {},
}: { drainTimeout?: number; lameDuck?: number; env?: Record<string, string> } = {}): Promise<{
  cli: Cli;
  opened: Gate;
  called: Gate;
}> {
  const [opened, called] = [gate(), gate()];
  const upstream = await use(
    rawServer(async (connection) => {
      for await (const { method } of connection.requests()) {
        if (method === "GET") {
          connection.send(
            `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n${EVENT.length.toString(16)}\r\n${EVENT}\r\n`,
          );
          continue;
        }
        called.open();
        await opened.promise;
        connection.send(
          `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${RESULT.length}\r\n\r\n${RESULT}`,
        );
      }
    }),
  );
  const config = { servers: { a: { url: `${upstream.url}/mcp` } }, drainTimeout, lameDuck };
  const cwd = folderWith({ "penstock.config.json": config });
  return { cli: await use(startCli(["--port", "0"], { cwd, env })), opened, called };
}

/** Resolves when the proxy has said that it stops. */
async function stopping(cli: Cli, signal: string): Promise<void> {
  const deadline = performance.now() + 2000;
  while (!cli.stderr().includes(`${signal}: stopping`)) {
    if (performance.now() > deadline) throw new Error(`no log line about the stop in ${cli.stderr()}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe("LC-01 SIGTERM with 100 streams of both eras, 10 slow calls and 10 idle connections", () => {
  const STREAMS = 50;
  const CALLS = 10;
  const MODERN =
    "content-type: application/json\r\nmcp-protocol-version: 2026-07-28\r\nmcp-method: subscriptions/listen\r\n";
  const META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
  };
  const listen = (id: string) =>
    JSON.stringify({
      jsonrpc: "2.0",
      id,
      method: "subscriptions/listen",
      params: { notifications: { toolsListChanged: true }, _meta: META },
    });
  const posted = (body: string, headers = "content-type: application/json\r\n") =>
    `POST /mcp HTTP/1.1\r\nhost: localhost\r\naccept: application/json, text/event-stream\r\n${headers}content-length: ${body.length}\r\n\r\n${body}`;

  test(
    "every call ends with its answer, every stream as its era ends one, and with its terminal chunk",
    { timeout: 30_000 },
    async () => {
      const opened = gate();
      const script = await scripted(async (request) => {
        if (request.method === "GET") return SSE_HEAD + chunk(EVENT);
        if (methodOf(request) === "subscriptions/listen")
          return SSE_HEAD + chunk('data: {"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged"}\n\n');
        await opened.promise;
        return jsonAnswer(`{"jsonrpc":"2.0","id":${idOf(request)},"result":{}}`);
      });
      await use(script.server);
      const config = { servers: { a: { url: `${script.server.url}/mcp` } }, drainTimeout: 10_000 };
      const cwd = folderWith({ "penstock.config.json": config });
      const cli = await use(startCli(["--port", "0"], { cwd }));
      const each = async (count: number, request: (i: number) => string, until?: RegExp): Promise<RawClient[]> => {
        const clients: RawClient[] = [];
        for (let i = 0; i < count; i++) {
          const client = await use(rawClient(cli.port));
          client.send(request(i));
          if (until) await client.receive(until, { timeout: 5000 });
          clients.push(client);
        }
        return clients;
      };
      const idle = await each(10, () => plain("GET", "/healthz"), /\{"status":"ok"\}/);
      const legacy = await each(STREAMS, () => get, /data: \{\}\n\n/);
      const modern = await each(STREAMS, (i) => posted(listen(`listen:${i}`), MODERN), /acknowledged"\}\n\n/);
      const callers = await each(CALLS, (i) => posted(call(i, "tools/call", '{"name":"slow"}')));
      await expect.poll(() => script.seen.length, { timeout: 5000 }).toBe(2 * STREAMS + CALLS);

      cli.kill("SIGTERM");
      await stopping(cli, "SIGTERM");
      for (const client of legacy) await client.receive(/retry: \d+\n\n\r\n0\r\n\r\n/, { timeout: 5000 });
      for (const client of modern) await client.receive(/\n\r\n0\r\n\r\n/, { timeout: 5000 });
      for (const client of [...legacy, ...modern, ...idle]) await within(client.ended, "the end of a connection");
      for (const client of legacy) expect(client.response()).toMatchObject({ complete: true });
      modern.forEach((client, i) => {
        const { body, complete } = client.response();
        const last = body.trimEnd().split("\n").at(-1)!;
        expect(complete).toBe(true);
        // MCP 2026-07-28, Subscriptions: the result of the request, and then the end.
        expect(JSON.parse(last.slice("data: ".length))).toEqual({
          jsonrpc: "2.0",
          id: `listen:${i}`,
          result: { resultType: "complete", _meta: { "io.modelcontextprotocol/subscriptionId": `listen:${i}` } },
        });
      });
      await expect(rawClient(cli.port)).rejects.toThrow("ECONNREFUSED");

      opened.open();
      for (const [i, client] of callers.entries()) {
        const { status, body, headers, complete } = await client.receiveResponse({ method: "POST" });
        expect({ status, complete, id: (JSON.parse(body) as { id: number }).id }).toEqual({
          status: 200,
          complete: true,
          id: i,
        });
        expect(headers.connection).toBe("close");
      }
      const { code, ms } = await within(cli.exited, "the exit", { timeout: 5000 });
      expect(code).toBe(0);
      expect(ms).toBeLessThan(11_000);
      expect(cli.stderr()).not.toMatch(/error|PLUGIN_FAILED/i);
    },
  );

  test("a stream ends between two events, never inside of one", async () => {
    const rest = gate();
    const upstream = await use(
      rawServer(async (connection) => {
        await connection.receiveRequest();
        connection.send(SSE_HEAD + chunk("data: on"));
        await rest.promise;
        connection.send(chunk("e\n\n"));
      }),
    );
    const cwd = folderWith({ "penstock.config.json": { servers: { a: { url: `${upstream.url}/mcp` } } } });
    const cli = await use(startCli(["--port", "0"], { cwd }));
    const client = await use(rawClient(cli.port));
    client.send(get);
    await upstream.connection();
    await client.receive(/\r\n\r\n/);
    cli.kill("SIGTERM");
    await stopping(cli, "SIGTERM");
    rest.open();
    await client.receive(/0\r\n\r\n$/);
    expect(client.response()).toMatchObject({
      // Where messages are framed, no part of an event leaves before it is whole.
      body: expect.stringMatching(/^(?:data: one\n\n)?retry: \d+\n\n$/),
      complete: true,
    });
    expect(await within(cli.exited, "the exit")).toMatchObject({ code: 0 });
  });
});

/** All environments and signals mean the same. */
const MATRIX = [
  ["SIGTERM", {}],
  ["SIGINT", {}],
  ["SIGTERM", { CI: "1", TEST: "true" }],
  ["SIGINT", { CI: "1", TEST: "true" }],
] as const;

describe.each(MATRIX)("LC-02 %s with %o in the environment", (signal, env) => {
  test("lets a call under way end, ends an idle stream in order, takes no new connection, and exits with 0", async () => {
    const { cli, opened, called } = await start({ env });
    const [caller, listener] = [await use(rawClient(cli.port)), await use(rawClient(cli.port))];
    caller.send(post);
    listener.send(get);
    await listener.receive(/data: \{\}\n\n/);
    await within(called.promise, "the call at the upstream");
    cli.kill(signal);
    await stopping(cli, signal);

    // The stream is told when to come back, and ends with a terminal chunk, not with a cut.
    await listener.receive(/retry: \d+\n\n\r\n0\r\n\r\n/);
    await expect(rawClient(cli.port)).rejects.toThrow("ECONNREFUSED");

    opened.open();
    const response = await caller.receiveResponse({ method: "POST" });
    expect(response).toMatchObject({ status: 200, body: RESULT, complete: true });
    expect(await within(cli.exited, "the exit")).toMatchObject({ code: 0, signal: null });
  });

  test("exits within a second when nothing is under way", async () => {
    const { cli } = await start({ env });
    // A kept-alive connection without a request is nothing to wait for.
    const idle = await use(rawClient(cli.port));
    idle.send("GET /nothing HTTP/1.1\r\nhost: localhost\r\n\r\n");
    expect((await idle.receiveResponse()).status).toBe(404);
    cli.kill(signal);
    const { code, ms } = await within(cli.exited, "the exit");
    expect(code).toBe(0);
    expect(ms).toBeLessThan(1000);
  });

  test("a second time exits at once, with the code that says so", async () => {
    const { cli, called } = await start({ env });
    const caller = await use(rawClient(cli.port));
    caller.send(post);
    await within(called.promise, "the call at the upstream");
    cli.kill(signal);
    await stopping(cli, signal);
    cli.kill(signal);
    const { code, ms } = await within(cli.exited, "the exit");
    expect(code).toBe(signal === "SIGINT" ? 130 : 143);
    expect(ms).toBeLessThan(500);
  });
});

describe("LC-01 the deadline of a stop", () => {
  test("cuts a call that outlasts it, and the exit is still an orderly one", async () => {
    const { cli, called } = await start({ drainTimeout: 150 });
    const caller = await use(rawClient(cli.port));
    caller.send(post);
    await within(called.promise, "the call at the upstream");
    cli.kill("SIGTERM");
    const { code, ms } = await within(cli.exited, "the exit");
    expect(code).toBe(0);
    expect(ms).toBeGreaterThan(140);
    expect(ms).toBeLessThan(1150);
    await caller.ended;
  });

  test("is not waited for: kept-alive connections are closed, at once or with their answer", async () => {
    const { cli, opened, called } = await start();
    const [caller, idle] = [await use(rawClient(cli.port)), await use(rawClient(cli.port))];
    idle.send("GET /nothing HTTP/1.1\r\nhost: localhost\r\n\r\n");
    await idle.receiveResponse();
    caller.send(post);
    await within(called.promise, "the call at the upstream");
    cli.kill("SIGTERM");
    await stopping(cli, "SIGTERM");
    await within(idle.ended, "the end of the idle connection");
    opened.open();
    const { body, headers } = await caller.receiveResponse({ method: "POST" });
    expect(body).toBe(RESULT);
    // Else a client may send its next call into a connection that is being closed.
    expect(headers.connection).toBe("close");
    const { code, ms } = await within(cli.exited, "the exit");
    expect({ code, fast: ms < 1500 }).toEqual({ code: 0, fast: true });
  });
});

describe("LC-03 a stop with lameDuck", () => {
  const LAME_DUCK = 1500;

  test("/readyz is 503 while connections are taken, requests succeed and streams go on; then the port is closed", async () => {
    const { cli, opened } = await start({ lameDuck: LAME_DUCK });
    opened.open();
    const listener = await use(rawClient(cli.port));
    listener.send(get);
    await listener.receive(/data: \{\}\n\n/);
    const ask = async (request: string) => {
      const client = await use(rawClient(cli.port));
      client.send(request);
      const { status } = await client.receiveResponse({ method: request.startsWith("POST") ? "POST" : "GET" });
      client.socket.destroy();
      return status;
    };
    expect([await ask(plain("GET", "/readyz")), await ask(post)]).toEqual([200, 200]);
    cli.kill("SIGTERM");
    await stopping(cli, "SIGTERM");
    expect([await ask(plain("GET", "/readyz")), await ask(post), await ask(plain("GET", "/healthz"))]).toEqual([
      503, 200, 200,
    ]);
    expect(listener.response().complete).toBe(false);
    await listener.receive(/retry: \d+\n\n\r\n0\r\n\r\n/, { timeout: 5000 });
    await expect(rawClient(cli.port)).rejects.toThrow("ECONNREFUSED");
    const { code, ms } = await within(cli.exited, "the exit");
    expect(code).toBe(0);
    expect(ms).toBeGreaterThan(LAME_DUCK - 50);
    expect(ms).toBeLessThan(LAME_DUCK + 1500);
  });

  test("a second signal does not wait for it", async () => {
    const { cli } = await start({ lameDuck: 60_000 });
    cli.kill("SIGTERM");
    await stopping(cli, "SIGTERM");
    cli.kill("SIGTERM");
    const { code, ms } = await within(cli.exited, "the exit");
    expect([code, ms < 500]).toEqual([143, true]);
  });

  test("without it, /readyz is 503 on a connection with half a request, beside a call under way", async () => {
    const { cli, opened, called } = await start();
    const [caller, asking] = [await use(rawClient(cli.port)), await use(rawClient(cli.port))];
    caller.send(post);
    await within(called.promise, "the call at the upstream");
    // A request that has begun keeps its connection; a new one would be refused by now.
    asking.send(plain("GET", "/readyz"));
    expect((await asking.receiveResponse()).status).toBe(200);
    asking.send("GET /readyz HTTP/1.1\r\n");
    cli.kill("SIGTERM");
    await stopping(cli, "SIGTERM");
    asking.send("host: localhost\r\n\r\n");
    const { status, body } = await asking.receiveResponse();
    expect([status, body]).toEqual([503, '{"status":"draining"}']);
    opened.open();
    await caller.receiveResponse({ method: "POST" });
  });
});
