/** Real HTTP+SSE servers behind the proxy, and real clients of Streamable HTTP in front. */
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { describe, expect, test } from "vitest";
import { type V1Options, connectV1, connectV2 } from "../_harness/clients.ts";
import { closeable } from "../_harness/loopback.ts";
import { rawClient } from "../_harness/peers.ts";
import { health, standard } from "../_harness/plugins.ts";
import { startProxy } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { type SseServer, startLegacyServer, startSseServer } from "../_harness/servers.ts";
import { call, front, plain, post } from "../_harness/wire.ts";

const use = testScope();
const SAMPLE = { role: "assistant" as const, content: { type: "text" as const, text: "sampled" }, model: "m" };
const ABLE: V1Options = {
  capabilities: { sampling: {}, elicitation: {}, roots: {} },
  handlers: {
    "sampling/createMessage": () => SAMPLE,
    "elicitation/create": () => ({ action: "accept", content: { colour: "red" } }),
    "roots/list": () => ({ roots: [{ uri: "file:///r" }] }),
  },
};

async function proxyTo({ url }: SseServer, plugins: unknown = [], server: object = {}) {
  return use(front(url, plugins, { url, transport: "sse", ...server }));
}

async function textOf(result: Promise<unknown>): Promise<string> {
  return ((await result) as { content: { text: string }[] }).content[0]!.text;
}

/** A client, and how a call of it asks for progress. */
type Connected = { client: Client; count(onprogress: (progress: { progress: number }) => void): Promise<unknown> };
const COUNT = { name: "count", arguments: { n: 3 } };

const CLIENTS: [string, (url: string) => Promise<Connected & AsyncDisposable & { close(): Promise<void> }>][] = [
  [
    "v1",
    async (url) => {
      const connected = await connectV1(url);
      return Object.assign(connected, {
        count: (onprogress: never) => connected.client.callTool(COUNT, undefined, { onprogress }),
      });
    },
  ],
  ...(["auto", "legacy"] as const).map((mode): (typeof CLIENTS)[number] => [
    `v2, ${mode}`,
    async (url) => {
      const connected = await connectV2(url, { mode });
      const count = (onprogress: never) => connected.client.callTool(COUNT, { onprogress });
      return Object.assign(connected, { client: connected.client as unknown as Client, count });
    },
  ]),
];

describe.each(CLIENTS)("a client of SDK %s", (_, connect) => {
  test("lists and calls what the server has, with progress, as it would without the proxy", async () => {
    const server = await use(startSseServer());
    const direct = new Client({ name: "direct", version: "1" });
    await direct.connect(new SSEClientTransport(new URL(server.url)));
    await use(Promise.resolve(closeable({ close: () => direct.close() })));
    const { client, count } = await use(connect(`${(await proxyTo(server)).url}/mcp`));
    expect(await client.listTools()).toEqual(await direct.listTools());
    expect(await client.listPrompts()).toEqual(await direct.listPrompts());
    expect(await client.listResources()).toEqual(await direct.listResources());
    expect(client.getServerVersion()).toEqual(direct.getServerVersion());
    expect(await textOf(client.callTool({ name: "echo", arguments: { text: "åß😀\n" } }))).toBe("åß😀\n");
    const seen: number[] = [];
    expect(await textOf(count(({ progress }) => void seen.push(progress)))).toBe("counted 3");
    expect(seen).toEqual([1, 2, 3]);
    await expect(client.getPrompt({ name: "nothing" })).rejects.toThrow(/nothing/);
  });
});

describe("what a server asks its client", () => {
  test("reaches it on the stream of the call, and its answer the server", async () => {
    const server = await use(startSseServer());
    const { client } = await use(connectV1(`${(await proxyTo(server)).url}/mcp`, ABLE));
    expect(JSON.parse(await textOf(client.callTool({ name: "ask", arguments: {} })))).toEqual({ result: SAMPLE });
    expect(JSON.parse(await textOf(client.callTool({ name: "elicit", arguments: {} })))).toEqual({
      result: { action: "accept", content: { colour: "red" } },
    });
    expect(JSON.parse(await textOf(client.callTool({ name: "roots" })))).toEqual({
      result: { roots: [{ uri: "file:///r" }] },
    });
  });

  test("is refused where the client never said that it can, and what it said is all that the server hears", async () => {
    const server = await use(startSseServer());
    const proxy = await proxyTo(
      server,
      standard().filter(({ name }) => name === "unsupported" || name === "sse-relay"),
    );
    const { client } = await use(connectV1(`${proxy.url}/mcp`, { capabilities: { roots: { listChanged: true } } }));
    const { error } = JSON.parse(await textOf(client.callTool({ name: "elicit", arguments: { force: true } }))) as {
      error: { code: number; message: string };
    };
    expect(error.code).toBe(-32_601);
    expect(error.message).toContain("elicitation/create");
    const initialize = server.requests.find(({ body }) => (body as { method?: string })?.method === "initialize");
    expect(initialize!.body).toMatchObject({ params: { capabilities: { roots: { listChanged: true } } } });
    expect(Object.keys((initialize!.body as { params: { capabilities: object } }).params.capabilities)).toEqual([
      "roots",
    ]);
  });

  test("list_changed comes on the stream of the client's GET", async () => {
    const server = await use(startSseServer());
    const connected = await use(connectV1(`${(await proxyTo(server)).url}/mcp`));
    await connected.client.ping();
    await server.notifyToolsChanged();
    await connected.notification("notifications/tools/list_changed");
  });
});

