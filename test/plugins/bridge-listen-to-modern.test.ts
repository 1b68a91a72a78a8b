/** Changes of a modern server, as legacy clients are told of them: on the stream of their GET. */
import { describe, expect, test } from "vitest";
import { type ConnectedV1, type ConnectedV2, connectSse, connectV1, connectV2 } from "../_harness/clients.ts";
import { type RawConnection, gate, rawClient } from "../_harness/peers.ts";
import { bridge, standard } from "../_harness/plugins.ts";
import { startProxy } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { idOf, methodOf, scripted } from "../_harness/scripted.ts";
import { startChangingModern } from "../_harness/servers.ts";
import { CHANGING, StdioClient } from "../_harness/stdio.ts";
import { SSE_HEAD, chunk, front, jsonAnswer, plain } from "../_harness/wire.ts";

const use = testScope();
const MODERN = { era: "modern" };
const KEY = "io.modelcontextprotocol/subscriptionId";
const TOOLS = "notifications/tools/list_changed";
const UPDATED = "notifications/resources/updated";

describe("SDK clients", () => {
  test.each(["v1", "v2"])("%s: lists and resources over HTTP", async (sdk) => {
    const server = await use(startChangingModern());
    const proxy = await use(front(server.url, standard(), MODERN));
    const { client, notification, notifications } = await use<ConnectedV1 | ConnectedV2>(
      sdk === "v1" ? connectV1(`${proxy.url}/mcp`) : connectV2(`${proxy.url}/mcp`, { mode: "legacy" }),
    );
    await server.listening(1);
    for (const what of ["tools", "prompts", "resources"]) {
      await server.change(what);
      const { params } = await notification(`notifications/${what}/list_changed`);
      expect(params).toBeUndefined();
    }
    expect(await client.subscribeResource({ uri: "file:///a" })).toEqual({});
    await client.subscribeResource({ uri: "file:///b" });
    await server.change("file:///b");
    await notification(UPDATED);
    expect(await client.unsubscribeResource({ uri: "file:///b" })).toEqual({});
    await server.change("file:///b");
    await server.change("file:///c");
    await server.change("file:///a");
    await expect.poll(() => notifications.length).toBe(5);
    expect(notifications.slice(3).map(({ params }) => params)).toEqual([{ uri: "file:///b" }, { uri: "file:///a" }]);
  });

  test("over HTTP+SSE, with the client's own credential", async () => {
    const server = await use(startChangingModern());
    const one = { url: server.url, auth: "passthrough", ...MODERN };
    const proxy = await use(startProxy({ servers: { one }, plugins: standard() }));
    const headers = { authorization: "Bearer its-own" };
    const { client, notification } = await use(connectSse(`${proxy.url}/one/sse`, { headers }));
    await client.subscribeResource({ uri: "file:///a" });
    await server.change("file:///a");
    await notification(UPDATED);
    expect(server.requests.map((request) => request.headers.authorization)).toEqual(
      server.requests.map(() => "Bearer its-own"),
    );
  });

  test("over stdio: two of them, over one process", async () => {
    const servers = { one: { ...CHANGING, path: "/mcp", ...MODERN } };
    const proxy = await use(startProxy({ servers, plugins: standard() }));
    const [one, two] = [await use(connectV1(`${proxy.url}/mcp`)), await use(connectV1(`${proxy.url}/mcp`))];
    const change = (what: string) => one.client.callTool({ name: "change", arguments: { what } });
    await one.client.subscribeResource({ uri: "file:///a" });
    await two.client.subscribeResource({ uri: "file:///b" });
    await change("file:///b");
    await change("file:///a");
    await change("tools");
    await Promise.all([one, two].map(({ notification }) => notification(TOOLS)));
    const seen = ({ notifications }: typeof one) =>
      notifications.filter(({ method }) => method === UPDATED).map(({ params }) => params);
    expect([seen(one), seen(two)]).toEqual([[{ uri: "file:///a" }], [{ uri: "file:///b" }]]);
    // The process ends: another is started, and what may have been missed is told.
    await change("exit").catch(() => {});
    await expect.poll(() => seen(two).length, { timeout: 5000 }).toBe(2);
  });
});

describe("what the server does", () => {
  test("a stream that breaks is opened again, and what may have changed is told once", async () => {
    const server = await use(startChangingModern());
    const proxy = await use(front(server.url, standard(), MODERN));
    const { client, notifications } = await use(connectV1(`${proxy.url}/mcp`));
    await client.subscribeResource({ uri: "file:///a" });
    const known = server.requests.filter(({ body }) => method(body) === "subscriptions/listen").length;
    server.dropStreams();
    await server.listening(known + 1);
    await expect
      .poll(() => notifications.map((one) => one.method).sort())
      .toEqual(["notifications/prompts/list_changed", UPDATED, "notifications/resources/list_changed", TOOLS].sort());
    await server.change("file:///a");
    await expect.poll(() => notifications.length).toBe(5);
    // So is one that the server ends in good order.
    await server.restart();
    await server.listening(known + 2);
    await expect.poll(() => notifications.length).toBe(9);
  });

  test("it has no subscriptions: their methods do not exist, and without any changes there is no stream", async () => {
    const some = await use(startChangingModern({ tools: { listChanged: true }, resources: {} }));
    const none = await use(startChangingModern({ logging: {} }));
    const servers = { some: { url: some.url, ...MODERN }, none: { url: none.url, ...MODERN } };
    const proxy = await use(startProxy({ servers, plugins: standard() }));
    const one = await use(connectV1(`${proxy.url}/some/mcp`));
    await some.listening(1);
    await expect(one.client.subscribeResource({ uri: "file:///a" })).rejects.toMatchObject({ code: -32_601 });
    const two = await StdioClient.open(`${proxy.url}/none/mcp`);
    const stream = await use(two.listen());
    expect(stream.status).toBe(405);
    expect(none.requests.map(({ body }) => method(body))).not.toContain("subscriptions/listen");
  });
});

