/** Founding case 4: what a server asks of a client that cannot do it is answered, never dropped. */
import { describe, expect, it } from "vitest";
import { type LogText, type PluginOption, createPenstock } from "mcp-penstock";
import { unsupported } from "mcp-penstock/plugins/unsupported";
import { connectV1 } from "../_harness/clients.ts";
import { rawClient, rawServer } from "../_harness/peers.ts";
import { closeable } from "../_harness/loopback.ts";
import { testScope } from "../_harness/scope.ts";
import { scripted } from "../_harness/scripted.ts";
import { startLegacyServer } from "../_harness/servers.ts";

const use = testScope();

async function proxy(upstream: string, plugins: PluginOption = unsupported()) {
  const log: string[] = [];
  const at = (level: string) => (text: LogText) =>
    void log.push(`${level} ${typeof text === "function" ? text() : text}`);
  const logger = { debug() {}, info: at("info"), warn: at("warn"), error: at("error") };
  const penstock = createPenstock(
    { servers: { docs: { url: new URL("/mcp?key=s3cr3t", upstream).href, path: "/docs/mcp" } }, plugins },
    { logger },
  );
  const server = await penstock.serve({ port: 0 });
  return closeable({ url: `${server.url}/docs/mcp`, port: server.port, log, close: () => server.close() });
}

const textOf = (result: unknown) => (result as { content: { text: string }[] }).content[0]!.text;

it.each([
  ["ask", "sampling/createMessage", "sampling"],
  ["elicit", "elicitation/create", "elicitation"],
  ["roots", "roots/list", "roots"],
])("answers %s of a client that did not declare it with -32601, and says so once", async (tool, method, section) => {
  const server = await use(startLegacyServer());
  const front = await use(proxy(server.url));
  const { client } = await use(connectV1(front.url));
  const { error } = JSON.parse(
    textOf(await client.callTool({ name: tool, arguments: { text: "my secret prompt", force: true } })),
  ) as { error: { code: number; message: string } };
  expect(error.code).toBe(-32601);
  expect(error.message).toContain("Penstock");
  expect(error.message).toContain(method);
  expect(error.message).toContain("'docs'");
  expect(error.message).toContain(`#${section}`);
  expect(front.log).toEqual([
    `warn docs (${new URL("/mcp", server.url).href}) asked for ${method}, which its client did not declare; answered -32601`,
  ]);
});

it("relays to a client that declared it, and its answer back", async () => {
  const server = await use(startLegacyServer());
  const front = await use(proxy(server.url));
  const { client } = await use(
    connectV1(front.url, {
      capabilities: { sampling: {}, elicitation: {}, roots: {} },
      handlers: {
        "sampling/createMessage": () => ({
          role: "assistant",
          model: "m",
          content: { type: "text", text: "forty-two" },
        }),
        "elicitation/create": () => ({ action: "decline" }),
        "roots/list": () => ({ roots: [{ uri: "file:///a" }] }),
      },
    }),
  );
  expect(textOf(await client.callTool({ name: "ask", arguments: {} }))).toContain("forty-two");
  expect(textOf(await client.callTool({ name: "elicit", arguments: {} }))).toContain("decline");
  expect(textOf(await client.callTool({ name: "roots", arguments: {} }))).toContain("file:///a");
  expect(front.log).toEqual([]);
});

it("sends the server exactly the capabilities that the client declared", async () => {
  const server = await use(startLegacyServer());
  const front = await use(proxy(server.url));
  const capabilities = { roots: { listChanged: true }, experimental: { x: { y: 1 } } };
  await use(connectV1(front.url, { capabilities, handlers: { "roots/list": () => ({ roots: [] }) } }));
  const { body } = await server.request(({ body }) => (body as { method?: string })?.method === "initialize");
  expect((body as { params: { capabilities: unknown } }).params.capabilities).toEqual(capabilities);
});

