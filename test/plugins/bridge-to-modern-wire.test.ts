/** What a legacy client's messages become at a modern server, and what the server's become, byte for byte (MCP 2026-07-28). */
import { describe, expect, test } from "vitest";
import { gate } from "../_harness/peers.ts";
import { apiKeys, bridge, standard } from "../_harness/plugins.ts";
import { startProxy } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { type Asked, LegacyClient, modernPair, toolCall } from "./bridge-to-modern-fixture.ts";

const use = testScope();
const DONE = '{"resultType":"complete","content":[]}';
const answered = (text: string) => (asked: Asked) => asked.result(text);

describe("initialize", () => {
  test("is answered out of server/discover", async () => {
    const described =
      ',"instructions":"Ask away.","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"new","version":"3","title":"New"}}';
    const capabilities = {
      tools: { listChanged: true },
      logging: {},
      completions: {},
      resources: { subscribe: true },
      tasks: {},
      extensions: { "io.modelcontextprotocol/tasks": {}, "io.modelcontextprotocol/ui": { mimeTypes: ["a/b"] } },
    };
    const { open, seen } = await modernPair(use, () => {}, { described, capabilities });
    const { began, session } = await open({ capabilities: { roots: { listChanged: true }, tasks: {}, sampling: {} } });
    expect(began!.result).toEqual({
      protocolVersion: "2025-11-25",
      capabilities: {
        tools: { listChanged: true },
        logging: {},
        completions: {},
        resources: { subscribe: true },
        extensions: { "io.modelcontextprotocol/ui": { mimeTypes: ["a/b"] } },
      },
      serverInfo: { name: "new", version: "3", title: "New" },
      instructions: "Ask away.",
    });
    expect(session).toMatch(/^[\x21-\x7e]{16,}$/);
    const { request, meta } = await seen("server/discover").then((asked) => ({
      request: asked.request,
      meta: asked.message.params._meta,
    }));
    expect(request.headers).toMatchObject({
      "mcp-protocol-version": "2026-07-28",
      "mcp-method": "server/discover",
      accept: "application/json, text/event-stream",
    });
    expect(meta).toEqual({
      "io.modelcontextprotocol/protocolVersion": "2026-07-28",
      "io.modelcontextprotocol/clientInfo": { name: "old", version: "1" },
      "io.modelcontextprotocol/clientCapabilities": { roots: {}, sampling: {} },
    });
  });

  test.each([
    ["2024-11-05", "2024-11-05"],
    ["2025-03-26", "2025-03-26"],
    ["2025-06-18", "2025-06-18"],
    ["1999-01-01", "2025-11-25"],
  ])("asked for %s, agrees on %s; a server without a name has that of its mount", async (version, agreed) => {
    const { open } = await modernPair(use, () => {});
    const { began } = await open({ version });
    expect(began!.result).toMatchObject({ protocolVersion: agreed, serverInfo: { name: "one" } });
  });

  test("what the server said is kept for as long as it allows", async () => {
    const kept =
      '{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{},"ttlMs":60000,"cacheScope":"public"}';
    const { open, methods } = await modernPair(use, answered(kept), { discovers: true });
    await open();
    await open();
    expect(methods()).toEqual(["server/discover"]);
  });

  test.each([
    ["an error", (asked: Asked) => asked.error(-32601, "404 Not Found"), 502, -32603],
    [
      "another revision",
      (asked: Asked) => asked.error(-32022, "400 Bad Request", ',"data":{"supported":["2031-01-01"]}'),
      502,
      -32603,
    ],
    ["no time", (asked: Asked) => asked.error(-32603, "503 Service Unavailable"), 503, -32603],
  ])("a server that answers with %s: no session", async (_what, serve, status, code) => {
    const { visitor } = await modernPair(use, serve, { discovers: true });
    const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "old", version: "1" } };
    const answer = await visitor().post({ id: 7, method: "initialize", params });
    expect(answer).toMatchObject({ status, message: { id: 7, error: { code } } });
    expect(answer.headers.has("mcp-session-id")).toBe(false);
  });
});

