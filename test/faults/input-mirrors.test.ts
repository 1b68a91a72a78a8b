/** Header fields that mirror the body: what a plugin decides about is what the server reads. */
import { describe, expect, test } from "vitest";
import { encodeMirror } from "../../core/mirrors.ts";
import { rawClient, rawServer } from "../_harness/peers.ts";
import { bridge, onMessage, standard } from "../_harness/plugins.ts";
import { testScope } from "../_harness/scope.ts";
import { call, front, jsonAnswer, post } from "../_harness/wire.ts";

const use = testScope();
/** Looks at everything that is posted, and changes nothing. */
const look = () => [onMessage("up", "request", "pass"), onMessage("up", "notification", "pass")];

async function send(body: string, headers: string, plugins: unknown = look()) {
  const heads: string[] = [];
  const server = await use(
    rawServer(async (connection) => {
      for await (const request of connection.requests()) {
        heads.push(request.rawHeaders.map(([name, value]) => `${name.toLowerCase()}: ${value}`).join("\n"));
        connection.send(jsonAnswer('{"jsonrpc":"2.0","id":1,"result":{}}'));
      }
    }),
  );
  const { port } = await use(front(server.url, plugins));
  const client = await use(rawClient(port));
  client.send(post(body, "/mcp", `content-type: application/json\r\n${headers}`));
  const { status, body: text } = await client.receiveResponse({ method: "POST" });
  return {
    status,
    heads,
    error: text && status !== 200 && text.startsWith("{") ? (JSON.parse(text) as { error: object }).error : undefined,
  };
}

const META =
  '"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}';
const modern = (method: string, params = "") => call(1, method, `{${params}${params && ","}${META}}`);
const VERSION = "MCP-Protocol-Version: 2026-07-28\r\n";
const METHOD = "Mcp-Method: tools/call\r\n";
const ECHO = modern("tools/call", '"name":"echo"');
const HEADS = VERSION + METHOD;

