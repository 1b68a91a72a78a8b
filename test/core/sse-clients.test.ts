/** Clients of HTTP+SSE in front of Streamable HTTP servers. */
import { describe, expect, test } from "vitest";
import { connectSse } from "../_harness/clients.ts";
import { apiKeys, health, outcomes, sseRelay, standard, toolFilter } from "../_harness/plugins.ts";
import { gate, rawClient, rawServer } from "../_harness/peers.ts";
import { startProxy } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { idOf, methodOf, scripted } from "../_harness/scripted.ts";
import { startLegacyServer, startModernServer } from "../_harness/servers.ts";
import { INITIALIZE, INITIALIZED, rawSse } from "../_harness/sse-client.ts";
import { SSE_HEAD, call, chunk, jsonAnswer } from "../_harness/wire.ts";

const use = testScope();

/** A proxy with HTTP+SSE paths for one server. */
async function proxyFor(url: string, { plugins = [standard()] as unknown, ...config }: Record<string, unknown> = {}) {
  const proxy = await use(startProxy({ servers: { one: { url, path: "/mcp", ssePath: "/sse" } }, plugins, ...config }));
  return { ...proxy, port: Number(new URL(proxy.url).port) };
}

describe("the SDK's client over HTTP+SSE", () => {
  test("lists, calls, sees progress, and ends its session when it leaves", async () => {
    const server = await use(startLegacyServer());
    const proxy = await proxyFor(server.url);
    const { client, close } = await use(connectSse(`${proxy.url}/sse`));
    expect((await client.listTools()).tools.map(({ name }) => name)).toContain("echo");
    const progressed = gate();
    const calling = client.callTool({ name: "slow", arguments: { gateName: "a" } }, undefined, {
      onprogress: () => progressed.open(),
    });
    await progressed.promise;
    server.open("a");
    expect((await calling).content).toEqual([{ type: "text", text: "passed a" }]);
    expect(server.sessions).toHaveLength(1);
    await close();
    await server.request(({ method }) => method === "DELETE");
    expect(server.sessions).toHaveLength(0);
  });

  test("answers what the server asks: sampling, elicitation, roots", async () => {
    const server = await use(startLegacyServer());
    const proxy = await proxyFor(server.url);
    const { client } = await use(
      connectSse(`${proxy.url}/sse`, {
        capabilities: { sampling: {}, elicitation: {}, roots: {} },
        handlers: {
          "sampling/createMessage": () => ({ role: "assistant", content: { type: "text", text: "42" }, model: "m" }),
          "elicitation/create": () => ({ action: "accept", content: { colour: "blue" } }),
          "roots/list": () => ({ roots: [{ uri: "file:///home" }] }),
        },
      }),
    );
    for (const [name, text] of [
      ["ask", '"42"'],
      ["elicit", '"blue"'],
      ["roots", "file:///home"],
    ])
      expect(JSON.stringify(await client.callTool({ name: name! }))).toContain(JSON.stringify(text).slice(1, -1));
  });

  test("what belongs to no request arrives too, and a cancelled call is cancelled at the server", async () => {
    const server = await use(startLegacyServer());
    const proxy = await proxyFor(server.url);
    const { client, notification } = await use(connectSse(`${proxy.url}/sse`));
    await server.notifyToolsChanged();
    await notification("notifications/tools/list_changed");
    const leaving = new AbortController();
    const called = client.callTool({ name: "slow", arguments: { gateName: "a" } }, undefined, {
      signal: leaving.signal,
    });
    await server.entered("a");
    leaving.abort("enough");
    await expect(called).rejects.toThrow("enough");
    await server.cancelled("a");
  });

  test("two clients with the same ids are two sessions, and each gets its own answers", async () => {
    const server = await use(startLegacyServer());
    const proxy = await proxyFor(server.url);
    const clients = [await use(connectSse(`${proxy.url}/sse`)), await use(connectSse(`${proxy.url}/sse`))];
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        clients[n % 2]!.client.callTool({ name: "echo", arguments: { text: `call ${n}` } }),
      ),
    );
    expect(answers.map(({ content }) => (content as { text: string }[])[0]!.text)).toEqual(
      Array.from({ length: 20 }, (_, n) => `call ${n}`),
    );
    expect(server.sessions).toHaveLength(2);
  });

  test("a dual-era server of the v2 SDK, and one without sessions", async () => {
    const modern = await use(startModernServer({ legacy: "stateless" }));
    const stateless = await use(startLegacyServer({ sessions: false }));
    for (const { url } of [modern, stateless]) {
      const { client } = await use(connectSse(`${(await proxyFor(url)).url}/sse`));
      const { content } = await client.callTool({ name: "echo", arguments: { text: "hello" } });
      expect(content).toEqual([{ type: "text", text: "hello" }]);
    }
  });

  test("plugins see each message: a tool that is denied is neither listed nor called", async () => {
    const server = await use(startLegacyServer());
    const proxy = await proxyFor(server.url, { plugins: [standard(), toolFilter({ deny: ["echo"] })] });
    const { client } = await use(connectSse(`${proxy.url}/sse`));
    expect((await client.listTools()).tools.map(({ name }) => name)).not.toContain("echo");
    await expect(client.callTool({ name: "echo", arguments: { text: "x" } })).rejects.toThrow();
    expect(server.requests.some(({ body }) => (body as { method?: string })?.method === "tools/call")).toBe(false);
  });
});

