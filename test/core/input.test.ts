import { standard } from "../_harness/plugins.ts";
import { describe, expect, test } from "vitest";
import { rawClient, rawServer } from "../_harness/peers.ts";
import { testScope } from "../_harness/scope.ts";
import { call, chunk, front, jsonAnswer, plain, post } from "../_harness/wire.ts";

const use = testScope();
const LIMIT = 1000;

/** A server that answers everything, and a proxy with a small limit before it. */
async function setUp(plugins: unknown = []) {
  const server = await use(
    rawServer(async (connection) => {
      for await (const _request of connection.requests()) connection.send(jsonAnswer('"reached"'));
    }),
  );
  const { port } = await use(front(server.url, plugins, { maxRequestBytes: LIMIT }));
  const client = await use(rawClient(port));
  return { server, port, client };
}

function bytes(body: Buffer): Buffer {
  return Buffer.concat([
    Buffer.from(
      `POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`,
    ),
    body,
  ]);
}

const deep = (levels: number) =>
  `{"jsonrpc":"2.0","id":1,"method":"m","params":{"a":${"[".repeat(levels)}${"]".repeat(levels)}}}`;
const REFUSED: [string, number, number, string | Buffer][] = [
  ["broken JSON", 400, -32_700, '{"jsonrpc":"2.0","id":1,'],
  ["an empty body", 400, -32_700, ""],
  ["two texts in one body", 400, -32_700, `${call()}${call()}`],
  ["a trailing comma", 400, -32_700, '{"jsonrpc":"2.0","id":1,"method":"m",}'],
  ["a control character in a string", 400, -32_700, '{"jsonrpc":"2.0","id":"a\nb","method":"m"}'],
  ["a number with a leading zero", 400, -32_700, '{"jsonrpc":"2.0","id":01,"method":"m"}'],
  ["a byte order mark", 400, -32_700, `\uFEFF${call()}`],
  [
    "invalid UTF-8",
    400,
    -32_700,
    Buffer.concat([Buffer.from('{"jsonrpc":"2.0","id":"'), Buffer.from([0xc3, 0x28]), Buffer.from('","method":"m"}')]),
  ],
  [
    "overlong UTF-8",
    400,
    -32_700,
    Buffer.concat([Buffer.from('{"jsonrpc":"2.0","id":"'), Buffer.from([0xc0, 0xaf]), Buffer.from('","method":"m"}')]),
  ],
  ["UTF-16", 400, -32_700, Buffer.from(call(), "utf16le")],
  ["a batch", 400, -32_600, `[${call(1)},${call(2)}]`],
  ["an empty batch", 400, -32_600, "[]"],
  ["a duplicate key", 400, -32_600, '{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call"}'],
  ["a duplicate key with an escape", 400, -32_600, '{"jsonrpc":"2.0","id":1,"method":"a","meth\\u006fd":"b"}'],
  ["a duplicate key deep inside", 400, -32_600, call(1, "tools/call", '{"arguments":{"a":{"b":1,"b":2}}}')],
  ["a key of the envelope in capitals", 400, -32_600, '{"jsonrpc":"2.0","id":1,"method":"a","Method":"b"}'],
  ["a key of params in two cases", 400, -32_600, call(1, "tools/call", '{"name":"a","Name":"b"}')],
  ["great depth", 400, -32_600, deep(200)],
  ["no jsonrpc", 400, -32_600, '{"id":1,"method":"m"}'],
  ["another jsonrpc", 400, -32_600, '{"jsonrpc":"1.0","id":1,"method":"m"}'],
  ["method beside result", 400, -32_600, '{"jsonrpc":"2.0","id":1,"method":"m","result":{}}'],
  ["result beside error", 400, -32_600, '{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}'],
  ["nothing but a version", 400, -32_600, '{"jsonrpc":"2.0","id":1}'],
  ["an id that is an object", 400, -32_600, '{"jsonrpc":"2.0","id":{},"method":"m"}'],
  ["an id that is null", 400, -32_600, '{"jsonrpc":"2.0","id":null,"method":"m"}'],
  ["an empty method", 400, -32_600, '{"jsonrpc":"2.0","id":1,"method":""}'],
  ["a text that is no object", 400, -32_600, '"hello"'],
  ["more than the limit", 413, -31_413, call(1, "m", `{"a":"${"x".repeat(LIMIT)}"}`)],
];

