import { describe, expect, test } from "vitest";
import { type Gate, gate } from "../_harness/peers/gate.ts";
import { rawClient, rawServer, within } from "../_harness/peers.ts";
import { type Cli, startCli } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { folderWith } from "./files.ts";

const use = testScope();
const CALL = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"slow"}}';
const RESULT = '{"jsonrpc":"2.0","id":1,"result":{}}';
const post = `POST /mcp HTTP/1.1\r\nhost: localhost\r\naccept: application/json, text/event-stream\r\ncontent-type: application/json\r\ncontent-length: ${CALL.length}\r\n\r\n${CALL}`;
const get = "GET /mcp HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n";
const EVENT = "data: {}\n\n";

/** An upstream that holds each call until the gate opens, and each GET stream for ever; a proxy in front of it. */
async function start({
  drainTimeout = 5000,
  env = {},
}: { drainTimeout?: number; env?: Record<string, string> } = {}): Promise<{ cli: Cli; opened: Gate; called: Gate }> {
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
  const cwd = folderWith({ "penstock.config.json": { servers: { a: { url: `${upstream.url}/mcp` } }, drainTimeout } });
  return { cli: await use(startCli(["--port", "0"], { cwd, env })), opened, called };
}
/** Resolves when the proxy has said that it stops: by then it listens no more. */
async function stopping(cli: Cli, signal: string): Promise<void> {
  const deadline = performance.now() + 2000;
  while (!cli.stderr().includes(`${signal}: stopping`)) {
    if (performance.now() > deadline) throw new Error(`no log line about the stop in ${cli.stderr()}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe.each([
  ["SIGTERM", {}],
  ["SIGINT", {}],
  ["SIGTERM", { CI: "1", TEST: "true" }],
  ["SIGINT", { CI: "1", TEST: "true" }],
] as const)("%s with %o in the environment", (signal, env) => {
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

describe("the deadline of a stop", () => {
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