/** A server at byte level: opens a session, then asks `question` on the GET stream and records what is posted. */
async function asking(question: object) {
  return rawServer(async (connection) => {
    for await (const request of connection.requests()) {
      const message = request.body ? (JSON.parse(request.body) as { method?: string }) : {};
      if (request.method === "GET") {
        connection.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n");
        connection.send(
          `data: ${JSON.stringify(question)}\n\ndata: {"jsonrpc":"2.0","method":"notifications/tools/list_changed"}\n\n`,
        );
      } else if (message.method === "initialize") {
        const body =
          '{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"s","version":"1"}}}';
        connection.send(
          `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nMcp-Session-Id: session-1\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
        );
      } else connection.send("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
    }
  });
}

const post = (body: string, session = "") =>
  `POST /docs/mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${session}Content-Length: ${body.length}\r\n\r\n${body}`;
const initialize = (capabilities: object) =>
  JSON.stringify({
    jsonrpc: "2.0",
    id: 1,
    method: "initialize",
    params: { protocolVersion: "2025-11-25", capabilities, clientInfo: { name: "c", version: "1" } },
  });
const listen =
  "GET /docs/mcp HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nMcp-Session-Id: session-1\r\n\r\n";

async function streamOf(question: object, capabilities?: object) {
  const server = await use(asking(question));
  const front = await use(proxy(server.url));
  if (capabilities) {
    const opener = await use(rawClient(front.port));
    opener.send(post(initialize(capabilities)));
    await opener.receiveResponse();
  }
  const listener = await use(rawClient(front.port));
  listener.send(listen);
  const seen = await listener.receive(/list_changed/);
  return { seen, server };
}

it("answers on the stream that only listens too: the reply goes up as a POST of that session", async () => {
  const { seen, server } = await streamOf({ jsonrpc: "2.0", id: 7, method: "sampling/createMessage", params: {} }, {});
  expect(seen).not.toContain("sampling");
  const received = async () =>
    (await Promise.all(server.connections.map((_, i) => server.connection(i)))).map((peer) => peer.received);
  await expect.poll(async () => (await received()).join("")).toMatch(/"error":\{"code":-32601/);
  const reply = (await received()).find((text) => text.includes("-32601"))!;
  expect(reply).toMatch(/mcp-session-id: session-1/i);
});

it.each([
  ["an unknown request", { jsonrpc: "2.0", id: 1, method: "future/ask" }, {}, false],
  ["a ping", { jsonrpc: "2.0", id: 1, method: "ping" }, {}, true],
  [
    "a form of a client with forms",
    { jsonrpc: "2.0", id: 1, method: "elicitation/create", params: {} },
    { elicitation: {} },
    true,
  ],
  [
    "a URL for a client with forms only",
    { jsonrpc: "2.0", id: 1, method: "elicitation/create", params: { mode: "url" } },
    { elicitation: {} },
    false,
  ],
  [
    "a URL for a client with URLs",
    { jsonrpc: "2.0", id: 1, method: "elicitation/create", params: { mode: "url" } },
    { elicitation: { url: {} } },
    true,
  ],
  [
    "a form for a client with URLs only",
    { jsonrpc: "2.0", id: 1, method: "elicitation/create", params: {} },
    { elicitation: { url: {} } },
    false,
  ],
  [
    "tools in sampling without them",
    { jsonrpc: "2.0", id: 1, method: "sampling/createMessage", params: { tools: [] } },
    { sampling: {} },
    false,
  ],
  ["a task of a client with tasks", { jsonrpc: "2.0", id: 1, method: "tasks/get", params: {} }, { tasks: {} }, true],
])("decides about %s by what was declared", async (_case, question, capabilities, relayed) => {
  const { seen } = await streamOf(question, capabilities);
  expect(seen.includes(question.method)).toBe(relayed);
});

it("relays where it has not seen the declaration: the server has", async () => {
  const { seen } = await streamOf({ jsonrpc: "2.0", id: 1, method: "sampling/createMessage", params: {} });
  expect(seen).toContain("sampling/createMessage");
});

it("removed, leaves the answer to the client, and nothing is logged", async () => {
  const server = await use(startLegacyServer());
  const front = await use(proxy(server.url, []));
  const { client } = await use(connectV1(front.url));
  const { error } = JSON.parse(textOf(await client.callTool({ name: "ask", arguments: {} }))) as {
    error: { code: number; message: string };
  };
  expect(error).toEqual({ code: -32601, message: expect.not.stringContaining("Penstock") as string });
  expect(front.log).toEqual([]);
});

describe("a modern server asks in its results", () => {
  const envelope = (capabilities: object) => ({
    _meta: {
      "io.modelcontextprotocol/protocolVersion": "2026-07-28",
      "io.modelcontextprotocol/clientCapabilities": capabilities,
    },
  });
  const FORM = { method: "elicitation/create", params: { mode: "form", message: "?", requestedSchema: {} } };
  const PAGE = { method: "elicitation/create", params: { mode: "url", message: "?", url: "https://example.com" } };
  const MODEL = { method: "sampling/createMessage", params: { messages: [], maxTokens: 1, tools: [] } };
  const questions = (inputRequests: object) =>
    JSON.stringify({
      jsonrpc: "2.0",
      id: 4,
      result: { resultType: "input_required", inputRequests, requestState: "s" },
    });

  async function ask(answer: string, type: string, capabilities: object, method = "tools/call") {
    const made = await scripted(
      () => `HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\ncontent-length: ${Buffer.byteLength(answer)}\r\n\r\n${answer}`,
    );
    await use(made.server);
    const front = await use(proxy(made.server.url));
    const response = await fetch(front.url, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": method,
        "mcp-name": "t",
      },
      body: JSON.stringify({
        jsonrpc: "2.0",
        id: 4,
        method,
        params: { name: "t", uri: "t", ...envelope(capabilities) },
      }),
    });
    return { status: response.status, text: await response.text(), log: front.log };
  }

  it.each([
    ["a form, of a client that has none", { a: FORM }, {}, { elicitation: { form: {} } }],
    ["a page, of a client that has forms", { a: FORM, b: PAGE }, { elicitation: {} }, { elicitation: { url: {} } }],
    [
      "a model with tools and roots",
      { a: MODEL, b: { method: "roots/list" } },
      { sampling: {} },
      { sampling: { tools: {} }, roots: {} },
    ],
  ])("%s: -32021 says what it would have needed", async (_, asked, capabilities, requiredCapabilities) => {
    const json = await ask(questions(asked), "application/json", capabilities);
    expect(json.status).toBe(400);
    expect(JSON.parse(json.text)).toMatchObject({ id: 4, error: { code: -32021, data: { requiredCapabilities } } });
    expect(json.log).toEqual([
      expect.stringMatching(/asked for .*, which its client did not declare; answered -32021/),
    ]);
    const stream = await ask(`data: ${questions(asked)}\n\n`, "text/event-stream", capabilities);
    expect(stream.status).toBe(200);
    expect(JSON.parse(stream.text.slice(stream.text.indexOf("{")))).toMatchObject({
      id: 4,
      error: { code: -32021, data: { requiredCapabilities } },
    });
  });

  it.each(["application/json", "text/event-stream"])(
    "what the client declared passes byte for byte: %s",
    async (type) => {
      const json = `{"jsonrpc":"2.0", "id":4,"result":{"resultType":"input_required","inputRequests":{"a":${JSON.stringify(FORM)}},"big":12345678901234567890}}`;
      const answer = type === "application/json" ? json : `: hi\ndata: ${json}\n\n`;
      const { status, text, log } = await ask(answer, type, { elicitation: { form: {} } });
      expect([status, text, log]).toEqual([200, answer, []]);
    },
  );

  it("ordinary results are not parsed: even what is no JSON passes", async () => {
    for (const type of ["application/json", "text/event-stream"]) {
      const answer = `${type === "application/json" ? "" : "data: "}{"jsonrpc":"2.0","id":4,"result":{"a":}}\n\n`;
      expect((await ask(answer, type, {})).text).toBe(answer);
    }
  });
});