/** A modern server that is scripted where it listens. */
async function listener(onListen: (id: string, wish: any, connection: RawConnection) => string | Promise<string>) {
  const listens: { id: string; wish: any; ended: Promise<unknown> }[] = [];
  const capabilities = { tools: { listChanged: true }, resources: { subscribe: true } };
  const discovered = {
    resultType: "complete",
    supportedVersions: ["2026-07-28"],
    capabilities,
    ttlMs: 0,
    cacheScope: "private",
  };
  const { server } = await scripted(async (request, connection) => {
    const id = idOf(request);
    if (methodOf(request) !== "subscriptions/listen")
      return jsonAnswer(JSON.stringify({ jsonrpc: "2.0", id: JSON.parse(id), result: discovered }));
    const { params } = JSON.parse(request.body) as { params: { notifications: unknown } };
    listens.push({ id, wish: params.notifications, ended: connection.ended });
    return onListen(id, params.notifications, connection);
  });
  await use(server);
  const proxy = await use(front(server.url, [bridge()], MODERN));
  return { listens, port: proxy.port, client: await StdioClient.open(`${proxy.url}/mcp`) };
}

function event(message: object): string {
  return chunk(`data: ${JSON.stringify({ jsonrpc: "2.0", ...message })}\n\n`);
}

function acknowledge(id: string, notifications: object): string {
  const params = { notifications, _meta: { [KEY]: JSON.parse(id) } };
  return event({ method: "notifications/subscriptions/acknowledged", params });
}

function method(body: unknown): string | undefined {
  return (body as { method?: string } | undefined)?.method;
}

describe("byte for byte", () => {
  test("subscribe is answered when the server has acknowledged; then the old stream ends, and events lose their subscription", async () => {
    const go = gate();
    const { listens, client, port } = await listener(async (id, wish, connection) => {
      if (!wish.resourceSubscriptions) return SSE_HEAD + acknowledge(id, wish);
      connection.send(SSE_HEAD);
      await go.promise;
      return (
        acknowledge(id, wish) +
        chunk(
          `data: {"jsonrpc":"2.0","method":"${UPDATED}","params":{"uri":"file:///a","n":12345678901234567890,"_meta":{"${KEY}":${id}}}}\n\n`,
        ) +
        event({ method: TOOLS, params: { _meta: { [KEY]: 0, mine: 1 } } })
      );
    });
    const stream = await use(rawClient(port));
    stream.send(plain("GET", "/mcp", `accept: text/event-stream\r\nmcp-session-id: ${client.session}\r\n`));
    await stream.receive(/\r\n\r\n/);
    expect(listens.map(({ wish }) => wish)).toEqual([{ toolsListChanged: true }]);
    let answered = false;
    const subscribing = client.request("resources/subscribe", { uri: "file:///a" }).finally(() => (answered = true));
    await expect.poll(() => listens.length).toBe(2);
    expect(listens[1]!.wish).toEqual({ toolsListChanged: true, resourceSubscriptions: ["file:///a"] });
    expect(answered).toBe(false);
    go.open();
    expect((await subscribing).response.result).toEqual({});
    await listens[0]!.ended;
    await stream.receive(/"mine"/);
    expect(stream.received.match(/(?<="params":).*(?=\})/g)).toEqual([
      '{"uri":"file:///a","n":12345678901234567890}',
      '{"_meta":{"mine":1}}',
    ]);
    // The last wish of all.
    await client.end();
    await listens[1]!.ended;
  });

  test("what the server does not acknowledge is refused", async () => {
    const { client } = await listener((id) => SSE_HEAD + acknowledge(id, { toolsListChanged: true }));
    const { response } = await client.request("resources/subscribe", { uri: "file:///a" });
    expect(response.error?.code).toBe(-32_601);
  });

  test("a server that has nothing to tell is not asked again and again", async () => {
    const { listens, client } = await listener(
      (id) =>
        SSE_HEAD + acknowledge(id, {}) + event({ id: JSON.parse(id), result: { resultType: "complete" } }) + chunk(""),
    );
    await use(client.listen());
    // Longer than the first wait.
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect(listens).toHaveLength(1);
  });

  test("both ways to end a subscription are known", async () => {
    const endings = [
      (id: string) => event({ id: JSON.parse(id), result: { resultType: "complete" } }),
      (id: string) => event({ method: "notifications/cancelled", params: { requestId: JSON.parse(id) } }),
    ];
    const { listens, client } = await listener((id, wish) => {
      const end = endings.shift();
      return SSE_HEAD + acknowledge(id, wish) + (end?.(id) ?? "");
    });
    const stream = await use(client.listen());
    await expect.poll(() => listens.length, { timeout: 3000 }).toBe(3);
    await expect.poll(() => stream.got.entries.length).toBe(2);
  });

  test("what changes while nobody reads is kept, one of a kind; a second GET takes the place of the first", async () => {
    const { client } = await listener(
      (id, wish) =>
        SSE_HEAD + acknowledge(id, wish) + [1, 2].map((n) => event({ method: TOOLS, params: { n } })).join(""),
    );
    await client.request("resources/subscribe", { uri: "file:///a" });
    const first = await use(client.listen());
    await first.got.find(() => true, "an event");
    expect(first.got.entries.map(({ params }) => params)).toEqual([{ n: 2 }]);
    await use(client.listen());
    await first.ended;
  });
});