describe("a body that is refused", () => {
  test.each(REFUSED)("%s: HTTP %i, JSON-RPC %i, and the server is never called", async (_what, status, code, body) => {
    const { server, client } = await setUp();
    client.send(bytes(Buffer.from(body)));
    const answer = await client.receiveResponse();
    expect(answer).toMatchObject({ status, headers: { "content-type": "application/json" } });
    expect(JSON.parse(answer.body)).toMatchObject({ jsonrpc: "2.0", id: null, error: { code } });
    expect(server.connections).toHaveLength(0);
  });

  test("too many bytes in chunks: 413 while the client is still sending, and no second request on that connection", async () => {
    const { server, client } = await setUp([standard()]);
    client.send(
      "POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
    );
    client.send(chunk("x".repeat(LIMIT / 2)));
    client.send(chunk("x".repeat(LIMIT)));
    const answer = await client.receiveResponse();
    expect(answer).toMatchObject({ status: 413 });
    // The rest of the body is not waited for, so the connection must be given up.
    expect(answer.headers.connection).toBe("close");
    expect(server.connections).toHaveLength(0);
  });

  test("a content-length beyond the limit: 413 before a byte of the body", async () => {
    const { server, client } = await setUp();
    client.send(
      `POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${LIMIT + 1}\r\n\r\n`,
    );
    expect((await client.receiveResponse()).status).toBe(413);
    expect(server.connections).toHaveLength(0);
  });

  test.each([
    ["text/plain", "content-type: text/plain\r\n"],
    ["no type", ""],
    ["a form", "content-type: application/x-www-form-urlencoded\r\n"],
    ["a type that only begins so", "content-type: application/jsonp\r\n"],
    ["a content coding", "content-type: application/json\r\ncontent-encoding: gzip\r\n"],
  ])("%s: 415, and the server is never called", async (_what, headers) => {
    const { server, client } = await setUp();
    client.send(post(call(), "/mcp", headers));
    const answer = await client.receiveResponse();
    expect(answer.status).toBe(415);
    expect(JSON.parse(answer.body)).toMatchObject({ error: { code: -31_415 } });
    expect(server.connections).toHaveLength(0);
  });

  test.each(["PUT", "HEAD", "OPTIONS", "TRACE", "PATCH"])(
    "%s: 405 with Allow, and the server is never called",
    async (method) => {
      const { server, client } = await setUp([standard()]);
      client.send(plain(method));
      const answer = await client.receiveResponse({ method });
      expect(answer).toMatchObject({ status: 405, headers: { allow: "GET, POST, DELETE" } });
      expect(server.connections).toHaveLength(0);
    },
  );
});

describe("a body that is fine", () => {
  test.each([
    ["whitespace around it", ` \r\n\t${call()}\n`],
    ["depth at the limit", deep(126)],
    ["keys that differ inside arguments only in case", call(1, "tools/call", '{"arguments":{"a":1,"A":2}}')],
    ["exactly the limit", call(1, "m", `{"a":"${"x".repeat(LIMIT - call(1, "m", '{"a":""}').length)}"}`)],
    ["a posted error response with an unknown id", '{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"m"}}'],
  ])("%s reaches the server byte for byte", async (_what, body) => {
    const { server, client } = await setUp();
    client.send(post(body, "/mcp", "content-type: Application/JSON; charset=utf-8\r\n"));
    expect((await client.receiveResponse()).body).toBe('"reached"');
    expect((await server.connection()).received.endsWith(`\r\n\r\n${body}`)).toBe(true);
  });
});
