/** `subscriptions/listen` of modern clients at legacy servers: GET stream and `resources/subscribe` there. */
import { describe, expect, test } from "vitest";
import { type V2Options, connectV2 } from "../_harness/clients.ts";
import { type ParsedRequest, type RawConnection, rawClient } from "../_harness/peers.ts";
import { bridge, standard } from "../_harness/plugins.ts";
import { startProxy } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { idOf, methodOf, scripted } from "../_harness/scripted.ts";
import { type ChangingServer, startChangingLegacy } from "../_harness/servers.ts";
import { CHANGING } from "../_harness/stdio.ts";
import { SSE_HEAD, call, chunk, front, jsonAnswer, post } from "../_harness/wire.ts";

const use = testScope();
const KEY = "io.modelcontextprotocol/subscriptionId";
const ALL = { toolsListChanged: true, promptsListChanged: true, resourcesListChanged: true };
const TOOLS = "notifications/tools/list_changed";
const UPDATED = "notifications/resources/updated";
const A = "file:///a";
const B = "file:///b";
const LEGACY = { era: "legacy" };
const STDIO = { ...CHANGING, args: [...CHANGING.args, "--v1"], path: "/mcp" };
const pinned: V2Options = { mode: "modern" };

/** A proxy in front of it, at `/mcp`. */
async function proxyFor(server: ChangingServer, over: "http" | "sse") {
  const one = { url: server.url, path: "/mcp", transport: over, ...LEGACY };
  return use(startProxy({ servers: { one }, plugins: standard() }));
}

describe("the SDK's client", () => {
  test.each(["http", "sse"] as const)("lists and resources over %s", async (over) => {
    const server = await use(startChangingLegacy(over));
    const proxy = await proxyFor(server, over);
    const { client, notification, notifications, errors } = await use(connectV2(`${proxy.url}/mcp`, pinned));
    const { honoredFilter } = await client.listen({ ...ALL, resourceSubscriptions: [A, "file:///missing"] });
    expect(honoredFilter).toEqual({ ...ALL, resourceSubscriptions: [A] });
    for (const what of ["tools", "prompts", "resources"]) {
      await server.change(what);
      await notification(`notifications/${what}/list_changed`);
    }
    const second = await client.listen({ resourceSubscriptions: [A, B] });
    await server.change(B);
    await notification(UPDATED);
    await second.close();
    await server.subscribed("-", B);
    await server.change(B);
    // The other one still wants to know about this, and once.
    await server.change(A);
    await expect.poll(() => notifications.length).toBe(5);
    expect(notifications.slice(3).map(({ params }) => params?.uri)).toEqual([B, A]);
    await server.subscribed("+", A);
    expect(errors).toEqual([]);
  });

  test("the option `listChanged` opens a subscription by itself", async () => {
    const server = await use(startChangingLegacy());
    const proxy = await proxyFor(server, "http");
    let told = 0;
    const listChanged = { tools: { autoRefresh: false, debounceMs: 0, onChanged: () => void told++ } };
    const { client } = await use(connectV2(`${proxy.url}/mcp`, { ...pinned, listChanged }));
    expect(client.autoOpenedSubscription?.honoredFilter).toEqual({ toolsListChanged: true });
    await server.change("tools");
    await expect.poll(() => told).toBe(1);
  });

  test("with the client's own credential", async () => {
    const server = await use(startChangingLegacy());
    const one = { url: server.url, auth: "passthrough", path: "/mcp", ...LEGACY };
    const proxy = await use(startProxy({ servers: { one }, plugins: standard() }));
    const headers = { authorization: "Bearer its-own" };
    const { client } = await use(connectV2(`${proxy.url}/mcp`, { ...pinned, headers }));
    await client.listen({ resourceSubscriptions: [A] });
    await client.close();
    await server.subscribed("-", A);
    expect(server.requests.map((request) => request.headers.authorization)).toEqual(
      server.requests.map(() => "Bearer its-own"),
    );
  });

  test("over stdio, also where it can be asked; what a call brings about is told on the subscription", async () => {
    const proxy = await use(startProxy({ servers: { one: { ...STDIO, ...LEGACY } }, plugins: standard() }));
    const capabilities = { elicitation: {} };
    const { client, notifications } = await use(connectV2(`${proxy.url}/mcp`, { ...pinned, capabilities }));
    const listening = await client.listen({ toolsListChanged: true, resourceSubscriptions: [A] });
    const change = (what: string) => client.callTool({ name: "change", arguments: { what } });
    await change("tools");
    await change("prompts");
    await change(B);
    await change(A);
    await expect.poll(() => notifications.map(({ method }) => method)).toEqual([TOOLS, UPDATED]);
    // Its process ends; with the next one the subscription goes on, and each of its things is told of once.
    await change("exit").catch(() => {});
    await expect.poll(() => notifications.length, { timeout: 5000 }).toBe(4);
    await change(A);
    await expect.poll(() => notifications.map(({ method }) => method).slice(2)).toEqual([TOOLS, UPDATED, UPDATED]);
    await listening.close();
  });

  test.each(["http", "sse"] as const)("the server loses its sessions, over %s", async (over) => {
    const server = await use(startChangingLegacy(over));
    const proxy = await proxyFor(server, over);
    const { client, notifications } = await use(connectV2(`${proxy.url}/mcp`, pinned));
    await client.listen({ toolsListChanged: true, resourceSubscriptions: [A] });
    await server.restart();
    await server.subscribed("+", A, 2);
    await expect.poll(() => notifications.map(({ method }) => method)).toEqual([TOOLS, UPDATED]);
    await server.change(A);
    await expect.poll(() => notifications.length).toBe(3);
  });

  test("only the stream breaks: it is opened again", async () => {
    const server = await use(startChangingLegacy());
    const proxy = await proxyFor(server, "http");
    const { client, notifications } = await use(connectV2(`${proxy.url}/mcp`, pinned));
    await client.listen({ toolsListChanged: true, resourceSubscriptions: [A] });
    server.dropStreams();
    await server.listening(2);
    await expect.poll(() => notifications.map(({ method }) => method)).toEqual([TOOLS, UPDATED]);
    await server.change("tools");
    await expect.poll(() => notifications.length).toBe(3);
    expect(server.requests.filter(({ body }) => methodIn(body) === "resources/subscribe")).toHaveLength(1);
  });
});