describe("a request", () => {
  test("gets an envelope and mirrors, and loses what is of the session; its digits and unknown members stay", async () => {
    const { open, seen } = await modernPair(use, answered(DONE));
    const client = await open({ capabilities: { elicitation: { form: {}, url: {} } } });
    const args = '{"n":9007199254740993,"f":1.10,"later":{"x":[1e400]}}';
    await client.post(
      `{"jsonrpc":"2.0","id":12345678901234567890,"method":"tools/call","extra":1,"params":{"name":"grüße","arguments":${args},"_meta":{"progressToken":9007199254740995,"com.example/x":1}}}`,
      { "mcp-name": "liar", "mcp-param-tenant": "liar", "last-event-id": "7" },
    );
    const { request, message } = await seen("tools/call");
    expect(request.body).toContain(`"arguments":${args}`);
    expect(request.body).toContain('"id":12345678901234567890');
    expect(request.body).toContain('"progressToken":9007199254740995,"com.example/x":1');
    expect(message.params._meta["io.modelcontextprotocol/clientCapabilities"]).toEqual({
      elicitation: { form: {}, url: {} },
    });
    expect(request.headers).toMatchObject({
      "mcp-protocol-version": "2026-07-28",
      "mcp-method": "tools/call",
      "mcp-name": `=?base64?${Buffer.from("grüße").toString("base64")}?=`,
    });
    for (const name of ["mcp-session-id", "last-event-id", "mcp-param-tenant"])
      expect(request.headers).not.toHaveProperty(name);
  });

  test("cannot pretend to be a retry", async () => {
    const { open, seen } = await modernPair(use, answered(DONE));
    const client = await open();
    await client.post({ id: 1, method: "prompts/get", params: { name: "p", requestState: "s", inputResponses: {} } });
    expect((await seen("prompts/get")).message.params).toEqual({ name: "p", _meta: expect.anything() });
  });

  test.each([
    ["2025-06-18", { elicitation: { form: {}, url: {} } }, { elicitation: { form: {} } }],
    ["2025-03-26", { elicitation: {}, sampling: {} }, { sampling: {} }],
  ])("of %s declares what that revision has", async (version, capabilities, declared) => {
    const { open, seen } = await modernPair(use, answered('{"resultType":"complete","prompts":[]}'));
    const client = await open({ version, capabilities });
    await client.post({ id: 1, method: "prompts/list" });
    expect((await seen("prompts/list")).meta("clientCapabilities")).toEqual(declared);
  });

  test("without a session is served, with no capabilities", async () => {
    const { visitor, seen } = await modernPair(use, answered(DONE));
    const { message } = await visitor().post(toolCall(1, "t"));
    expect(message).toEqual({ jsonrpc: "2.0", id: 1, result: { content: [] } });
    const asked = await seen("tools/call");
    expect(asked.meta("clientCapabilities")).toEqual({});
    expect(asked.meta("clientInfo")).toBeUndefined();
  });

  test.each(["tasks/get", "tasks/list", "server/discover", "subscriptions/listen", "resources/subscribe"])(
    "%s reaches no server: -32601",
    async (method) => {
      const { open, methods } = await modernPair(use, () => {});
      const client = await open();
      const { status, message } = await client.post({ id: 1, method, params: { uri: "a:b" } });
      expect({ status, code: message!.error.code }).toEqual({ status: 200, code: -32601 });
      expect(methods()).toEqual(["server/discover"]);
    },
  );

  test("ping is answered here; what clients tell goes nowhere", async () => {
    const { open, methods } = await modernPair(use, () => {});
    const client = await open();
    expect((await client.post({ id: 1, method: "ping" })).message).toEqual({ jsonrpc: "2.0", id: 1, result: {} });
    for (const method of ["notifications/initialized", "notifications/roots/list_changed", "notifications/cancelled"])
      expect((await client.post({ method })).status).toBe(202);
    expect((await client.post({ id: "nobody-asked", result: {} })).status).toBe(202);
    expect(methods()).toEqual(["server/discover"]);
  });

  test("params that are no object are refused here", async () => {
    const { open } = await modernPair(use, () => {});
    const client = await open();
    const { status, message } = await client.post({ id: 3, method: "prompts/list", params: { _meta: 1 } });
    expect({ status, message }).toMatchObject({ status: 400, message: { id: 3, error: { code: -32600 } } });
  });
});