test("a cancelled call ends at the server", async () => {
  const server = await use(startSseServer());
  const { client } = await use(connectV1(`${(await proxyTo(server)).url}/mcp`));
  const leaving = new AbortController();
  const slow = client.callTool({ name: "slow", arguments: { gateName: "a" } }, undefined, { signal: leaving.signal });
  await server.entered("a");
  leaving.abort();
  await expect(slow).rejects.toThrow();
  await server.cancelled("a");
  expect(await textOf(client.callTool({ name: "echo", arguments: { text: "on" } }))).toBe("on");
});

test("20 calls at a time with equal ids from two sessions: each gets its own answer", async () => {
  const server = await use(startSseServer());
  const { port } = await proxyTo(server);
  const initialize = call(
    0,
    "initialize",
    '{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}',
  );
  const ask = async (body: string, session?: string) => {
    const client = await use(rawClient(port));
    const field = session === undefined ? "" : `mcp-session-id: ${session}\r\n`;
    client.send(post(body, "/mcp", `content-type: application/json\r\n${field}`));
    return client.receiveResponse();
  };
  const sessions = await Promise.all([ask(initialize), ask(initialize)]);
  const ids = sessions.map(({ headers }) => headers["mcp-session-id"]!);
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, i) => i).flatMap((i) =>
      ids.map(async (session, who) => {
        const text = `${who}/${i}`;
        const { body } = await ask(call(i, "tools/call", `{"name":"echo","arguments":{"text":"${text}"}}`), session);
        const { id, result } = JSON.parse(body) as { id: number; result: { content: { text: string }[] } };
        return id === i && result.content[0]!.text === text;
      }),
    ),
  );
  expect(answers).toEqual(Array.from({ length: 40 }, () => true));
  expect(server.sessions).toHaveLength(2);
});

test("a server that restarts in the middle of a call: one error, and after a new handshake all is well", async () => {
  const server = await startSseServer();
  const { url } = await proxyTo(server);
  const first = await use(connectV1(`${url}/mcp`));
  const slow = first.client.callTool({ name: "slow", arguments: { gateName: "a" } });
  const failed = expect(slow).rejects.toThrow(/closed the connection before its answer was complete/);
  await server.entered("a");
  await server.close();
  await failed;
  await expect(first.client.listTools()).rejects.toThrow(/session/i);
  await use(startSseServer({ port: server.port }));
  const second = await use(connectV1(`${url}/mcp`));
  expect(await textOf(second.client.callTool({ name: "echo", arguments: { text: "again" } }))).toBe("again");
});

describe("the health of a server of HTTP+SSE", () => {
  const FAST = { initialDelay: 20, interval: 60, timeout: 1000, push: true };

  async function healthOf(port: number) {
    const client = await use(rawClient(port));
    client.send(plain("GET", "/health"));
    const { body } = await client.receiveResponse();
    client.socket.destroy();
    return (
      JSON.parse(body) as {
        servers: Record<string, { status: string; reason?: string; transport?: string; sse?: object }>;
      }
    ).servers;
  }

  test("is probed without a trace; down with the reason when it is lost, and others are none the worse; well again when it is back", async () => {
    const server = await startSseServer();
    const other = await use(startLegacyServer());
    const proxy = await use(
      startProxy({
        servers: { old: { url: server.url, transport: "sse", path: "/old" }, new: { url: other.url, path: "/new" } },
        plugins: [health(FAST)],
      }),
    );
    const port = Number(new URL(proxy.url).port);
    await expect
      .poll(async () => (await healthOf(port)).old)
      .toMatchObject({ status: "healthy", transport: "sse", era: "legacy", push: { available: true } });
    await expect.poll(() => server.sessions).toEqual([]);
    for (const { body } of server.requests) {
      const { method, params } = (body ?? {}) as { method?: string; params?: { capabilities: object } };
      if (method === "initialize") expect(params!.capabilities).toEqual({});
      else expect(method).toBeUndefined();
    }
    await server.close();
    await expect.poll(async () => (await healthOf(port)).old, { timeout: 5000 }).toMatchObject({ status: "down" });
    const { old, new: fine } = await healthOf(port);
    expect(old!.sse).toMatchObject({ connections: 0, lastError: { reason: expect.any(String) as string } });
    expect(old!.reason).toMatch(/^(?:cannot be reached|reset|left alone after failures)/);
    expect(fine).toMatchObject({ status: "healthy", transport: "http" });
    await use(startSseServer({ port: server.port }));
    await expect.poll(async () => (await healthOf(port)).old!.status, { timeout: 9000 }).toBe("healthy");
  });
});