function methodIn(body: unknown): string | undefined {
  return (body as { method?: string } | undefined)?.method;
}

interface Script {
  capabilities?: object;
  get?: (connection: RawConnection) => string;
  post?: (request: ParsedRequest) => string | undefined;
}

/** A legacy server with one session, scripted, and raw clients that listen to it. */
async function legacy({ capabilities = CAPABILITIES, get = () => SSE_HEAD, post: own }: Script = {}) {
  const streams: RawConnection[] = [];
  const script = await scripted(
    (request, connection) => {
      if (request.method === "GET") {
        streams.push(connection);
        return get(connection);
      }
      const answer = own?.(request);
      if (answer !== undefined) return answer;
      if (request.method === "DELETE" || request.body === "" || !request.body.includes('"id"'))
        return "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";
      const begins = methodOf(request) === "initialize";
      const info = { protocolVersion: "2025-11-25", capabilities, serverInfo: { name: "x", version: "1" } };
      const result = JSON.stringify(begins ? info : {});
      return jsonAnswer(
        `{"jsonrpc":"2.0","id":${idOf(request)},"result":${result}}`,
        "200 OK",
        begins ? "mcp-session-id: s1\r\n" : "",
      );
    },
    { handshakes: true },
  );
  await use(script.server);
  const proxy = await use(front(script.server.url, [bridge()], LEGACY));
  return {
    ...script,
    /** @param id and @param wish as JSON text */
    async listen(id: string, wish: string | undefined) {
      const client = await use(rawClient(proxy.port));
      const filter = wish === undefined ? "" : `"notifications":${wish},`;
      client.send(post(call(id, "subscriptions/listen", `{${filter}${META}}`), "/mcp", HEADERS));
      return client;
    },
    async posts(method: string, params: string) {
      const client = await use(rawClient(proxy.port));
      const headers = HEADERS.replace("subscriptions/listen", `${method}\r\nmcp-name: t`);
      client.send(post(call(1, method, `{${params},${META}}`), "/mcp", headers));
      return client;
    },
    say: (text: string) => streams.at(-1)!.send(chunk(`id: 7\ndata: ${text}\n\n`)),
  };
}

const CAPABILITIES = { tools: { listChanged: true }, resources: { subscribe: true } };
const META =
  '"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}';
const HEADERS =
  "content-type: application/json\r\nmcp-protocol-version: 2026-07-28\r\nmcp-method: subscriptions/listen\r\n";