/** A server with a session that answers `tools/call` as the test says. */
async function scriptedServer(answer: (id: string) => string | Promise<string>, version = "2025-06-18") {
  const server = await scripted(async (request) => {
    if (request.method !== "POST") return jsonAnswer("{}", request.method === "GET" ? "405 No" : "200 OK");
    const method = methodOf(request);
    if (method === "initialize")
      return jsonAnswer(
        `{"jsonrpc":"2.0","id":${idOf(request)},"result":{"protocolVersion":"${version}","capabilities":{},"serverInfo":{"name":"s","version":"1"}}}`,
        "200 OK",
        "mcp-session-id: session-1\r\n",
      );
    if (method?.startsWith("notifications/")) return "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";
    return answer(idOf(request));
  });
  await use(server.server);
  return server;
}

async function opened(port: number, fields: readonly string[] = []) {
  const client = await rawSse(use, port, { fields });
  expect((await client.post(INITIALIZE)).status).toBe(202);
  await client.message('"id":0');
  expect((await client.post(INITIALIZED)).status).toBe(202);
  return client;
}

describe("on the wire", () => {
  test("the server sees a client of Streamable HTTP: session, revision, both types, one GET, one DELETE", async () => {
    const server = await scriptedServer((id) => jsonAnswer(`{"jsonrpc":"2.0","id":${id},"result":{"n":1}}`));
    const proxy = await proxyFor(server.server.url);
    const client = await opened(proxy.port);
    expect((await client.post(call(7))).status).toBe(202);
    expect(await client.message('"id":7')).toEqual({ jsonrpc: "2.0", id: 7, result: { n: 1 } });
    await client.stream.close();
    await expect.poll(() => server.seen).toContain("DELETE session-1");
    expect(server.seen.filter((one) => !one.startsWith("GET"))).toEqual([
      "POST initialize",
      "POST notifications/initialized",
      "POST tools/list",
      "DELETE session-1",
    ]);
    expect(server.seen.filter((one) => one.startsWith("GET"))).toEqual(["GET session-1"]);
    const [first, second] = server.requests.filter(({ method }) => method === "POST");
    expect(first!.headers).not.toHaveProperty("mcp-session-id");
    expect(first!.headers).not.toHaveProperty("mcp-protocol-version");
    expect(second!.headers).toMatchObject({
      accept: "application/json, text/event-stream",
      "mcp-session-id": "session-1",
      "mcp-protocol-version": "2025-06-18",
    });
    for (const { target } of server.requests) expect(target).not.toContain("sessionId");
  });

  test("202 comes before the server has answered; pretty-printed JSON and data lines become one line", async () => {
    const barrier = gate();
    const server = await scriptedServer(async (id) => {
      await barrier.promise;
      return id === "1"
        ? jsonAnswer(`{\n  "jsonrpc": "2.0",\r\n  "id": ${id},\n  "result": {}\n}`)
        : `${SSE_HEAD}${chunk(`: hello\n\nid: 4\r\ndata:\r\n\r\ndata: {"jsonrpc":"2.0",\ndata: "id":${id},"result":{"t":"ü"}}\n\n`)}${chunk("")}`;
    });
    const client = await opened((await proxyFor(server.server.url, { plugins: [] })).port);
    expect((await client.post(call(1))).status).toBe(202);
    barrier.open();
    expect(await client.message('"id": 1')).toEqual({ jsonrpc: "2.0", id: 1, result: {} });
    expect((await client.post(call(2))).status).toBe(202);
    expect(await client.message('"id":2')).toEqual({ jsonrpc: "2.0", id: 2, result: { t: "ü" } });
    expect(client.stream.received).not.toContain(": hello");
  });

  test.each([
    [
      "a stream that ends without a response",
      () => `${SSE_HEAD}${chunk("data: {}\n\n")}${chunk("")}`,
      "UPSTREAM_BROKE",
    ],
    ["an HTTP error with a page", () => "HTTP/1.1 500 No\r\ncontent-length: 4\r\n\r\noops", "UPSTREAM_INVALID"],
    ["202 to a request", () => "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n", "UPSTREAM_INVALID"],
    ["a page in place of JSON", () => "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>", "UPSTREAM_INVALID"],
  ])("%s is an error for the id that waits, framed or not", async (_what, answer, code) => {
    for (const plugins of [[], [standard()]]) {
      const server = await scriptedServer(answer);
      const client = await opened((await proxyFor(server.server.url, { plugins })).port);
      expect((await client.post(call('"a"'))).status).toBe(202);
      expect(await client.message('"id":"a"')).toMatchObject({ error: { code: -32603, data: { code } } });
    }
  });

  test("an error that a server answers with an HTTP status arrives with the id of the request, digits and all", async () => {
    const server = await scriptedServer(() =>
      jsonAnswer('{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}', "404 Not Found"),
    );
    const client = await opened((await proxyFor(server.server.url, { plugins: [] })).port);
    await client.post(call("9007199254740993"));
    const text = await client.stream.receive(/"id":9007199254740993/);
    expect(text).toContain('"id":9007199254740993');
    await client.stream.receive(/"error":\{"code":-32001,"message":"Session not found"\}\}\n\n/);
  });

  test("a server that dies in the middle: an error for the call under way, and the next call reaches it again", async () => {
    let dying = true;
    const server = await scripted((request, connection) => {
      if (methodOf(request) !== "tools/call") return jsonAnswer(`{"jsonrpc":"2.0","id":${idOf(request)},"result":{}}`);
      if (!dying) return jsonAnswer(`{"jsonrpc":"2.0","id":${idOf(request)},"result":{"ok":true}}`);
      connection.send(SSE_HEAD + chunk(": working\n\n"));
      return "reset";
    });
    await use(server.server);
    const client = await rawSse(use, (await proxyFor(server.server.url)).port);
    await client.post(call(1, "tools/call", '{"name":"x"}'));
    expect(await client.message('"id":1')).toMatchObject({ error: { data: { code: "UPSTREAM_BROKE" } } });
    dying = false;
    await client.post(call(2, "tools/call", '{"name":"x"}'));
    expect(await client.message('"id":2')).toMatchObject({ result: { ok: true } });
  });

  test("what the client leaves behind is let go at the server", async () => {
    const entered = gate();
    const server = await use(
      rawServer(async (connection) => {
        await connection.receiveRequest();
        connection.send(SSE_HEAD);
        entered.open();
        await connection.ended;
      }),
    );
    const client = await rawSse(use, (await proxyFor(server.url)).port);
    expect((await client.post(call(1, "tools/call", '{"name":"x"}'))).status).toBe(202);
    await entered.promise;
    await client.stream.close();
    await (
      await server.connection()
    ).ended;
  });

  test("a large answer waits for a client that does not read, and arrives whole", async () => {
    const text = "x".repeat(2 * 1024 * 1024);
    const server = await scriptedServer((id) => jsonAnswer(`{"jsonrpc":"2.0","id":${id},"result":{"text":"${text}"}}`));
    const client = await opened((await proxyFor(server.server.url)).port);
    client.stream.pause();
    await client.post(call(1));
    await client.post(call(2));
    await expect.poll(() => server.seen.filter((one) => one === "POST tools/list")).toHaveLength(2);
    client.stream.resume();
    await client.stream.receive(
      (pending) => pending.length > 2 * text.length && pending.slice(-8).endsWith("}}\n\n\r\n"),
    );
    expect(client.stream.received.split(text)).toHaveLength(3);
  });
});

