/** Posted bodies: what is no JSON, or could be two messages, is refused; the rest reaches the server as it was judged. */
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { folderWith } from "../core/files.ts";
import { type ParsedRequest, rawClient, rawServer } from "../_harness/peers.ts";
import { onMessage, standard, toolFilter } from "../_harness/plugins.ts";
import { startCli } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { call, front, jsonAnswer, plain, post } from "../_harness/wire.ts";

const use = testScope();
const JSON_TYPE = "content-type: application/json\r\n";

/** A server that answers everything with its own body, a proxy before it, and a client. */
async function setUp(plugins: unknown = []) {
  const seen: ParsedRequest[] = [];
  const server = await use(
    rawServer(async (connection) => {
      for await (const request of connection.requests()) {
        seen.push(request);
        connection.send(jsonAnswer('"reached"'));
      }
    }),
  );
  const { port } = await use(front(server.url, plugins));
  return { server, seen, port, client: await use(rawClient(port)) };
}

/** A POST with a body in bytes. */
function bytes(body: Buffer, headers = JSON_TYPE): Buffer {
  const head = `POST /mcp HTTP/1.1\r\nhost: localhost\r\n${headers}content-length: ${body.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head, "latin1"), body]);
}

describe("IN-03 what does not say that it is JSON", () => {
  test.each([
    ["text/plain", "content-type: text/plain\r\n"],
    ["no type", ""],
    ["an empty type", "content-type:\r\n"],
    ["a form", "content-type: application/x-www-form-urlencoded\r\n"],
    ["a form with files", "content-type: multipart/form-data; boundary=x\r\n"],
    ["a parameter that says JSON", "content-type: text/plain;a=application/json\r\n"],
    ["a comment that says JSON", "content-type: text/plain (application/json)\r\n"],
    ["a type that only begins so", "content-type: application/jsonp\r\n"],
    ["a type with more behind a blank", "content-type: application/json x\r\n"],
    ["a suffix", "content-type: application/vnd.api+json\r\n"],
    ["problem details", "content-type: application/problem+json\r\n"],
    ["lines of JSON", "content-type: application/jsonl\r\n"],
    ["text/json", "content-type: text/json\r\n"],
    ["two types in one field", "content-type: application/json, text/plain\r\n"],
    ["two types in one field, JSON last", "content-type: text/plain, application/json\r\n"],
    ["two types in two fields", `${JSON_TYPE}content-type: text/plain\r\n`],
    ["two types in two fields, JSON last", `content-type: text/plain\r\n${JSON_TYPE}`],
    ["the same type twice", JSON_TYPE + JSON_TYPE],
    ["UTF-16", "content-type: application/json; charset=utf-16\r\n"],
    ["UTF-16 behind UTF-8", "content-type: application/json; charset=utf-8; charset=utf-16\r\n"],
    ["UTF-7 in quotes and capitals", 'content-type: application/json; a=b; CHARSET="UTF-7"\r\n'],
    ["a character set with a blank", "content-type: application/json; charset =utf-16\r\n"],
    ["an extended character set", "content-type: application/json; charset*=us-ascii'en'utf-16\r\n"],
    ["a no-break space before it", "content-type: \xA0application/json\r\n"],
    ["a content coding", `${JSON_TYPE}content-encoding: gzip\r\n`],
    ["a content coding that is none", `${JSON_TYPE}content-encoding: identity\r\n`],
  ])("%s: 415, and the server is never called", async (_what, headers) => {
    const { server, client } = await setUp([standard()]);
    client.send(bytes(Buffer.from(call()), headers));
    const answer = await client.receiveResponse();
    expect(answer.status).toBe(415);
    expect(JSON.parse(answer.body)).toMatchObject({ id: null, error: { code: -31_415 } });
    expect(server.connections).toHaveLength(0);
    // The body was not read: what follows must not be taken for it.
    client.send(post(call()));
    const next = await client.receiveResponse().catch(() => undefined);
    if (next) expect([next.status, next.body]).toEqual([200, '"reached"']);
    else expect(answer.headers.connection).toBe("close");
  });

  test.each([
    ["capitals", "Content-Type: APPLICATION/JSON\r\n"],
    ["a character set", "content-type: Application/JSON; charset=UTF-8\r\n"],
    ["a character set in quotes", 'content-type: application/json;charset="utf-8"\r\n'],
    ["another parameter, and blanks", "content-type: \tapplication/json ; a=text/plain;\r\n"],
  ])("%s: it passes, and the server reads the same type", async (_what, headers) => {
    const { seen, client } = await setUp([standard()]);
    client.send(bytes(Buffer.from(call()), headers));
    expect((await client.receiveResponse()).body).toBe('"reached"');
    expect(seen.map((request) => [request.headers["content-type"], request.body])).toEqual([
      [headers.slice(13).trim(), call()],
    ]);
  });
});

const deep = (levels: number) =>
  `{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":${"[".repeat(levels)}${"]".repeat(levels)}}}`;
const named = (...key: number[]) =>
  Buffer.concat([Buffer.from('{"jsonrpc":"2.0","id":"'), Buffer.from(key), Buffer.from('","method":"m"}')]);

const NO_JSON: [string, string | Buffer][] = [
  ["broken JSON", '{"jsonrpc":"2.0","id":1,'],
  ["an empty body", ""],
  ["two texts in one body", `${call()}${call()}`],
  ["a text and a trailing byte", `${call()}x`],
  ["a text and NUL", `${call()}\0`],
  ["a trailing comma", '{"jsonrpc":"2.0","id":1,"method":"m",}'],
  ["a comment", '{"jsonrpc":"2.0","id":1,/* */"method":"m"}'],
  ["single quotes", "{'jsonrpc':'2.0','id':1,'method':'m'}"],
  ["a control character in a string", '{"jsonrpc":"2.0","id":"a\nb","method":"m"}'],
  ["a number with a leading zero", '{"jsonrpc":"2.0","id":01,"method":"m"}'],
  ["a number that is none", '{"jsonrpc":"2.0","id":NaN,"method":"m"}'],
  ["a byte order mark", `\uFEFF${call()}`],
  ["invalid UTF-8", named(0xc3, 0x28)],
  ["overlong UTF-8", named(0xc0, 0xaf)],
  ["a surrogate in UTF-8", named(0xed, 0xa0, 0x80)],
  ["UTF-16", Buffer.from(call(), "utf16le")],
  ["UTF-16 with its mark", Buffer.from(`\uFEFF${call()}`, "utf16le")],
  ["UTF-32", Buffer.from([...call()].flatMap((char) => [char.charCodeAt(0), 0, 0, 0]))],
];
const NO_MESSAGE: [string, string][] = [
  ["a key twice", '{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call"}'],
  ["a key twice, once with an escape", '{"jsonrpc":"2.0","id":1,"method":"a","meth\\u006fd":"b"}'],
  ["a key of params twice", call(1, "tools/call", '{"name":"ls","name":"rm"}')],
  ["a key twice, deep inside", call(1, "tools/call", '{"arguments":{"a":{"b":1,"b":2}}}')],
  ["__proto__ twice", call(1, "tools/call", '{"__proto__":{"a":1},"__proto__":{"a":2}}')],
  ["a key of the envelope in capitals", '{"jsonrpc":"2.0","id":1,"Method":"tools/call"}'],
  ["a key of the envelope in two cases", '{"jsonrpc":"2.0","id":1,"method":"a","Method":"b"}'],
  ["a key of params in capitals", call(1, "tools/call", '{"NAME":"rm"}')],
  ["a key of params in two cases", call(1, "tools/call", '{"name":"a","Name":"b"}')],
  ["a key of params with a letter that folds to ASCII", call(1, "tools/call", '{"argument\u017F":{}}')],
  ["great depth", deep(200)],
  ["a depth of 200,000", deep(200_000)],
  ["no jsonrpc", '{"id":1,"method":"m"}'],
  ["another jsonrpc", '{"jsonrpc":"1.0","id":1,"method":"m"}'],
  ["method beside result", '{"jsonrpc":"2.0","id":1,"method":"m","result":{}}'],
  ["result beside error", '{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}'],
  ["nothing but a version", '{"jsonrpc":"2.0","id":1}'],
  ["an id that is an object", '{"jsonrpc":"2.0","id":{},"method":"m"}'],
  ["an id that is null", '{"jsonrpc":"2.0","id":null,"method":"m"}'],
  ["a method that is no text", '{"jsonrpc":"2.0","id":1,"method":["tools/call"]}'],
  ["an empty method", '{"jsonrpc":"2.0","id":1,"method":""}'],
  ["a text that is no object", '"hello"'],
];
const REFUSED: [string, number, string | Buffer][] = [
  ...NO_JSON.map(([what, body]): [string, number, string | Buffer] => [what, -32_700, body]),
  ...NO_MESSAGE.map(([what, body]): [string, number, string | Buffer] => [what, -32_600, body]),
];

describe("IN-04 a body that is no message, or could be two", () => {
  test.each(REFUSED)("%s: HTTP 400, JSON-RPC %i, and the server is never called", async (_what, code, body) => {
    const { server, client } = await setUp();
    client.send(bytes(Buffer.from(body)));
    const answer = await client.receiveResponse();
    expect(answer).toMatchObject({ status: 400, headers: { "content-type": "application/json" } });
    expect(JSON.parse(answer.body)).toMatchObject({ jsonrpc: "2.0", id: null, error: { code } });
    expect(server.connections).toHaveLength(0);
    client.send(post(call()));
    expect((await client.receiveResponse()).body).toBe('"reached"');
  });
});

/** Bodies that are odd, and mean one thing only. */
const ODD: [string, string][] = [
  ["whitespace around it", ` \r\n\t${call()}\n`],
  ["depth at the limit", deep(126)],
  ["keys that differ inside arguments only in case", call(1, "tools/call", '{"arguments":{"a":1,"A":2,"NAME":3}}')],
  ["an error response with an unknown id", '{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"m"}}'],
  ["an id beyond 2^53", call("9007199254740993", "tools/call")],
  ["an id with a fraction", call("1.50", "tools/call")],
  ["an id with an exponent", call("1E2", "tools/call")],
  ["an id of minus zero", call("-0", "tools/call")],
  ["an id with escapes", call('"\\u0061\\/b"', "tools/call")],
  ["an id of half a surrogate pair", call('"\\ud800"', "tools/call")],
  ["half a surrogate pair in an argument", call(1, "tools/call", '{"name":"a","arguments":{"b":"\\udc00x"}}')],
  [
    "__proto__ and constructor",
    call(1, "tools/call", '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}'),
  ],
  ["__proto__ in the envelope", '{"jsonrpc":"2.0","id":1,"method":"m","__proto__":{"method":"x","polluted":1}}'],
  [
    "numbers beyond what a double holds",
    call(1, "tools/call", '{"name":"a","arguments":{"n":1e999,"m":0.10000000000000000001}}'),
  ],
];

describe("IN-04 a body that means one thing", () => {
  test.each(ODD)("%s: it reaches the server byte for byte, past plugins that look", async (_what, body) => {
    const look = [onMessage("up", "request", "pass"), onMessage("up", "response", "pass")];
    for (const plugins of [[], [standard()], [standard(), ...look, toolFilter({ deny: ["rm"] })]]) {
      const { seen, client } = await setUp(plugins);
      client.send(post(body));
      const answer = await client.receiveResponse();
      // A call without a tool is none that a filter lets pass.
      if (plugins.length > 2 && body.includes("tools/call") && !body.includes('"name"')) {
        expect(answer.body).toContain("Unknown tool");
        expect(seen).toEqual([]);
      } else {
        expect(answer.body).toBe('"reached"');
        expect(seen.map((request) => request.bytes.toString())).toEqual([body]);
      }
    }
  });

  test.each(["9007199254740993", "-0", "1.50", "1E2", '"\\u0061\\/b"', '"\\ud800"', '"é"', '""'])(
    "the id %s keeps its text where a plugin changes the message, answers it, or refuses it",
    async (id) => {
      const change = onMessage("up", "request", { change: { params: { name: "new" } } }, { method: "tools/call" });
      const reply = onMessage("up", "request", { reply: { result: { mine: true } } }, { method: "prompts/get" });
      const refuse = onMessage("up", "request", { fail: "verdict" }, { method: "resources/read" });
      const { seen, client } = await setUp([change, reply, refuse]);
      client.send(post(call(id, "tools/call", '{"name":"old"}')));
      await client.receiveResponse();
      expect(seen.map(({ body }) => body)).toEqual([
        `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"new"}}`,
      ]);
      client.send(post(call(id, "prompts/get")));
      expect((await client.receiveResponse()).body).toBe(`{"jsonrpc":"2.0","id":${id},"result":{"mine":true}}`);
      client.send(post(call(id, "resources/read")));
      expect((await client.receiveResponse()).body).toContain(`{"jsonrpc":"2.0","id":${id},"error":`);
      expect(seen).toHaveLength(1);
    },
  );

  test("what a plugin has changed is what the next one judges, what is logged, and what the server gets, length included", async () => {
    const rename = onMessage("up", "request", { change: { params: { name: "größe" } } }, { method: "tools/call" });
    const { seen, client } = await setUp([rename, toolFilter({ deny: ["old"] })]);
    client.send(post(call(1, "tools/call", '{"name":"old"}'), "/mcp", `${JSON_TYPE}mcp-name: old\r\n`));
    expect((await client.receiveResponse()).body).toBe('"reached"');
    const [got] = seen;
    expect(got!.body).toBe('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"größe"}}');
    expect(got!.headers).toMatchObject({
      "content-length": String(Buffer.byteLength(got!.body)),
      "mcp-name": "=?base64?Z3LDtsOfZQ==?=",
    });
    // The other way round: a plugin cannot smuggle a denied tool past the filter behind it.
    const evil = onMessage("up", "request", { change: { params: { name: "rm" } } }, { method: "tools/call" });
    const other = await setUp([evil, toolFilter({ deny: ["rm"] })]);
    other.client.send(post(call(1, "tools/call", '{"name":"ls"}')));
    expect((await other.client.receiveResponse()).body).toContain("Unknown tool: rm");
    expect(other.seen).toEqual([]);
  });

  test("a changed message keeps __proto__ and constructor as members, and no object gets any of it", async () => {
    const change = onMessage("up", "request", { change: { method: "tools/call" } });
    const { seen, client, port } = await setUp([change, standard()]);
    const params = '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"s":"\\ud800"}';
    client.send(post(call(1, "tools/call", params)));
    await client.receiveResponse();
    expect(seen[0]!.body).toBe(call(1, "tools/call", params));
    // Were Object.prototype changed, each answer of the proxy's own would tell.
    const next = await use(rawClient(port));
    next.send(post("[]"));
    expect((await next.receiveResponse()).body).not.toContain("polluted");
    next.send(plain("PUT"));
    expect((await next.receiveResponse()).body).not.toContain("polluted");
  });
});

describe("IN-05 batches", () => {
  const META =
    '"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}';
  const denied = call(2, "tools/call", '{"name":"rm"}');
  const BATCHES: [string, string][] = [
    ["an empty one", "[]"],
    ["two requests", `[${call(1)},${call(2)}]`],
    ["one request", `[${call()}]`],
    ["one that holds a denied call", `[${call(1)},${denied}]`],
    ["one of a denied call alone", ` \n[${denied}]`],
    ["notifications", '[{"jsonrpc":"2.0","method":"notifications/initialized"}]'],
    ["responses", '[{"jsonrpc":"2.0","id":1,"result":{}}]'],
    ["a modern request", `[${call(1, "tools/list", `{${META}}`)}]`],
    ["one within another", `[[${call()}]]`],
    ["initialize and more", `[${call(1, "initialize", '{"protocolVersion":"2025-03-26"}')},${denied}]`],
  ];

  test.each(BATCHES)("%s: refused in every era, and the server is never called", async (_what, body) => {
    const { server, client } = await setUp([standard(), toolFilter({ deny: ["rm"] })]);
    for (const version of ["", "2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"]) {
      const mirror = version && `MCP-Protocol-Version: ${version}\r\n`;
      client.send(post(body, "/mcp", JSON_TYPE + mirror));
      const answer = await client.receiveResponse();
      expect(answer.status).toBe(400);
      expect(JSON.parse(answer.body)).toMatchObject({
        id: null,
        error: { code: -32_600, message: expect.stringMatching(/batches are not accepted/) },
      });
    }
    expect(server.connections).toHaveLength(0);
  });

  test("the log has a line for each", async () => {
    const { server } = await setUp();
    const cwd = folderWith({ "penstock.config.json": { servers: { one: { url: `${server.url}/mcp` } }, port: 0 } });
    const cli = await use(startCli(["--config", join(cwd, "penstock.config.json"), "--log-format", "json"]));
    const client = await use(rawClient(cli.port));
    for (const [, body] of BATCHES) {
      client.send(post(body, "/one/mcp", `${JSON_TYPE}x-request-id: batch\r\n`));
      await client.receiveResponse();
    }
    await cli.close();
    const lines = cli.stderr().match(/^.*POST one .*400 .*refused INVALID_REQUEST id=batch.*$/gm);
    expect(lines).toHaveLength(BATCHES.length);
  });
});