describe("a session", () => {
  test("that nobody knows, or that was ended, is 404; another revision in the field is 400", async () => {
    const { open, visitor } = await modernPair(use, answered('{"resultType":"complete","prompts":[]}'));
    const stranger = visitor();
    stranger.session = "nobody";
    expect((await stranger.post({ id: 1, method: "ping" })).status).toBe(404);
    const client = await open();
    expect((await client.post({ id: 1, method: "ping" }, { "mcp-protocol-version": "2020-01-01" })).status).toBe(400);
    expect((await client.plain("DELETE")).status).toBe(200);
    expect((await client.post({ id: 1, method: "ping" })).status).toBe(404);
    expect((await client.plain("DELETE")).status).toBe(404);
  });

  test("is of the caller that began it", async () => {
    const plugins = [apiKeys({ keys: { anna: "key-of-anna-0123456789", ben: "key-of-ben-0123456789" } }), bridge()];
    const { visitor } = await modernPair(use, () => {}, { plugins });
    const by = (name: string) => ({ authorization: `Bearer key-of-${name}-0123456789` });
    const client = visitor();
    const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "old", version: "1" } };
    const { headers } = await client.post({ id: 0, method: "initialize", params }, by("anna"));
    client.session = headers.get("mcp-session-id")!;
    expect((await client.post({ id: 1, method: "ping" }, by("ben"))).status).toBe(404);
    expect((await client.post({ id: 1, method: "ping" }, by("anna"))).status).toBe(200);
  });

  test("ends with what is under way", async () => {
    const { open, seen } = await modernPair(use, (asked) => asked.progress(1));
    const client = await open();
    const call = await client.stream(toolCall(1, "t", {}, { progressToken: 1 }));
    const { connection } = await seen("tools/call");
    await client.plain("DELETE").then((answer) => answer.text());
    await connection.closed;
    expect(await call.ended).toBe("well");
  });

  test("remembers a log level, where the server has logs to filter", async () => {
    const serve = answered('{"resultType":"complete","prompts":[]}');
    const { open, asked } = await modernPair(use, serve, { capabilities: { logging: {} } });
    const client = await open();
    const list = async () => {
      await client.post({ id: 1, method: "prompts/list" });
      return asked.entries.at(-1)!.meta("logLevel");
    };
    expect(await list()).toBeUndefined();
    const level = (name: unknown) => client.post({ id: 2, method: "logging/setLevel", params: { level: name } });
    expect((await level("notice")).message).toEqual({ jsonrpc: "2.0", id: 2, result: {} });
    expect(await list()).toBe("notice");
    expect((await level("loud")).message!.error.code).toBe(-32602);
    expect(await list()).toBe("notice");
    const silent = await modernPair(use, serve);
    const other = await silent.open();
    await other.post({ id: 2, method: "logging/setLevel", params: { level: "error" } });
    await other.post({ id: 1, method: "prompts/list" });
    expect(silent.asked.entries.at(-1)!.meta("logLevel")).toBeUndefined();
  });
});