describe("IN-06 with a plugin that looks, modern", () => {
  test.each([
    ["all three", ECHO, `${HEADS}Mcp-Name: echo\r\n`],
    [
      "white space around a value",
      ECHO,
      "MCP-Protocol-Version: \t2026-07-28 \r\nMcp-Method:  tools/call\t\r\nMcp-Name: \t echo \r\n",
    ],
    ["an encoded name", ECHO, `${HEADS}Mcp-Name: =?base64?ZWNobw==?=\r\n`],
    [
      "a name that must be encoded",
      modern("tools/call", '"name":"größe"'),
      `${HEADS}Mcp-Name: ${encodeMirror("größe")}\r\n`,
    ],
    ["a name that only looks encoded", modern("tools/call", '"name":"=?base64?x"'), `${HEADS}Mcp-Name: =?base64?x\r\n`],
    ["an unknown parameter", ECHO, `${HEADS}Mcp-Name: echo\r\nMcp-Param-Region: eu-1\r\n`],
    ["a method without a name", modern("tools/list"), `${VERSION}Mcp-Method: tools/list\r\n`],
    ["a prompt", modern("prompts/get", '"name":"p"'), `${VERSION}Mcp-Method: prompts/get\r\nMcp-Name: p\r\n`],
    [
      "a resource",
      modern("resources/read", '"uri":"a://b"'),
      `${VERSION}Mcp-Method: resources/read\r\nMcp-Name: a://b\r\n`,
    ],
    ["a task", modern("tasks/cancel", '"taskId":"t"'), `${VERSION}Mcp-Method: tasks/cancel\r\nMcp-Name: t\r\n`],
    ["a notification without mirrors", '{"jsonrpc":"2.0","method":"notifications/cancelled"}', VERSION],
  ])("%s passes", async (_what, body, headers) => {
    expect(await send(body, headers)).toMatchObject({ status: 200, error: undefined });
  });

  test.each([
    ["no version", ECHO, `${METHOD}Mcp-Name: echo\r\n`, -32020],
    ["no method", ECHO, `${VERSION}Mcp-Name: echo\r\n`, -32020],
    ["no name", ECHO, HEADS, -32020],
    ["no uri", modern("resources/read", '"uri":"a://b"'), `${VERSION}Mcp-Method: resources/read\r\n`, -32020],
    ["no task", modern("tasks/get", '"taskId":"t"'), `${VERSION}Mcp-Method: tasks/get\r\n`, -32020],
    ["another version", ECHO, `MCP-Protocol-Version: 2027-01-01\r\n${METHOD}Mcp-Name: echo\r\n`, -32020],
    ["an old version", ECHO, `MCP-Protocol-Version: 2025-11-25\r\n${METHOD}Mcp-Name: echo\r\n`, -32020],
    ["another method", ECHO, `${VERSION}Mcp-Method: tools/list\r\nMcp-Name: echo\r\n`, -32020],
    ["a method in capitals", ECHO, `${VERSION}Mcp-Method: TOOLS/CALL\r\nMcp-Name: echo\r\n`, -32020],
    ["another name", ECHO, `${HEADS}Mcp-Name: rm\r\n`, -32020],
    ["another name, encoded", ECHO, `${HEADS}Mcp-Name: =?base64?cm0=?=\r\n`, -32020],
    ["a name for a call that has none", modern("tools/call"), `${HEADS}Mcp-Name: echo\r\n`, -32020],
    ["base64 with a stray sign", ECHO, `${HEADS}Mcp-Name: =?base64?ZWNo bw==?=\r\n`, -32020],
    ["base64 without its padding", ECHO, `${HEADS}Mcp-Name: =?base64?ZWNobw?=\r\n`, -32020],
    ["base64 of no UTF-8", ECHO, `${HEADS}Mcp-Name: =?base64?/w==?=\r\n`, -32020],
    ["a character beyond ASCII", modern("tools/call", '"name":"é"'), `${HEADS}Mcp-Name: é\r\n`, -32020],
    ["base64 in another spelling", ECHO, `${HEADS}Mcp-Name: =?BASE64?ZWNobw==?=\r\n`, -32020],
    [
      "base64 for a URL",
      modern("tools/call", '"name":"\u00ff\u00ff"'),
      `${HEADS}Mcp-Name: =?base64?w7_Dvw==?=\r\n`,
      -32020,
    ],
    ["base64 with bits left over", ECHO, `${HEADS}Mcp-Name: =?base64?ZWNobx==?=\r\n`, -32020],
    ["base64 of a byte order mark", ECHO, `${HEADS}Mcp-Name: =?base64?77u/ZWNobw==?=\r\n`, -32020],
    ["an encoded method", ECHO, `${VERSION}Mcp-Method: =?base64?dG9vbHMvbGlzdA==?=\r\nMcp-Name: echo\r\n`, -32020],
    ["a field twice", ECHO, `${HEADS}Mcp-Name: echo\r\nmcp-name: echo\r\n`, -32020],
    ["a version twice", ECHO, `${VERSION}${HEADS}Mcp-Name: echo\r\n`, -32020],
    ["a parameter twice", ECHO, `${HEADS}Mcp-Name: echo\r\nMcp-Param-A: 1\r\nmcp-param-a: 1\r\n`, -32020],
    ["a parameter that is not base64", ECHO, `${HEADS}Mcp-Name: echo\r\nMcp-Param-A: =?base64?*?=\r\n`, -32020],
    [
      "a modern header without an envelope",
      call(1, "tools/call", '{"name":"echo"}'),
      `${HEADS}Mcp-Name: echo\r\n`,
      -32602,
    ],
    ["initialize under a modern header", call(1, "initialize", '{"protocolVersion":"2025-11-25"}'), VERSION, -32020],
    [
      "an envelope without capabilities",
      call(1, "tools/list", '{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}'),
      VERSION,
      -32602,
    ],
    [
      "a notification with another method",
      '{"jsonrpc":"2.0","method":"notifications/x"}',
      `${VERSION}Mcp-Method: notifications/y\r\n`,
      -32020,
    ],
  ])("%s is refused with 400 before any hook", async (_what, body, headers, code) => {
    // A hook that was asked would have answered 200.
    const reply = onMessage("up", "request", { reply: { result: {} } });
    const { status, error, heads } = await send(body, headers, [reply, onMessage("up", "notification", "drop")]);
    expect({ status, error, heads }).toMatchObject({ status: 400, error: { code }, heads: [] });
  });

  test("an unknown parameter reaches the server as it came", async () => {
    const { heads } = await send(
      ECHO,
      `${HEADS}Mcp-Name: echo\r\nMcp-Param-Region: =?base64?w6k=?=\r\nMcp-Param-N: 07\r\n`,
    );
    expect(heads[0]).toContain("mcp-param-region: =?base64?w6k=?=\nmcp-param-n: 07");
  });

  test.each([
    ["CR", "ec\rho"],
    ["LF", "ec\nho"],
    ["CR at its end", "echo\r"],
    ["NUL", "ec\0ho"],
    ["a line of its own", "ec\r\n ho"],
  ])("%s in a value never gets past the front", async (_what, name) => {
    for (const field of ["Mcp-Name", "Mcp-Method", "MCP-Protocol-Version", "Mcp-Param-Region"]) {
      const headers = `${HEADS}Mcp-Name: echo\r\n`.replace(new RegExp(`^${field}:.*\r\n`, "m"), "");
      const { status, heads } = await send(ECHO, `${headers}${field}: ${name}\r\n`);
      expect({ status, heads }).toEqual({ status: 400, heads: [] });
    }
  });
});

