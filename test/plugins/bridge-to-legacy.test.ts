/** What a modern client sees of a legacy server, byte by byte: discovery, checks, results, errors. */
import { describe, expect, test } from "vitest";
import { standard } from "../_harness/plugins.ts";
import { testScope } from "../_harness/scope.ts";
import { front } from "../_harness/wire.ts";
import { type LegacyPeerOptions, type Posted, type Wire, ask, legacyPeer, modernPost } from "./bridge-legacy-peer.ts";

const use = testScope();

async function between(answer: (posted: Posted, wire: Wire) => void, options?: LegacyPeerOptions) {
  const peer = await use(legacyPeer(answer, options));
  const proxy = await use(front(peer.url, standard(), { era: "legacy" }));
  return { peer, url: `${proxy.url}/mcp` };
}

const CAPABILITIES = "io.modelcontextprotocol/clientCapabilities";
const LEVEL = "io.modelcontextprotocol/logLevel";

function withoutName(init: ReturnType<typeof modernPost>) {
  const { "mcp-name": _name, ...headers } = init.headers as Record<string, string>;
  return { ...init, headers };
}

const never = () => {
  throw new Error("nothing should have been asked");
};

describe("server/discover", () => {
  test("says what `initialize` said, in the words of 2026-07-28", async () => {
    const capabilities = { tools: { listChanged: true }, logging: {}, tasks: { list: {} } };
    const { peer, url } = await between(never, { capabilities });
    const { status, response } = await ask(url, "server/discover", "{}", { id: '"d"' });
    expect(status).toBe(200);
    expect(response).toEqual({
      jsonrpc: "2.0",
      id: "d",
      result: {
        resultType: "complete",
        supportedVersions: ["2026-07-28"],
        capabilities: { tools: { listChanged: true }, logging: {} },
        instructions: "Be kind.",
        ttlMs: 0,
        cacheScope: "private",
        _meta: { "io.modelcontextprotocol/serverInfo": { name: "old", version: "1.0.0" } },
      },
    });
    const { message } = await peer.got("POST initialize");
    expect(message.params).toEqual({
      protocolVersion: "2025-11-25",
      capabilities: {},
      clientInfo: { name: "new", version: "2.0.0" },
    });
    await peer.got("POST notifications/initialized");
  });

  test("one session for all who come at the same time, and one for each set of capabilities", async () => {
    const { peer, url } = await between(never);
    const roots = { capabilities: { roots: { listChanged: true }, extensions: { x: {} } } };
    await Promise.all([
      ask(url, "server/discover"),
      ask(url, "server/discover"),
      ask(url, "server/discover", "{}", roots),
      ask(url, "server/discover", "{}", roots),
    ]);
    const declared = peer.seen.entries
      .filter(({ what }) => what === "POST initialize")
      .map(({ message }) => JSON.stringify(message.params.capabilities));
    expect(declared.sort()).toEqual(['{"roots":{},"extensions":{"x":{}}}', "{}"]);
  });
});

describe("requests that no legacy server would check", () => {
  test.each<[string, { method: string; body: string; headers: Record<string, string> }, number]>([
    ["another method in the header", modernPost("tools/list", "{}", { headers: { "mcp-method": "ping" } }), -32020],
    ["another name", modernPost("tools/call", '{"name":"a"}', { headers: { "mcp-name": "b" } }), -32020],
    ["no name", withoutName(modernPost("tools/call", '{"name":"a"}')), -32020],
    ["no capabilities", modernPost("tools/list", "{}", { meta: { [CAPABILITIES]: undefined } }), -32602],
    ["an unknown level", modernPost("tools/list", "{}", { meta: { [LEVEL]: "loud" } }), -32602],
  ])("%s", async (_what, init, code) => {
    const { url } = await between(never);
    const response = await fetch(url, init);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ id: 1, error: { code } });
  });

  test("another revision", async () => {
    const { url } = await between(never);
    const version = "2027-01-01";
    const { status, response } = await ask(url, "tools/list", "{}", {
      meta: { "io.modelcontextprotocol/protocolVersion": version },
      headers: { "mcp-protocol-version": version },
    });
    expect(status).toBe(400);
    expect(response.error).toMatchObject({ code: -32022, data: { supported: ["2026-07-28"], requested: version } });
  });

  test.each(["ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe", "tasks/list", "initialize"])(
    "%s is no more",
    async (method) => {
      const { url } = await between(never);
      const { status, response } = await ask(url, method);
      expect([status, response.error.code]).toEqual([404, -32601]);
    },
  );

  test("notifications go no further", async () => {
    const { peer, url } = await between(never);
    const body = '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}';
    const headers = { "content-type": "application/json", "mcp-protocol-version": "2026-07-28" };
    const response = await fetch(url, { method: "POST", headers, body });
    expect(response.status).toBe(202);
    expect(peer.seen.entries).toEqual([]);
  });
});