describe("what is refused before the server is asked is the answer to that POST", () => {
  test.each([
    ["another type", ["content-type: text/plain"], call(), 415],
    ["a content coding", ["content-type: application/json", "content-encoding: gzip"], call(), 415],
    ["no JSON", undefined, "{", 400],
    ["a batch", undefined, `[${call()}]`, 400],
    ["more than the server's limit", undefined, `{"a":"${"x".repeat(5 * 1024 * 1024)}"}`, 413],
  ])("%s", async (_what, fields, body, status) => {
    const server = await scriptedServer(() => jsonAnswer("{}"));
    const client = await rawSse(use, (await proxyFor(server.server.url)).port);
    expect((await client.post(body, fields)).status).toBe(status);
    expect(server.requests).toHaveLength(0);
  });

  test("no credential, on either path", async () => {
    const server = await scriptedServer(() => jsonAnswer("{}"));
    const key = "0123456789abcdef";
    const { port } = await proxyFor(server.server.url, { plugins: [standard(), apiKeys({ keys: { ci: key } })] });
    const stranger = await use(rawClient(port));
    stranger.send("GET /sse HTTP/1.1\r\nhost: localhost\r\n\r\n");
    expect((await stranger.receiveResponse()).status).toBe(401);
    const client = await rawSse(use, port, { fields: [`x-api-key: ${key}`] });
    const other = await use(rawClient(port));
    other.send(`POST ${client.endpoint} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n`);
    expect((await other.receiveResponse({ method: "POST" })).status).toBe(415);
    expect((await client.post(call(), ["content-type: application/json", "x-api-key: wrong"])).status).toBe(401);
    expect(server.requests).toHaveLength(0);
  });

  test.each([
    ["POST", "/sse", 405, "GET"],
    ["HEAD", "/sse", 405, "GET"],
    ["DELETE", "/sse", 405, "GET"],
    ["GET", "/messages?sessionId=x", 405, "POST"],
    ["DELETE", "/messages", 405, "POST"],
  ])("%s %s is %i, and Allow names %s", async (method, target, status, allow) => {
    const { port } = await proxyFor("http://127.0.0.1:1/mcp");
    const client = await use(rawClient(port));
    client.send(`${method} ${target} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n`);
    const answer = await client.receiveResponse({ method });
    expect([answer.status, answer.headers.allow]).toEqual([status, allow]);
  });

  test("an unknown stream is 404", async () => {
    const { port } = await proxyFor("http://127.0.0.1:1/mcp");
    const client = await rawSse(use, port);
    for (const target of ["/messages", "/messages?sessionId=", "/messages?sessionId=AAAA"])
      expect((await client.post(call(), undefined, target)).status).toBe(404);
  });
});