describe("a result", () => {
  test("loses what legacy clients do not know, and keeps every other byte", async () => {
    const rest = '"completion":{"values":["a"],"total":9007199254740993},"_meta":{"x":1.0}';
    const { open } = await modernPair(
      use,
      answered(`{"resultType":"complete",${rest},"ttlMs":5,"cacheScope":"public"}`),
    );
    const client = await open();
    const { text } = await client.post({ id: 1, method: "completion/complete", params: {} });
    expect(text).toBe(`{"jsonrpc":"2.0","id":1,"result":{${rest}}}`);
  });

  test("over several lines becomes one event, where others went before it, and so do those", async () => {
    const { open } = await modernPair(use, (asked) => {
      asked.event(
        '{"jsonrpc":"2.0","method":"notifications/message",\ndata: "params":{"level":"info",\ndata: "data":"x"}}',
      );
      asked.event(`{"jsonrpc":"2.0",\ndata: "id":${asked.idText},\ndata: "result":{"content":[\ndata: ]}}`);
      asked.end();
    });
    const client = await open();
    const { messages } = await client.post(toolCall(1, "t"));
    expect(messages).toEqual([
      { jsonrpc: "2.0", method: "notifications/message", params: { level: "info", data: "x" } },
      { jsonrpc: "2.0", id: 1, result: { content: [] } },
    ]);
  });

  test.each([
    ["[9007199254740993,1]", '{"result":[9007199254740993,1]}', '"[9007199254740993,1]"'],
    ['"text"', '{"result":"text"}', String.raw`"\"text\""`],
    ["null", '{"result":null}', '"null"'],
  ])("structured content %s is wrapped, and said in a text block", async (structured, wrapped, said) => {
    const { open } = await modernPair(
      use,
      answered(`{"resultType":"complete","content":[],"structuredContent":${structured}}`),
    );
    const client = await open();
    const { text } = await client.post(toolCall(1, "t"));
    expect(text).toContain(`"structuredContent":${wrapped}`);
    expect(text).toContain(`"content":[{"type":"text","text":${said}}]`);
  });

  test("structured content that is an object stays as it is; a text block that is there is enough", async () => {
    const results = [
      '{"resultType":"complete","content":[],"structuredContent":{"n":9007199254740993}}',
      '{"resultType":"complete","content":[{"type":"text","text":"x"}],"structuredContent":7}',
    ];
    const { open } = await modernPair(use, (asked) => asked.result(results.shift()!));
    const client = await open();
    expect((await client.post(toolCall(1, "t"))).text).toContain(
      '{"content":[],"structuredContent":{"n":9007199254740993}}',
    );
    expect((await client.post(toolCall(1, "t"))).text).toContain(
      '{"content":[{"type":"text","text":"x"}],"structuredContent":{"result":7}}',
    );
  });

  test("output schemas that are not of objects are wrapped with their references, and so is what fits them", async () => {
    const outputSchema = {
      $schema: "https://json-schema.org/draft/2020-12/schema",
      anyOf: [{ $ref: "#/$defs/a" }, { type: "array", items: { $ref: "#" } }],
      $defs: { a: { type: "object", properties: { $ref: { type: "string" } } }, own: { $id: "x:y", $ref: "#/z" } },
      default: { $ref: "#/$defs/a" },
    };
    const plain = { name: "plain", inputSchema: { type: "object" }, outputSchema: { type: "object" } };
    const tools = [{ name: "any", inputSchema: { type: "object" }, outputSchema }, plain];
    const { open } = await modernPair(use, answered('{"content":[],"structuredContent":{"a":1}}'), { tools });
    const client = await open();
    expect((await client.post(toolCall(1, "any"))).message!.result.structuredContent).toEqual({ result: { a: 1 } });
    expect((await client.post(toolCall(1, "plain"))).message!.result.structuredContent).toEqual({ a: 1 });
    const { result } = (await client.post({ id: 1, method: "tools/list" })).message!;
    expect(result).toEqual({
      tools: [
        {
          name: "any",
          inputSchema: { type: "object" },
          outputSchema: {
            $schema: outputSchema.$schema,
            type: "object",
            required: ["result"],
            properties: {
              result: {
                anyOf: [
                  { $ref: "#/properties/result/$defs/a" },
                  { type: "array", items: { $ref: "#/properties/result" } },
                ],
                $defs: outputSchema.$defs,
                default: outputSchema.default,
              },
            },
          },
        },
        plain,
      ],
    });
  });

  test.each(["task", "partial"])("of type %s is no result: -32603", async (type) => {
    const { open } = await modernPair(use, answered(`{"resultType":"${type}"}`));
    const client = await open();
    expect((await client.post(toolCall(1, "t"))).message!.error.code).toBe(-32603);
  });
});