const acknowledged = (id: string, filter: object) =>
  `{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"notifications":${JSON.stringify(filter)},"_meta":{"${KEY}":${id}}}}`;
const messages = (body: string) => [...body.matchAll(/^data: (.*)$/gm)].map(([, text]) => text);

describe("byte for byte", () => {
  test("acknowledged first, then each event with the id as it was written; the server's own ids stay here", async () => {
    const { listen, say } = await legacy();
    const id = "12345678901234567890";
    const wish = '{"toolsListChanged":true,"promptsListChanged":true,"resourceSubscriptions":["file:///a"]}';
    const client = await listen(id, wish);
    await client.receive(/acknowledged.*\n\n/);
    const big = '"n":98765432109876543210';
    say(`{"jsonrpc":"2.0","method":"${TOOLS}"}`);
    say(`{"jsonrpc":"2.0","method":"notifications/prompts/list_changed"}`);
    say(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}`);
    say(`{"jsonrpc":"2.0","method":"${UPDATED}","params":{"uri":"file:///a/b",${big},"_meta":{"mine":1}}}`);
    await client.receive(/"mine"/);
    expect(client.received).not.toMatch(/^id:/m);
    expect(messages(client.received)).toEqual([
      acknowledged(id, { toolsListChanged: true, resourceSubscriptions: [A] }),
      `{"jsonrpc":"2.0","method":"${TOOLS}","params":{"_meta":{"${KEY}":${id}}}}`,
      `{"jsonrpc":"2.0","method":"${UPDATED}","params":{"uri":"file:///a/b",${big},"_meta":{"mine":1,"${KEY}":${id}}}}`,
    ]);
  });

  test("two subscriptions to a resource are one at the server, until the last one ends", async () => {
    const { listen, say, seen } = await legacy();
    const wish = '{"resourceSubscriptions":["file:///a"]}';
    const [one, two] = [await listen('"l"', wish), await listen('"l"', wish)];
    for (const client of [one, two]) await client.receive(/acknowledged/);
    say(`{"jsonrpc":"2.0","method":"${UPDATED}","params":{"uri":"file:///a"}}`);
    for (const client of [one, two]) await client.receive(/updated/);
    one.reset();
    two.reset();
    await expect
      .poll(() => seen.filter((name) => name.includes("subscribe")))
      .toEqual(["POST resources/subscribe", "POST resources/unsubscribe"]);
  });

  test("nothing can come: acknowledged as nothing, and completed", async () => {
    const refused = () => "HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n";
    const wish = '{"toolsListChanged":true,"resourceSubscriptions":["file:///a"]}';
    for (const server of [await legacy({ get: refused }), await legacy({ capabilities: { tools: {} } })]) {
      const client = await server.listen("1", wish);
      const { status, body } = await client.receiveResponse({ method: "POST" });
      expect(status).toBe(200);
      expect(messages(body)).toEqual([
        acknowledged("1", {}),
        `{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","_meta":{"${KEY}":1}}}`,
      ]);
      expect(server.seen).not.toContain("POST resources/subscribe");
    }
  });

  test.each([undefined, "[]", '{"toolsListChanged":1}', '{"resourceSubscriptions":[1]}'])(
    "no wish: %s",
    async (wish) => {
      const { listen } = await legacy();
      const client = await listen("1", wish);
      const { status, body } = await client.receiveResponse({ method: "POST" });
      expect({ status, ...(JSON.parse(body) as object) }).toMatchObject({
        status: 200,
        id: 1,
        error: { code: -32_602 },
      });
    },
  );

  test("a list's change on the stream that answers a call is told on the subscription, and nowhere else", async () => {
    const { listen, posts } = await legacy({
      post: (request) =>
        methodOf(request) === "tools/call"
          ? SSE_HEAD +
            chunk(`data: {"jsonrpc":"2.0","method":"${TOOLS}"}\n\n`) +
            chunk(`data: {"jsonrpc":"2.0","id":${idOf(request)},"result":{"content":[]}}\n\n`) +
            chunk("")
          : undefined,
    });
    const client = await listen('"l"', '{"toolsListChanged":true}');
    await client.receive(/acknowledged/);
    const called = await posts("tools/call", '"name":"t"');
    const { body } = await called.receiveResponse({ method: "POST" });
    expect(body).not.toContain(TOOLS);
    await client.receive(/tools\/list_changed/);
  });
});