describe("IN-06 legacy requests need no mirrors, but those that are there must be true", () => {
  const legacy = call(1, "tools/call", '{"name":"echo"}');
  test.each([
    ["none", legacy, "", 200],
    ["true ones", legacy, "Mcp-Method: tools/call\r\nMcp-Name: echo\r\nMCP-Protocol-Version: 2025-11-25\r\n", 200],
    ["another name", legacy, "Mcp-Name: rm\r\n", 400],
    ["another method", legacy, "Mcp-Method: tools/list\r\n", 400],
  ])("%s", async (_what, body, headers, status) => {
    expect((await send(body, headers)).status).toBe(status);
  });
});

test("IN-06 without a plugin that looks, all of it is the server's affair", async () => {
  const idle = onMessage("up", "request", "pass", { method: "prompts/get" });
  for (const plugins of [[], [idle]])
    expect((await send(ECHO, "Mcp-Method: x\r\nMcp-Name: y\r\n", plugins)).status).toBe(200);
});

describe("IN-06 a hook that changes the message", () => {
  const envelope = (JSON.parse(`{${META}}`) as { _meta: object })._meta;
  const rename = (name: string, method = "tools/call") =>
    onMessage("up", "request", { change: { method, params: { name, _meta: envelope } } });

  test.each([
    ["another name", "add", "add"],
    ["one that must be encoded", "größe", "=?base64?Z3LDtsOfZQ==?="],
    ["one that looks encoded", "=?base64?eA==?=", "=?base64?PT9iYXNlNjQ/ZUE9PT89?="],
    ["one with a blank at its end", "a ", "=?base64?YSA=?="],
  ])("changes the mirror: %s", async (_what, name, mirror) => {
    const { heads } = await send(ECHO, `${HEADS}Mcp-Name: echo\r\n`, [rename(name)]);
    expect(heads[0]!.match(/^mcp-(?:name|method).*$/gm)).toEqual(["mcp-method: tools/call", `mcp-name: ${mirror}`]);
  });

  test("changes the method's mirror, and drops a name that nothing mirrors any more", async () => {
    const { heads } = await send(ECHO, `${HEADS}Mcp-Name: echo\r\n`, [rename("echo", "tools/list")]);
    expect(heads[0]!.match(/^mcp-(?:name|method).*$/gm)).toEqual(["mcp-method: tools/list"]);
  });

  test("adds no mirrors to a legacy request", async () => {
    const { heads } = await send(call(1, "tools/call", '{"name":"echo"}'), "", [rename("add")]);
    expect(heads[0]).not.toMatch(/^mcp-/m);
  });
});

