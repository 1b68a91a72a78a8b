/** Clients that share one process: nobody gets what belongs to somebody else. */
import { describe, expect, test } from "vitest";
import { ledger } from "../_harness/ledger.ts";
import { unsupported } from "../_harness/plugins.ts";
import { type RunningProxy, startProxy } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { StdioClient, childrenOf, stdioServer } from "../_harness/stdio.ts";

const use = testScope();

const serve = (options: string[] = [], more: object = { shared: true }): Promise<RunningProxy> =>
  use(startProxy({ servers: { one: stdioServer(options, more) }, plugins: [unsupported()] }));

const open = (proxy: RunningProxy, count: number) =>
  Promise.all(Array.from({ length: count }, () => StdioClient.open(proxy.url)));

describe("SD-08 ten clients of one process", () => {
  test("equal ids and equal tokens: each its own answers and its own progress", async () => {
    const proxy = await serve();
    const before = childrenOf(proxy.pid);
    const clients = await open(proxy, 10);
    expect(childrenOf(proxy.pid).filter((pid) => !before.includes(pid))).toHaveLength(1);
    const book = ledger();
    await Promise.all(
      clients.map(async (client, at) => {
        const owner = `client ${at}`;
        for (let id = 0; id < 10; id++) {
          const n = book.next(owner);
          const { response } = await client.call("echo", { text: String(n) }, id);
          expect(response.id).toBe(id);
          book.arrived(Number(response.result.content[0].text), owner);
        }
        const params = { name: "progress", arguments: { steps: 3 }, _meta: { progressToken: "t" } };
        const { messages, response } = await client.request("tools/call", params, "p");
        // With ten calls under way nothing but progress tells whose it is.
        expect(messages.map((message) => message.params?.progressToken)).toEqual(["t", "t", "t", undefined]);
        expect(response.id).toBe("p");
      }),
    );
    book.assertBalanced();
    await Promise.all(clients.map((client) => client.end()));
  });

  test("a cancelled call gets no reply, and the call of another client with its id goes on", async () => {
    const proxy = await serve();
    const [one, other] = (await open(proxy, 2)) as [StdioClient, StdioClient];
    const held = [one.call("wait", { name: "a" }, 5), other.call("wait", { name: "b" }, 5)];
    await expect.poll(() => one.text("executed")).toBe("2");
    await one.send({ method: "notifications/cancelled", params: { requestId: 5 } });
    expect((await held[0]!).messages.filter(({ id }) => id !== undefined)).toEqual([]);
    await other.text("release", { name: "a" });
    await other.text("release", { name: "b" });
    expect((await held[1]!).response).toMatchObject({ id: 5, result: { content: [{ text: "released b" }] } });
    expect(JSON.parse(await one.text("cancelled"))).toHaveLength(1);
    await Promise.all([one.end(), other.end()]);
  });

  test("a question of the server is refused while there are several, and asked of the only one", async () => {
    const proxy = await serve([], { shared: true });
    const [one, other] = (await open(proxy, 2)) as [StdioClient, StdioClient];
    expect(JSON.parse(await one.text("ask"))).toMatchObject({
      code: -32603,
      message: expect.stringMatching(/^Penstock .*'one': several clients share this server/),
    });
    await other.end();
    const asking = one.call("ask", { method: "ping" });
    // Before the question it is dropped.
    const answering = setInterval(() => void one.send({ id: "ask-2", result: { answer: 1 } }), 50);
    const { messages, response } = await asking;
    clearInterval(answering);
    expect(messages[0]).toMatchObject({ id: "ask-2", method: "ping" });
    expect(response.result.content[0].text).toBe('{"answer":1}');
    await one.end();
  });

  test("lists that changed are told to all of them", async () => {
    const proxy = await serve();
    const clients = await open(proxy, 3);
    const streams = await Promise.all(clients.map((client) => use(client.listen())));
    await clients[0]!.text("changed");
    for (const { got } of streams)
      await got.find(({ method }) => method === "notifications/tools/list_changed", "the notification");
    await Promise.all(clients.map((client) => client.end()));
  });

  test("a process that ends is started again under the sessions, which go on", async () => {
    const proxy = await serve();
    const clients = await open(proxy, 3);
    const held = clients.map((client) => client.call("wait", {}, 7));
    await expect.poll(() => clients[0]!.text("executed")).toBe("3");
    await clients[0]!.call("die");
    for (const call of held) expect((await call).response.error!.data!.code).toBe("UPSTREAM_BROKE");
    expect(await Promise.all(clients.map((client) => client.text("echo", { text: "again" })))).toEqual(
      Array(3).fill("again"),
    );
    await Promise.all(clients.map((client) => client.end()));
  });
});

describe("SD-08 modern clients share a process by themselves", () => {
  const META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
  };
  const fields = (method: string) => ({ "mcp-protocol-version": "2026-07-28", "mcp-method": method });
  const post = (client: StdioClient, method: string, params: object, id: number | string = 0) =>
    client.post(JSON.stringify({ jsonrpc: "2.0", id, method, params: { ...params, _meta: META } }), fields(method));

  test("equal ids; a client that leaves cancels its call alone", async () => {
    const proxy = await serve(["--modern"], {});
    const client = new StdioClient(proxy.url);
    const before = childrenOf(proxy.pid);
    expect((await post(client, "server/discover", {})).response.result.supportedVersions).toEqual(["2026-07-28"]);
    const texts = await Promise.all(
      Array.from({ length: 10 }, async (_, n) => {
        const { response } = await post(client, "tools/call", { name: "echo", arguments: { text: String(n) } });
        return response.result.content[0].text;
      }),
    );
    expect(texts).toEqual(Array.from({ length: 10 }, (_, n) => String(n)));
    expect(childrenOf(proxy.pid).filter((pid) => !before.includes(pid))).toHaveLength(1);
    const controller = new AbortController();
    const leaving = fetch(client.url, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "text/event-stream", ...fields("tools/call") },
      body: JSON.stringify({
        jsonrpc: "2.0",
        id: 0,
        method: "tools/call",
        params: { name: "wait", arguments: {}, _meta: META },
      }),
      signal: controller.signal,
    }).catch(() => {});
    const cancelled = async () =>
      JSON.parse((await post(client, "tools/call", { name: "cancelled" })).response.result.content[0].text).length;
    const executed = async () =>
      (await post(client, "tools/call", { name: "executed" })).response.result.content[0].text;
    await expect.poll(executed).toBe("1");
    controller.abort();
    await leaving;
    await expect.poll(cancelled).toBe(1);
  });

  test("a legacy server says so, by an error, by silence or by its end", async () => {
    for (const options of [[], ["--exit-first"], ["--mute"]]) {
      const client = new StdioClient((await serve(options, { timeouts: { headers: 300 } })).url);
      for (let i = 0; i < 2; i++) {
        const { status, response } = await post(client, "server/discover", {}, "d");
        expect([status, response.id, response.error!.code]).toEqual([404, "d", -32601]);
      }
    }
  });
});