describe("the endpoint", () => {
  test("is a path with an id of 128 bits or more, another one for each stream", async () => {
    const { port } = await proxyFor("http://127.0.0.1:1/mcp");
    const endpoints = await Promise.all([1, 2].map(async () => (await rawSse(use, port)).endpoint));
    for (const endpoint of endpoints) expect(endpoint).toMatch(/^\/messages\?sessionId=[\w-]{22,}$/);
    expect(endpoints[0]).not.toBe(endpoints[1]);
  });

  test("behind a path prefix it is the path that clients know, whether the proxy in front takes the prefix away or not", async () => {
    const proxy = await use(
      startProxy({
        servers: { docs: { url: "http://127.0.0.1:1/mcp" }, other: { url: "http://127.0.0.1:1/mcp" } },
        plugins: [standard()],
        publicUrl: "https://example.com/team",
      }),
    );
    const fields = ["x-forwarded-host: example.com"];
    for (const path of ["/docs/sse", "/docs/sse/", "/docs/sse?x=1"]) {
      const client = await rawSse(use, Number(new URL(proxy.url).port), { path, fields });
      expect(client.endpoint).toMatch(/^\/team\/docs\/messages\?sessionId=/);
      expect(new URL(client.endpoint, `https://example.com/team${path}`).pathname).toBe("/team/docs/messages");
    }
  });
});

