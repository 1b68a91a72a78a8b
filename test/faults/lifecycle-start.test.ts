import { createServer } from "node:net";
import { describe, expect, test } from "vitest";
import { folderWith } from "../core/files.ts";
import { closeable, deadPort, listen, stop } from "../_harness/loopback.ts";
import { rawClient, rawServer } from "../_harness/peers.ts";
import { runCli, startCli } from "../_harness/proxy.ts";
import { idOf, scripted } from "../_harness/scripted.ts";
import { testScope } from "../_harness/scope.ts";
import { call, jsonAnswer, plain, post } from "../_harness/wire.ts";

const use = testScope();

describe("LC-10 servers that are down at the start", () => {
  test("the proxy is ready within 2 s, the other mounts work, and the dead ones say what they are", async () => {
    const upstream = await scripted((request) => jsonAnswer(`{"jsonrpc":"2.0","id":${idOf(request)},"result":{}}`));
    await use(upstream.server);
    // One refuses, one takes connections and says nothing, one has no name.
    const mute = await use(rawServer());
    const servers = {
      up: { url: `${upstream.server.url}/mcp` },
      refusing: { url: `http://127.0.0.1:${await deadPort()}/mcp` },
      mute: { url: `${mute.url}/mcp`, timeouts: { headers: 300 } },
      nowhere: { url: "http://nowhere.invalid/mcp" },
    };
    const cwd = folderWith({ "penstock.config.json": { servers } });
    // Probes from the beginning, as in earnest.
    const started = performance.now();
    const cli = await use(
      startCli(["--port", "0"], { cwd, env: { PENSTOCK_PROBE_INTERVAL: "30000", PENSTOCK_PROBE_TIMEOUT: "1000" } }),
    );
    const ask = async (request: string, timeout = 8000) => {
      const client = await use(rawClient(cli.port));
      client.send(request);
      const { status, body } = await client.receiveResponse({ timeout });
      return [status, /"code":"(\w+)"/.exec(body)?.[1]] as const;
    };
    expect(await ask(plain("GET", "/readyz"))).toEqual([200, undefined]);
    const ready = performance.now() - started;
    expect(await ask(post(call(1), "/up/mcp"))).toEqual([200, undefined]);
    expect(await ask(post(call(1), "/refusing/mcp"))).toEqual([502, "UPSTREAM_UNREACHABLE"]);
    expect(await ask(post(call(1), "/mute/mcp"))).toEqual([504, "UPSTREAM_TIMEOUT"]);
    expect((await ask(post(call(1), "/nowhere/mcp")))[0]).toBeGreaterThanOrEqual(502);
    expect(await ask(post(call(2), "/up/mcp"))).toEqual([200, undefined]);
    // Without a server at all, the start of the runtime itself takes this long on the same machine.
    const bare = performance.now();
    await runCli(["--version"]);
    expect(ready).toBeLessThan(2000 + (performance.now() - bare));
  });

  test("one that comes later is served from then on", async () => {
    const port = await deadPort();
    const cwd = folderWith({ "penstock.config.json": { servers: { a: { url: `http://127.0.0.1:${port}/mcp` } } } });
    const cli = await use(startCli(["--port", "0"], { cwd }));
    const client = await use(rawClient(cli.port));
    const ask = async () => {
      client.send(post(call(1, "tools/call")));
      return (await client.receiveResponse()).status;
    };
    for (let i = 0; i < 6; i++) expect(await ask()).toBeGreaterThanOrEqual(502);
    const server = createServer((socket) => {
      socket.on("error", () => {});
      socket.on("data", () =>
        socket.end(jsonAnswer('{"jsonrpc":"2.0","id":1,"result":{}}', "200 OK", "connection: close\r\n")),
      );
    });
    await new Promise<void>((resolve, reject) => server.once("error", reject).listen(port, "127.0.0.1", resolve));
    await use(closeable({ close: () => stop(server) }));
    await expect.poll(ask, { timeout: 2500 }).toBe(200);
  });
});

test("LC-10 a port that is taken: one message, exit code 1, and whoever has it is not disturbed", async () => {
  const other = createServer((socket) => void socket.on("error", () => {}).end("mine"));
  const port = await listen(other);
  await use(closeable({ close: () => stop(other) }));
  const started = performance.now();
  const { code, stdout, stderr } = await runCli(["--url", "http://127.0.0.1:9/mcp", "--port", String(port)]);
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toBe(
    `penstock: Port ${port} on 127.0.0.1 is taken. Choose another with --port, or 0 for a free one.\n`,
  );
  expect(performance.now() - started).toBeLessThan(10_000);
  const client = await use(rawClient(port));
  await client.receive(/mine/);
});
