/** `subscriptions/listen` between clients and servers of 2026-07-28: relayed as it is, ended as the protocol wants it. */
import { describe, expect, test } from "vitest";
import { type ConnectedV2, connectV2 } from "../_harness/clients.ts";
import { gate, rawClient } from "../_harness/peers.ts";
import { sseRelay, standard, timeout } from "../_harness/plugins.ts";
import { startCli, startProxy } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { methodOf, scripted } from "../_harness/scripted.ts";
import { startChangingLegacy, startChangingModern } from "../_harness/servers.ts";
import { CHANGING } from "../_harness/stdio.ts";
import { SSE_HEAD, call, chunk, front, post } from "../_harness/wire.ts";
import { folderWith } from "../core/files.ts";

const use = testScope();
const MODERN = { era: "modern" };
const META =
  '"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}';
const HEADERS =
  "content-type: application/json\r\nmcp-protocol-version: 2026-07-28\r\nmcp-method: subscriptions/listen\r\n";
const TOOLS = { toolsListChanged: true };
const CHANGED = "notifications/tools/list_changed";

/** @param id as JSON text */
function listen(id: string): string {
  const params = `{"notifications":{"toolsListChanged":true},${META}}`;
  return post(call(id, "subscriptions/listen", params), "/mcp", HEADERS);
}

function acknowledged(id: string): string {
  const params = `{"notifications":{"toolsListChanged":true},"_meta":{"io.modelcontextprotocol/subscriptionId":${id}}}`;
  return chunk(`data: {"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":${params}}\n\n`);
}

describe("over HTTP", () => {
  test("comments keep it alive, and no limit for whole answers ends it", async () => {
    const { server } = await scripted(() => SSE_HEAD + acknowledged('"a"'));
    await use(server);
    const proxy = await use(front(server.url, [sseRelay({ keepAlive: 20 }), timeout({ total: 50 })], MODERN));
    const client = await use(rawClient(proxy.port));
    client.send(listen('"a"'));
    await client.receive(/acknowledged/);
    for (let i = 0; i < 5; i++) await client.receive(/: keep-alive\n\n/);
  });

  test("the client's end of the stream is the server's", async () => {
    const left = gate();
    const { server } = await scripted((_request, connection) => {
      void connection.ended.then(left.open);
      return SSE_HEAD + acknowledged('"a"');
    });
    await use(server);
    const proxy = await use(front(server.url, standard(), MODERN));
    const client = await use(rawClient(proxy.port));
    client.send(listen('"a"'));
    await client.receive(/acknowledged/);
    client.reset();
    await left.promise;
  });
});

describe("the SDK's client", () => {
  test("learns that the stream broke, and listens again", async () => {
    const server = await use(startChangingModern());
    const proxy = await use(front(server.url, standard(), MODERN));
    const { client, notification } = await use(connectV2(`${proxy.url}/mcp`));
    const first = await client.listen(TOOLS);
    server.dropStreams();
    expect(await first.closed).toBe("remote");
    await client.listen(TOOLS);
    await server.change("tools");
    await notification(CHANGED);
  });

  test("learns that the server ended it", async () => {
    const server = await use(startChangingModern());
    const proxy = await use(front(server.url, standard(), MODERN));
    const { client } = await use(connectV2(`${proxy.url}/mcp`));
    const listening = await client.listen(TOOLS);
    await server.restart();
    expect(await listening.closed).toBe("graceful");
  });

  test("is refused what the server refuses", async () => {
    const { server } = await scripted((request) => (methodOf(request) === "subscriptions/listen" ? "reset" : "hang"));
    await use(server);
    const proxy = await use(front(server.url, standard(), MODERN));
    const client = await use(rawClient(proxy.port));
    client.send(listen('"a"'));
    const { status, body } = await client.receiveResponse({ method: "POST" });
    expect({ status, id: (JSON.parse(body) as { id: unknown }).id }).toEqual({ status: 502, id: "a" });
  });
});

describe("over stdio", () => {
  const config = { servers: { one: { ...CHANGING, path: "/mcp", ...MODERN } }, plugins: standard() };
  const change = ({ client }: ConnectedV2, what: string) => client.callTool({ name: "change", arguments: { what } });

  test("clients share a process and even an id, and each hears what it asked for, until it leaves", async () => {
    const proxy = await use(startProxy(config));
    const [one, two] = [await use(connectV2(`${proxy.url}/mcp`)), await use(connectV2(`${proxy.url}/mcp`))];
    // Both begin to count at `listen:0`.
    const listening = await one.client.listen(TOOLS);
    await two.client.listen({ promptsListChanged: true, resourceSubscriptions: ["file:///a"] });
    await change(one, "tools");
    await change(two, "prompts");
    await change(one, "file:///a");
    await one.notification(CHANGED);
    await two.notification("notifications/resources/updated");
    await listening.close();
    await change(two, "tools");
    await change(two, "resources");
    await change(two, "file:///a");
    await expect.poll(() => two.notifications.length).toBe(3);
    expect(one.notifications.map(({ method }) => method)).toEqual([CHANGED]);
    expect(two.notifications.map(({ method }) => method)).toEqual([
      "notifications/prompts/list_changed",
      "notifications/resources/updated",
      "notifications/resources/updated",
    ]);
    expect([...one.errors, ...two.errors]).toEqual([]);
  });

  test("the end of the process breaks the stream", async () => {
    const proxy = await use(startProxy(config));
    const one = await use(connectV2(`${proxy.url}/mcp`));
    const listening = await one.client.listen(TOOLS);
    await change(one, "exit").catch(() => {});
    expect(await listening.closed).toBe("remote");
  });
});

test("a stop of the proxy completes every stream, with the id as the client wrote it", async () => {
  const { server } = await scripted(() => SSE_HEAD + acknowledged("12345678901234567890"));
  await use(server);
  const legacy = await use(startChangingLegacy());
  const servers = {
    raw: { url: `${server.url}/mcp`, path: "/mcp", ...MODERN },
    stdio: { ...CHANGING, ...MODERN },
    legacy: { url: legacy.url },
  };
  const cwd = folderWith({ "penstock.config.json": { servers } });
  const cli = await use(startCli(["--port", "0"], { cwd, runs: true }));
  const client = await use(rawClient(cli.port));
  client.send(listen("12345678901234567890"));
  await client.receive(/acknowledged/);
  const ends: Promise<string>[] = [];
  for (const name of ["stdio", "legacy"]) {
    const sdk = await use(connectV2(`${cli.url}/${name}/mcp`, { mode: "modern" }));
    ends.push((await sdk.client.listen(TOOLS)).closed);
  }
  cli.kill("SIGTERM");
  expect(await Promise.all(ends)).toEqual(["graceful", "graceful"]);
  await legacy.request(({ method }) => method === "DELETE");
  await cli.exited;
  const { body, complete } = client.response();
  expect(complete).toBe(true);
  expect(body.trimEnd().split("\n").at(-1)).toBe(
    'data: {"jsonrpc":"2.0","id":12345678901234567890,"result":{"resultType":"complete","_meta":{"io.modelcontextprotocol/subscriptionId":12345678901234567890}}}',
  );
});
