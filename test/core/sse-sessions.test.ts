/** Sessions over HTTP+SSE servers, whose own sessions end with each connection: clients notice as little of that as may be. */
import { describe, expect, test } from "vitest";
import { connectV1 } from "../_harness/clients.ts";
import { rawClient } from "../_harness/peers.ts";
import { sessions, standard } from "../_harness/plugins.ts";
import { testScope } from "../_harness/scope.ts";
import { type SseServer, startSseServer } from "../_harness/servers.ts";
import { call, front, post } from "../_harness/wire.ts";

const use = testScope();
const textOf = async (result: Promise<unknown>) => ((await result) as { content: { text: string }[] }).content[0]!.text;

const LISTS: [string, () => unknown][] = [
  ["sessions alone", () => [sessions()]],
  ["the standard preset", () => standard()],
];

describe.each(LISTS)("with %s", (_, plugins) => {
  const proxyTo = ({ url }: SseServer) => use(front(url, plugins(), { url, transport: "sse" }));

  test("a server that restarts in the middle of a call: one error, and then the same session goes on", async () => {
    const server = await startSseServer();
    const { client } = await use(connectV1(`${(await proxyTo(server)).url}/mcp`));
    const slow = client.callTool({ name: "slow", arguments: { gateName: "a" } });
    const failed = expect(slow).rejects.toThrow(/The call may have run/);
    await server.entered("a");
    await server.close();
    await failed;
    await expect(client.listTools()).rejects.toThrow(/cannot be reached/);
    const again = await use(startSseServer({ port: server.port }));
    await expect.poll(() => client.ping().catch(() => undefined), { timeout: 5000 }).toEqual({});
    expect(await textOf(client.callTool({ name: "echo", arguments: { text: "again" } }))).toBe("again");
    expect(again.sessions).toHaveLength(1);
  });

  test("a stream that is lost between two calls is opened again, and the handshake repeated", async () => {
    const server = await use(startSseServer());
    const { client } = await use(connectV1(`${(await proxyTo(server)).url}/mcp`));
    expect((await client.listTools()).tools).not.toEqual([]);
    for (let round = 0; round < 3; round++) {
      await server.loseSessions();
      expect(await textOf(client.callTool({ name: "echo", arguments: { text: "again" } }))).toBe("again");
    }
    expect(server.sessions).toHaveLength(1);
  });

  test("calls without a session share a connection, and have each their own answer", async () => {
    const server = await use(startSseServer());
    const { port } = await proxyTo(server);
    const answers = await Promise.all(
      Array.from({ length: 10 }, async (_, i) => {
        const client = await use(rawClient(port));
        client.send(post(call(i, "tools/call", `{"name":"echo","arguments":{"text":"text ${i}"}}`)));
        return JSON.parse((await client.receiveResponse()).body) as unknown;
      }),
    );
    expect(answers).toEqual(
      answers.map((_, id) => ({ jsonrpc: "2.0", id, result: { content: [{ type: "text", text: `text ${id}` }] } })),
    );
    expect(server.sessions).toHaveLength(1);
  });

  test("a client that ends its session ends the server's", async () => {
    const server = await use(startSseServer());
    const { client, transport } = await use(connectV1(`${(await proxyTo(server)).url}/mcp`));
    await client.listTools();
    expect(server.sessions).toHaveLength(1);
    await transport.terminateSession();
    await expect.poll(() => server.sessions).toEqual([]);
  });
});