describe("results", () => {
  const cached = { ttlMs: 0, cacheScope: "private" };
  const meta = { _meta: { "io.modelcontextprotocol/serverInfo": { name: "old", version: "1.0.0" } } };

  test.each([
    ["tools/list", '{"tools":[]}', { tools: [], ...cached }],
    ["prompts/list", '{"prompts":[]}', { prompts: [], ...cached }],
    ["resources/list", '{"resources":[]}', { resources: [], ...cached }],
    ["resources/templates/list", '{"resourceTemplates":[]}', { resourceTemplates: [], ...cached }],
    ["resources/read", '{"contents":[]}', { contents: [], ...cached }],
    ["prompts/get", '{"messages":[]}', { messages: [] }],
    ["completion/complete", '{"completion":{"values":[]}}', { completion: { values: [] } }],
    ["tools/call", '{"structuredContent":{"a":1}}', { structuredContent: { a: 1 }, content: [] }],
  ])("of %s are complete", async (method, result, expected) => {
    const { url } = await between((_posted, wire) => wire.result(result));
    const { status, response } = await ask(url, method, '{"name":"x","uri":"x:/"}', {
      headers: { "mcp-name": method === "resources/read" ? "x:/" : "x" },
    });
    expect(status).toBe(200);
    expect(response.result).toEqual({ ...expected, resultType: "complete", ...meta });
  });

  test("tools that are tasks only are not shown, others do not say that they could be", async () => {
    const tools = [
      { name: "a", execution: { taskSupport: "required" } },
      { name: "b", execution: { taskSupport: "optional" } },
      { name: "c" },
    ];
    const { url } = await between((_posted, wire) => wire.result(JSON.stringify({ tools })));
    const { response } = await ask(url, "tools/list");
    expect(response.result.tools).toEqual([{ name: "b" }, { name: "c" }]);
  });

  test("every digit and every member of arguments and results stays", async () => {
    const big = '{"n":12345678901234567890123,"x":1.0,"y":[9007199254740993],"z":"\\u00e9"}';
    const { peer, url } = await between((_posted, wire) => wire.result(`{"content":[],"structuredContent":${big}}`));
    const { text } = await ask(url, "tools/call", `{"name":"t","arguments":${big}}`, { id: "9007199254740993" });
    expect(text).toContain(`"structuredContent":${big}`);
    expect(text).toContain('"id":9007199254740993');
    const { body, headers } = await peer.got("POST tools/call");
    expect(body).toContain(`"arguments":${big}`);
    expect(body).not.toContain("_meta");
    expect(headers).toMatchObject({ "mcp-protocol-version": "2025-11-25", "mcp-session-id": "s1" });
    expect(Object.keys(headers).filter((name) => /^mcp-(?:method|name)$/.test(name))).toEqual([]);
  });

  test("keys of _meta that nobody knows go on, those of the envelope do not", async () => {
    const { peer, url } = await between((_posted, wire) => wire.result('{"content":[]}'));
    await ask(url, "tools/call", '{"name":"t"}', { meta: { traceparent: "00-1", "com.example/x": 1 } });
    const { message } = await peer.got("POST tools/call");
    expect(message.params).toEqual({ name: "t", _meta: { traceparent: "00-1", "com.example/x": 1 } });
  });
});

describe("errors", () => {
  test.each([
    [-32601, 404, { code: -32601 }],
    [-32602, 200, { code: -32602 }],
    [-32002, 200, { code: -32602 }],
    [-32001, 200, { code: -32001 }],
    [-32050, 200, { code: -32603, data: { original: { code: -32050, message: "error -32050", data: { a: 1 } } } }],
    [-32042, 200, { code: -32603, data: { original: { code: -32042 } } }],
    [-31000, 200, { code: -31000, data: { a: 1 } }],
  ])("%i", async (code, expectedStatus, expected) => {
    const { url } = await between((_posted, wire) => wire.error(code, { a: 1 }));
    const { status, response } = await ask(url, "tools/list");
    expect(status).toBe(expectedStatus);
    expect(response.error).toMatchObject(expected);
  });

  test.each([
    ["500 Internal Server Error", 502],
    ["403 Forbidden", 403],
    ["429 Too Many Requests", 429],
    ["418 Teapot", 502],
  ])("HTTP %s with something that is no message", async (line, expected) => {
    const { url } = await between((_posted, wire) => wire.json("<html>", line));
    const { status, response } = await ask(url, "tools/call", '{"name":"t"}');
    expect(status).toBe(expected);
    expect(response).toMatchObject({ id: 1, error: { code: -32603 } });
  });

  test("an HTTP error with a JSON-RPC error in it is that error", async () => {
    const { url } = await between((_posted, wire) =>
      wire.json('{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"no"}}', "400 Bad Request"),
    );
    const { status, response } = await ask(url, "tools/call", '{"name":"t"}');
    expect(status).toBe(200);
    expect(response).toMatchObject({ id: 1, error: { code: -32000, message: "no" } });
  });

  test("a stream that ends without a response ends with an error", async () => {
    const { url } = await between((posted, wire) => {
      const progressToken = posted.message.id;
      const params = { progressToken, progress: 1 };
      wire
        .open()
        .event(JSON.stringify({ jsonrpc: "2.0", method: "notifications/progress", params }))
        .end();
    });
    const { status, messages } = await ask(url, "tools/call", '{"name":"t"}', { meta: { progressToken: "p" } });
    expect(status).toBe(200);
    expect(messages).toMatchObject([
      { method: "notifications/progress", params: { progressToken: "p" } },
      { id: 1, error: { code: -32603, data: { code: "UPSTREAM_BROKE" } } },
    ]);
  });
});
