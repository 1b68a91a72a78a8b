import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { connectV1, connectV2 } from "../_harness/clients.ts";
import { gate, rawClient, rawServer, within } from "../_harness/peers.ts";
import { startCli } from "../_harness/proxy.ts";
import { otherRuntime } from "../_harness/runtimes.ts";
import { testScope } from "../_harness/scope.ts";
import { startLegacyServer, startModernServer } from "../_harness/servers.ts";
import { SSE_HEAD, call, chunk, plain, post } from "../_harness/wire.ts";

const use = testScope();

/** The host programs in test/embed that the runtime of this project can run. */
const HOSTS = { node20: ["h3", "hono"], node24: ["h3", "hono"], bun: ["h3", "hono", "bun"], deno: ["h3", "deno"] };

describe.each(HOSTS[otherRuntime ?? "node20"])("fetch embedded in %s", (host) => {
  const embed = (url: string) =>
    use(startCli([url], { entry: fileURLToPath(new URL(`../embed/${host}.mjs`, import.meta.url)) }));

  test("serves clients of both eras, beside the host's own routes", async () => {
    const modern = await embed((await use(startModernServer())).url);
    const v2 = await use(connectV2(`${modern.url}/docs/mcp`, { mode: "modern" }));
    expect((await v2.client.listTools()).tools.length).toBeGreaterThan(0);
    expect(await (await fetch(`${modern.url}/hello`)).text()).toBe("hello from the host");
    const legacy = await embed((await use(startLegacyServer())).url);
    const v1 = await use(connectV1(`${legacy.url}/docs/mcp`));
    expect((await v1.client.listTools()).tools.length).toBeGreaterThan(0);
    expect(v1.errors).toEqual([]);
  });

  test("streams: head and first event arrive while the server holds the second one; a clean end is a clean end", async () => {
    const second = gate();
    const first = gate();
    const server = await use(
      rawServer(async (connection) => {
        await connection.receiveRequest();
        connection.send(SSE_HEAD);
        await first.promise;
        connection.send(chunk('data: {"jsonrpc":"2.0","method":"notifications/progress"}\n\n'));
        await second.promise;
        connection.send(`${chunk('data: {"jsonrpc":"2.0","id":1,"result":{}}\n\n')}${chunk("")}`);
      }),
    );
    const client = await use(rawClient((await embed(`${server.url}/mcp`)).port));
    client.send(post(call(), "/docs/mcp"));
    await client.receive(/^HTTP\/1\.1 200[^]*\r\n\r\n/);
    first.open();
    await client.receive(/notifications\/progress/);
    expect(client.received).not.toContain('"result"');
    second.open();
    await client.receive(/"result"[^]*\r\n0\r\n\r\n$/);
  });

  test("a client that leaves takes its request along", async () => {
    const server = await use(
      rawServer(async (connection) => {
        await connection.receiveRequest();
        connection.send(SSE_HEAD);
      }),
    );
    const client = await use(rawClient((await embed(`${server.url}/mcp`)).port));
    client.send(post(call(), "/docs/mcp"));
    await client.receive(/\r\n\r\n/);
    client.reset();
    const connection = await server.connection();
    await within(connection.closed, "the server's side of a client that left");
  });

  test("a stream that breaks is cut, and not ended", async () => {
    const server = await use(
      rawServer(async (connection) => {
        await connection.receiveRequest();
        connection.send(SSE_HEAD + chunk(": hello\n\n"));
        await cut.promise;
        connection.reset();
      }),
    );
    const cut = gate();
    const client = await use(rawClient((await embed(`${server.url}/mcp`)).port));
    client.send(plain("GET", "/docs/mcp", "accept: text/event-stream\r\n"));
    await client.receive(/: hello/);
    cut.open();
    await client.ended;
    expect(client.received).not.toMatch(/\r\n0\r\n\r\n$/);
  });

  test("refuses what it does not serve, and a Host that would change the path", async () => {
    const { url, port } = await embed("http://127.0.0.1:9/mcp");
    expect((await fetch(`${url}/nothing`)).status).toBe(404);
    const refused = await fetch(`${url}/docs/mcp`, { method: "PUT" });
    expect(refused.status).toBe(405);
    expect(refused.headers.get("allow")).toBe("GET, POST, DELETE");
    const client = await use(rawClient(port));
    client.send(`GET /docs/mcp HTTP/1.1\r\nhost: a/x?y\r\n\r\n`);
    expect((await client.receiveResponse()).status).toBe(400);
  });
});