describe("an error", () => {
  test.each([
    ["-32601 with 404", -32601, "404 Not Found", "", { status: 200, code: -32601 }],
    ["-32602 of a handler", -32602, "200 OK", ',"data":{"uri":"a:b"}', { status: 200, code: -32602 }],
    ["-32602 of the envelope", -32602, "400 Bad Request", "", { status: 200, code: -32603 }],
    ["-32020", -32020, "400 Bad Request", "", { status: 200, code: -32603 }],
    [
      "-32021",
      -32021,
      "400 Bad Request",
      ',"data":{"requiredCapabilities":{"sampling":{}}}',
      { status: 200, code: -32603 },
    ],
    ["-32022", -32022, "400 Bad Request", ',"data":{"supported":["2031-01-01"]}', { status: 200, code: -32603 }],
    ["one of the server's own", -31999, "200 OK", "", { status: 200, code: -31999 }],
    ["503", -32603, "503 Service Unavailable", "", { status: 503, code: -32603 }],
  ])("%s", async (_what, code, status, more, expected) => {
    const { open } = await modernPair(use, (asked) => asked.error(code, status, more));
    const client = await open();
    const { status: got, message } = await client.post({ id: 5, method: "prompts/get", params: { name: "p" } });
    expect({ status: got, code: message!.error.code }).toEqual(expected);
    expect(message!.id).toBe(5);
  });

  test("-32021 of a tool is a result that the model can read", async () => {
    const { open } = await modernPair(use, (asked) =>
      asked.error(-32021, "400 Bad Request", ',"data":{"requiredCapabilities":{"sampling":{}}}'),
    );
    const client = await open();
    const { message } = await client.post(toolCall(1, "t"));
    expect(message!.result).toMatchObject({ isError: true, content: [{ text: expect.stringContaining("sampling") }] });
  });

  test.each([
    [
      "an HTML page",
      (asked: Asked) =>
        asked.connection.send("HTTP/1.1 404 Not Found\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nno"),
      502,
    ],
    ["nothing", (asked: Asked) => asked.connection.send("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n"), 502],
    ["the end of the connection", (asked: Asked) => asked.connection.reset(), 502],
  ])("%s in place of a response: never 404", async (_what, serve, status) => {
    const { open } = await modernPair(use, serve);
    const client = await open();
    const answer = await client.post({ id: 5, method: "prompts/get", params: { name: "p" } });
    expect(answer).toMatchObject({ status, message: { id: 5, error: { code: -32603 } } });
  });

  test.each([
    ["ends", (asked: Asked) => asked.end()],
    ["breaks", (asked: Asked) => asked.connection.reset()],
  ])("a stream that %s without its response: -32603 on the stream", async (_what, over) => {
    const { open } = await modernPair(use, (asked) => {
      asked.progress(1);
      over(asked);
    });
    const client = await open();
    const call = await client.stream(toolCall(4, "t", {}, { progressToken: 1 }));
    expect(await call.ended).toBe("well");
    expect(call.messages.at(-1)).toMatchObject({ id: 4, error: { code: -32603 } });
  });
});

describe("a server that wants to know the caller", () => {
  const CHALLENGE = 'www-authenticate: Bearer realm="x"\r\n';

  test.each(["initialize", "prompts/list"])("of %s says so to the client, with its challenge", async (method) => {
    const serve = (asked: Asked) =>
      asked.request.headers.authorization === "Bearer good"
        ? asked.result('{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{},"prompts":[]}')
        : asked.json('"error":{"code":-31401,"message":"no"}', "401 Unauthorized", CHALLENGE);
    const { visitor } = await modernPair(use, serve, { discovers: true, server: { auth: "passthrough" } });
    const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "old", version: "1" } };
    const client = visitor();
    const refused = await client.post({ id: 1, method, params });
    expect(refused.status).toBe(401);
    expect(refused.headers.get("www-authenticate")).toBe('Bearer realm="x"');
    expect((await client.post({ id: 2, method, params }, { authorization: "Bearer good" })).status).toBe(200);
  });
});