describe("the stream", () => {
  test("does not depend on what the server offers to listen to", async () => {
    const server = await scriptedServer((id) => jsonAnswer(`{"jsonrpc":"2.0","id":${id},"result":{}}`));
    const { port } = await proxyFor(server.server.url, { plugins: [health({ push: false }), sseRelay()] });
    const client = await opened(port);
    await client.post(call(1));
    await client.message('"id":1');
    expect(server.seen.filter((one) => one.startsWith("GET"))).toEqual([]);
  });

  test("of a server whose stream broke: another one is opened, and goes on behind the last event", async () => {
    let streams = 0;
    const server = await scripted((request) => {
      if (request.method === "GET")
        return streams++ === 0
          ? `${SSE_HEAD}${chunk('id: e7\nretry: 100\ndata: {"jsonrpc":"2.0","method":"first"}\n\n')}${chunk("")}`
          : `${SSE_HEAD}${chunk('data: {"jsonrpc":"2.0","method":"second"}\n\n')}`;
      if (methodOf(request) === "initialize")
        return jsonAnswer(`{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18"}}`);
      return "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";
    });
    await use(server.server);
    const client = await opened((await proxyFor(server.server.url, { plugins: [] })).port);
    await client.message('"first"');
    await client.message('"second"');
    const gets = server.requests.filter(({ method }) => method === "GET");
    expect(gets.map(({ headers }) => headers["last-event-id"])).toEqual([undefined, "e7"]);
  });

  test("a client that does not read holds the server back, however many answers there are", async () => {
    const EVENT = `data: {"jsonrpc":"2.0","method":"notifications/message","params":{"data":"${"x".repeat(32 * 1024)}"}}\n\n`;
    const TOTAL = 600;
    let sent = 0;
    const server = await use(
      rawServer(async (connection) => {
        const request = await connection.receiveRequest();
        connection.send(SSE_HEAD);
        for (let i = 0; i < TOTAL; i++) {
          sent++;
          if (!connection.send(chunk(EVENT))) await new Promise((resolve) => connection.socket.once("drain", resolve));
        }
        connection.send(chunk(`data: {"jsonrpc":"2.0","id":${idOf(request)},"result":{}}\n\n`) + chunk(""));
      }),
    );
    const client = await rawSse(use, (await proxyFor(server.url, { plugins: [sseRelay()] })).port);
    client.stream.pause();
    for (const id of [1, 2]) await client.post(call(id));
    let before = -1;
    await expect
      .poll(
        () => {
          const stands = sent === before;
          before = sent;
          return stands;
        },
        { interval: 200, timeout: 5000 },
      )
      .toBe(true);
    expect(sent).toBeLessThan(2 * TOTAL);
    let size = 0;
    client.stream.socket.on("data", (bytes: Buffer) => (size += bytes.length));
    client.stream.resume();
    await expect.poll(() => size, { timeout: 5000 }).toBeGreaterThan(2 * TOTAL * EVENT.length);
    expect(sent).toBe(2 * TOTAL);
  });

  test("more requests under way than one client may have: 429 for the next, until one is answered", async () => {
    const held = gate();
    const server = await scriptedServer(async (id) => {
      if (id === "1") await held.promise;
      return id === "1" || id === "200" ? jsonAnswer(`{"jsonrpc":"2.0","id":${id},"result":{}}`) : "hang";
    });
    const client = await opened((await proxyFor(server.server.url, { plugins: [] })).port);
    for (let id = 1; id <= 128; id++) expect((await client.post(call(id))).status).toBe(202);
    const refused = await client.post(call(129));
    expect([refused.status, refused.headers["retry-after"]]).toEqual([429, "1"]);
    expect((await client.post('{"jsonrpc":"2.0","method":"notifications/x"}')).status).toBe(202);
    held.open();
    await client.message('"id":1,');
    expect((await client.post(call(200))).status).toBe(202);
    await client.message('"id":200');
  });

  test("has headers and comments of its own, and a line in the log when it ends", async () => {
    const seen = outcomes();
    const { port, url } = await proxyFor("http://127.0.0.1:1/mcp", { plugins: [sseRelay({ keepAlive: 40 }), seen] });
    const client = await rawSse(use, port);
    expect(client.stream.response().headers).toMatchObject({
      "content-type": "text/event-stream",
      "cache-control": "no-cache, no-transform",
      "x-accel-buffering": "no",
    });
    await client.stream.receive(/: keep-alive\n\n/);
    await client.stream.close();
    await expect
      .poll(async () => (await (await fetch(`${url}/outcomes`)).json()) as unknown)
      .toMatchObject([{ end: "client-gone", status: 200 }]);
  });
});

test("a server that lost its sessions: the client goes on, and nothing that may have run runs twice", async () => {
  const server = await use(startLegacyServer());
  const proxy = await proxyFor(server.url);
  const { client } = await use(connectSse(`${proxy.url}/sse`));
  const [before] = server.sessions;
  await server.loseSessions();
  expect((await client.listTools()).tools.map(({ name }) => name)).toContain("echo");
  const { content } = await client.callTool({ name: "echo", arguments: { text: "again" } });
  expect(content).toEqual([{ type: "text", text: "again" }]);
  expect(server.sessions).not.toContain(before);
  const initialized = server.requests.filter(({ body }) => (body as { method?: string })?.method === "initialize");
  expect(initialized).toHaveLength(2);
});
