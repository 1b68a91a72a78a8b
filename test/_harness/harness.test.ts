import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { connectV1 } from "./clients.ts";
import { leakNet } from "./leaks.ts";
import { listen, stop } from "./loopback.ts";
import { startNaiveRelay } from "./naive-relay.ts";
import { gate, rawClient, rawServer, within } from "./peers.ts";
import { runCli, startCli } from "./proxy.ts";
import { testScope } from "./scope.ts";
import { startLegacyServer } from "./servers.ts";

const use = testScope();
const event = (text: string) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
const sseHead = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

describe("waits", () => {
  test("a wait that takes too long says what was missing", async () => {
    const barrier = gate();
    await expect(within(barrier.promise, "the barrier", { timeout: 20 })).rejects.toThrow(
      "after 20 ms still waiting for the barrier",
    );
    barrier.open();
    await within(barrier.promise, "the barrier");
  });

  test("the leak net sees an open server and lets a closed one pass", async () => {
    const check = leakNet();
    const server = createServer();
    await listen(server);
    await expect(check({ timeout: 20 })).rejects.toThrow("1 × TCPServerWrap");
    await stop(server);
    await check();
  });
});

describe("the naive relay", () => {
  test("holds the first event back until the upstream has sent its last", async () => {
    const barrier = gate();
    let second = 0;
    const upstream = await use(
      rawServer(async (connection) => {
        const { target } = await connection.receiveRequest();
        if (target === "/other") return void connection.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        connection.send(sseHead + event("data: 1\n\n"));
        await barrier.promise;
        second = performance.now();
        connection.send(event("data: 2\n\n") + event(""));
      }),
    );
    const relay = await use(startNaiveRelay([["/", upstream.url]]));
    const [client, other] = [await use(rawClient(relay.port)), await use(rawClient(relay.port))];
    let first = 0;
    client.socket.once("data", () => {
      first = performance.now();
    });
    client.send("GET /events HTTP/1.1\r\nhost: x\r\n\r\n");
    await upstream.connection(0);
    // A whole exchange on the same path stands in for a sleep: there was time to relay the first event.
    other.send("GET /other HTTP/1.1\r\nhost: x\r\n\r\n");
    expect((await other.receiveResponse()).body).toBe("ok");
    expect(client.received).toBe("");
    barrier.open();
    expect((await client.receiveResponse()).body).toBe("data: 1\n\ndata: 2\n\n");
    expect(first).toBeGreaterThan(second);
  });

  test("lets a catch-all that was registered first win, and carries a legacy session otherwise", async () => {
    const server = await use(startLegacyServer());
    const wrong = await use(
      startNaiveRelay([
        ["/", "http://127.0.0.1:1"],
        ["/mcp", server.url],
      ]),
    );
    expect((await fetch(`${wrong.url}/mcp`)).status).toBe(502);
    const right = await use(
      startNaiveRelay([
        ["/mcp", server.url],
        ["/", "http://127.0.0.1:1"],
      ]),
    );
    const { client } = await use(connectV1(`${right.url}/mcp`));
    expect((await client.listTools()).tools).toHaveLength(6);
  });
});

describe("the command line", () => {
  test("is started without the marks of a test run, and its output and end are reported", async () => {
    const folder = await mkdtemp(join(tmpdir(), "harness-"));
    onTestFinished(() => rm(folder, { recursive: true }));
    const entry = join(folder, "cli.mjs");
    await writeFile(
      entry,
      `const marks = Object.keys(process.env).filter((name) => /^(CI|TEST|VITEST|NODE_ENV)/.test(name));
       if (process.argv[2] === "fail") { console.error("bad option", marks.length); process.exit(2); }
       const server = (await import("node:http")).createServer().listen(0, "127.0.0.1", () =>
         console.log("\\x1b[32mlistening on http://127.0.0.1:" + server.address().port + "/\\x1b[0m"));
       process.on("SIGTERM", () => server.close(() => { console.log("drained", process.env.ADDED); process.exitCode = 3; }));`,
    );
    const cli = await use(startCli([], { entry, env: { ADDED: "yes" } }));
    expect(cli.url).toBe(`http://127.0.0.1:${cli.port}`);
    cli.kill("SIGTERM");
    expect(await cli.exited).toMatchObject({ code: 3, signal: null });
    expect(cli.stdout()).toContain("drained yes");
    expect(await runCli(["fail"], { entry })).toMatchObject({ code: 2, stderr: "bad option 0\n" });
    await expect(startCli(["fail"], { entry })).rejects.toThrow(/exited with 2 before it listened[^]*bad option/);
  });
});