describe("a client", () => {
  test("that cancels ends the request at the server, and its own stream", async () => {
    const { open, seen } = await modernPair(use, (asked) => asked.progress(1));
    const client = await open();
    const call = await client.stream(toolCall("a", "t", {}, { progressToken: 1 }));
    await call.heard("notifications/progress");
    await client.post({ method: "notifications/cancelled", params: { requestId: "a" } });
    await (
      await seen("tools/call")
    ).connection.closed;
    expect(await call.ended).toBe("well");
    expect(call.messages).toHaveLength(1);
  });

  test("that leaves ends nothing: the request runs to its end", async () => {
    const ended = gate();
    const { open, seen, methods } = await modernPair(use, async (asked) => {
      if (asked.message.method !== "tools/call") return asked.result('{"prompts":[]}');
      asked.progress(1);
      await ended.promise;
      asked.respond('"result":{"content":[]}');
    });
    const client = await open();
    const call = await client.stream(toolCall(1, "t", {}, { progressToken: 1 }));
    await call.heard("notifications/progress");
    call.leave();
    await client.post({ id: 2, method: "prompts/list" });
    const { connection } = await seen("tools/call");
    expect(connection.socket.destroyed).toBe(false);
    ended.open();
    // Its connection is used again: nothing has cut it.
    await client.post({ id: 3, method: "prompts/list" });
    expect(connection.socket.destroyed).toBe(false);
    expect(methods().filter((method) => method === "tools/call")).toHaveLength(1);
  });

  test("sees progress that increases", async () => {
    const { open } = await modernPair(use, (asked) => {
      for (const progress of [1, 3, 2, 3, 4]) asked.progress(progress);
      asked.respond('"result":{"content":[]}');
    });
    const client = await open();
    const { messages } = await client.post(toolCall(1, "t", {}, { progressToken: "p" }));
    expect(messages.map(({ params }) => params?.progress)).toEqual([1, 3, 4, undefined]);
  });
});

test.for([
  ["that names its revisions", -32022, ',"data":{"supported":["2025-11-25"]}'],
  ["that knows nothing of other revisions", -32000, ""],
] as const)("a server %s goes back: one call fails, and soon nothing is translated", async ([, code, data]) => {
  let isModern = true;
  const INITIALIZED = '{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"old","version":"1"}}';
  const serve = (asked: Asked) => {
    const { method } = asked.message;
    if (isModern && method === "initialize")
      return asked.error(-32022, "400 Bad Request", ',"data":{"supported":["2026-07-28"]}');
    if (isModern && method === "server/discover")
      return asked.result(
        '{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{},"ttlMs":0,"cacheScope":"private"}',
      );
    if (isModern) return asked.result('{"resultType":"complete","prompts":[]}');
    if (asked.meta("protocolVersion") !== undefined) return asked.error(code, "400 Bad Request", data);
    if (method === "initialize") return asked.json(`"result":${INITIALIZED}`, "200 OK", "mcp-session-id: own\r\n");
    if (asked.message.id === undefined)
      return void asked.connection.send("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n");
    if (asked.request.headers["mcp-session-id"] !== "own") return asked.error(-32001, "404 Not Found");
    asked.result('{"prompts":[{"name":"old"}]}');
  };
  const { open } = await modernPair(use, serve, { discovers: true, plugins: standard(), server: { era: "auto" } });
  const client = await open();
  const list = async () => (await client.post({ id: 1, method: "prompts/list" })).message;
  expect((await list())!.result).toEqual({ prompts: [] });
  isModern = false;
  expect((await list())!.error).toBeDefined();
  await expect.poll(async () => (await list())!.result).toEqual({ prompts: [{ name: "old" }] });
});

test("a restart of the proxy ends no session, where the plugin `sessions` keeps them", async () => {
  const { server, asked } = await modernPair(use, answered('{"resultType":"complete","prompts":[]}'));
  const start = () => {
    const one = { url: `${server.url}/mcp`, path: "/mcp", era: "modern" as const };
    return use(
      startProxy({ servers: { one }, plugins: standard(), secret: "the-secret-of-two-proxies-one-after-the-other" }),
    );
  };
  const client = await LegacyClient.open(use, `${(await start()).url}/mcp`, { capabilities: { sampling: {} } });
  const again = new LegacyClient(`${(await start()).url}/mcp`);
  again.session = client.session;
  again.version = client.version;
  const reply = await again.post({ id: 1, method: "prompts/list" });
  expect(reply).toMatchObject({ status: 200, message: { result: { prompts: [] } } });
  expect(asked.entries.at(-1)!.meta("clientCapabilities")).toEqual({ sampling: {} });
});
