import { expect, test } from "vitest";
import { folderWith } from "../core/files.ts";
import { rawClient, rawServer } from "../_harness/peers.ts";
import { startCli } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { SSE_HEAD, chunk, plain } from "../_harness/wire.ts";

const use = testScope();

test("while the command line stops, /readyz is 503 on a connection that is there already, beside an open stream", async () => {
  const server = await use(
    rawServer(async (connection) => {
      for await (const { method } of connection.requests())
        if (method === "POST") connection.send(`${SSE_HEAD}${chunk("data: {}\n\n")}`);
    }),
  );
  const cwd = folderWith({ "penstock.config.json": { servers: { a: { url: `${server.url}/mcp` } } } });
  const cli = await use(startCli(["--port", "0"], { cwd }));
  const [caller, asking] = [await use(rawClient(cli.port)), await use(rawClient(cli.port))];
  const body = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"slow"}}';
  caller.send(
    `POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\naccept: text/event-stream\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  await caller.receive(/data: \{\}\n\n/);
  // A request that has begun keeps its connection; a new one would be refused by now.
  asking.send(plain("GET", "/readyz"));
  expect((await asking.receiveResponse()).status).toBe(200);
  asking.send("GET /readyz HTTP/1.1\r\n");
  cli.kill("SIGTERM");
  const deadline = performance.now() + 2000;
  while (!cli.stderr().includes("stopping")) {
    if (performance.now() > deadline) throw new Error(`no stop in ${cli.stderr()}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
  asking.send("host: localhost\r\n\r\n");
  const { status, body: text } = await asking.receiveResponse();
  expect([status, text]).toEqual([503, '{"status":"draining"}']);
});