describe("IN-06 mirrors that the bridge makes for a legacy client", () => {
  const header = (name: string, type: string) => ({ type, "x-mcp-header": name });
  const properties = {
    text: header("Text", "string"),
    count: header("Count", "integer"),
    dry: header("Dry", "boolean"),
  };
  const base64 = (text: string) => `=?base64?${Buffer.from(text).toString("base64")}?=`;

  /** @returns the mirrors that the server was sent, or `undefined` where it was sent nothing */
  async function mirrorsAt(body: string, headers = "", plugins: unknown = [bridge()]) {
    const heads: Record<string, string>[] = [];
    const { method, params } = JSON.parse(body) as { method: string; params: { name?: string } };
    const cached = { resultType: "complete", ttlMs: 0, cacheScope: "private" };
    const tools = [{ name: params.name ?? "none", inputSchema: { type: "object", properties } }];
    const server = await use(
      rawServer(
        async (connection) => {
          for await (const request of connection.requests()) {
            const { id, method: asked } = JSON.parse(request.body) as { id: unknown; method: string };
            const mirrors = request.rawHeaders
              .map(([name, value]) => [name.toLowerCase(), value] as const)
              .filter(([name]) => /^mcp-(?:method|name|param-)/.test(name));
            if (asked === method) heads.push(Object.fromEntries(mirrors));
            const result =
              asked === "tools/list" ? { ...cached, tools } : { ...cached, content: [], contents: [], messages: [] };
            connection.send(jsonAnswer(JSON.stringify({ jsonrpc: "2.0", id, result })));
          }
        },
        { handshakes: true },
      ),
    );
    const { port } = await use(front(server.url, plugins, { era: "modern" }));
    const client = await use(rawClient(port));
    client.send(post(body, "/mcp", `content-type: application/json\r\n${headers}`));
    const { status } = await client.receiveResponse({ method: "POST" });
    expect([status, heads.length]).toEqual([200, 1]);
    return heads[0];
  }

  test.each([
    ["echo", "echo"],
    ["größe", base64("größe")],
    [" a", base64(" a")],
    ["=?base64?eA==?=", base64("=?base64?eA==?=")],
    ["a\r\nmcp-param-text: x", base64("a\r\nmcp-param-text: x")],
  ])("the name of a tool: %j", async (name, mirror) => {
    const body = call(1, "tools/call", JSON.stringify({ name, arguments: {} }));
    expect(await mirrorsAt(body)).toEqual({ "mcp-method": "tools/call", "mcp-name": mirror });
  });

  test.each([
    ["resources/read", { uri: "file:///größe" }, base64("file:///größe")],
    ["resources/read", { uri: "file:///a b" }, "file:///a b"],
    ["prompts/get", { name: "日本" }, base64("日本")],
  ])("%s %j", async (method, params, mirror) => {
    const mirrors = await mirrorsAt(call(1, method, JSON.stringify(params)));
    expect(mirrors).toEqual({ "mcp-method": method, "mcp-name": mirror });
  });

  test.each([
    ['{"text":"eu","count":42,"dry":false}', { text: "eu", count: "42", dry: "false" }],
    ['{"text":null,"count":9007199254740993}', { count: "9007199254740993" }],
    ['{"text":"größe"}', { text: base64("größe") }],
    [String.raw`{"text":"a\r\nhost: b"}`, { text: base64("a\r\nhost: b") }],
    [String.raw`{"text":"a\rb"}`, { text: base64("a\rb") }],
    ["{}", {}],
  ])("arguments: %s", async (args, expected) => {
    const {
      "mcp-method": _method,
      "mcp-name": _name,
      ...params
    } = (await mirrorsAt(
      call(1, "tools/call", `{"name":"echo","arguments":${args}}`),
      // What a legacy client sends of its own accord mirrors nothing.
      "Mcp-Param-Text: forged\r\nMcp-Param-Other: x\r\n",
    ))!;
    const named = Object.entries(expected).map(([name, value]) => [`mcp-param-${name}`, value]);
    expect(params).toEqual(Object.fromEntries(named));
  });

  test("a modern client's own parameters pass as they are, whatever they say", async () => {
    const headers = `${HEADS}Mcp-Name: echo\r\nMcp-Param-Region: =?base64?w6k=?=\r\nMcp-Param-N: 07\r\n`;
    expect(await mirrorsAt(ECHO, headers, standard())).toEqual({
      "mcp-method": "tools/call",
      "mcp-name": "echo",
      "mcp-param-region": "=?base64?w6k=?=",
      "mcp-param-n": "07",
    });
  });

  test("a CR in a field is no field", async () => {
    const server = await use(rawServer(() => Promise.reject(new Error("nothing may come here"))));
    const { port } = await use(front(server.url, [bridge()], { era: "modern" }));
    const client = await use(rawClient(port));
    client.send(post(ECHO, "/mcp", `content-type: application/json\r\n${HEADS}Mcp-Name: echo\rMcp-Param-A: 1\r\n`));
    expect((await client.receiveResponse({ method: "POST" })).status).toBe(400);
  });
});
