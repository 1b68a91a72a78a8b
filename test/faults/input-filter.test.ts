/** A server's list of tools on its way to a client that must not see all of it, in every dress that a list can have. */
import { describe, expect, test } from "vitest";
import { rawClient, rawServer, within } from "../_harness/peers.ts";
import { onMessage, standard, toolFilter } from "../_harness/plugins.ts";
import { testScope } from "../_harness/scope.ts";
import { call, chunk, front, plain, post } from "../_harness/wire.ts";

const use = testScope();
const filter = () => [standard(), toolFilter({ deny: ["delete_*", "rm"] })];

/** What a server sends as its answer: header lines, and a body. */
interface Sent {
  type: string;
  body: string | Buffer;
  status?: string;
}

/** The answer to a request, sent in one piece, or in chunks of one byte; with what arrived until the connection was quiet. */
async function through(
  { type, body, status = "200 OK" }: Sent,
  pieces: "one" | "bytes",
  request = post(call()),
  plugins: unknown = filter(),
) {
  const bytes = Buffer.from(body);
  const head = `HTTP/1.1 ${status}\r\n${type}transfer-encoding: chunked\r\n\r\n`;
  const step = pieces === "one" ? Math.max(1, bytes.length) : 1;
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += step) {
    const piece = bytes.subarray(at, at + step);
    chunks.push(Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from("\r\n"));
  }
  const server = await use(
    rawServer(async (connection) => {
      await connection.receiveRequest();
      connection.send(Buffer.concat([Buffer.from(head), ...chunks, Buffer.from(chunk(""))]));
    }),
  );
  const client = await use(rawClient((await use(front(server.url, plugins))).port));
  client.send(request.replace("host: localhost\r\n", "host: localhost\r\nconnection: close\r\n"));
  await within(client.ended, "the end of the answer");
  return client.response();
}

const TOOLS = '{"tools":[{"name":"echo"},{"name":"delete_all"},{"name":"rm"}]}';
const RESPONSE = `{"jsonrpc":"2.0","id":1,"result":${TOOLS}}`;
const JSON_TYPE = "content-type: application/json\r\n";
const SSE_TYPE = "content-type: text/event-stream\r\n";
/** A text as a reader takes it that knows escapes. */
const plainly = (text: string) =>
  text.replace(/\\u([\da-f]{4})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));

const FILTERED: [string, string, string | Buffer][] = [
  ["plain JSON", JSON_TYPE, RESPONSE],
  ["a byte order mark before JSON", JSON_TYPE, `\uFEFF${RESPONSE}`],
  ["blanks around JSON", JSON_TYPE, `\r\n\t ${RESPONSE} \n`],
  ["an escaped key", JSON_TYPE, RESPONSE.replace("result", "\\u0072esult").replace("tools", "\\u0074ools")],
  ["escaped names", JSON_TYPE, RESPONSE.replace('"rm"', '"\\u0072\\u006D"').replace("delete", "\\u0064elete")],
  ["a missing content type", "", RESPONSE],
  ["an empty content type", "content-type:\r\n", RESPONSE],
  ["another content type", "content-type: text/plain\r\n", RESPONSE],
  ["a content type in capitals", "Content-Type: APPLICATION/JSON\r\n", RESPONSE],
  [
    "an error beside the result",
    JSON_TYPE,
    `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x"},"result":${TOOLS}}`,
  ],
  ["an error that is null", JSON_TYPE, `{"jsonrpc":"2.0","id":1,"result":${TOOLS},"error":null}`],
  ["a second result", JSON_TYPE, `{"jsonrpc":"2.0","id":1,"result":${TOOLS},"result":{"tools":[{"name":"echo"}]}}`],
  ["a second list", JSON_TYPE, `{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"rm"}],"tools":[{"name":"echo"}]}}`],
  ["a second name", JSON_TYPE, '{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"rm","name":"echo"}]}}'],
  [
    "a list in other case beside it",
    JSON_TYPE,
    '{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"echo"}],"Tools":[{"name":"rm"}]}}',
  ],
  ["a batch", JSON_TYPE, `[${RESPONSE}]`],
  ["another id", JSON_TYPE, RESPONSE.replace('"id":1', '"id":99')],
  ["no id", JSON_TYPE, RESPONSE.replace('"id":1,', "")],
  ["no version", JSON_TYPE, RESPONSE.replace('"jsonrpc":"2.0",', "")],
  ["an event", SSE_TYPE, `event: message\ndata: ${RESPONSE}\n\n`],
  ["an event without its type", SSE_TYPE, `data:${RESPONSE}\n\n`],
  ["an empty event type", SSE_TYPE, `event\ndata: ${RESPONSE}\n\n`],
  ["a byte order mark before an event", SSE_TYPE, `\uFEFFdata: ${RESPONSE}\n\n`],
  [
    "a stream type in capitals with a parameter",
    "content-type: Text/Event-Stream ; charset=utf-8\r\n",
    `data: ${RESPONSE}\n\n`,
  ],
  ["data split over lines", SSE_TYPE, `data: {"jsonrpc":"2.0","id":1,\ndata: "result":\ndata: ${TOOLS}}\n\n`],
  ["data split within the list", SSE_TYPE, `data: ${RESPONSE.replaceAll(",{", ",\ndata: {")}\n\n`],
  [
    "data split by a comment and an id",
    SSE_TYPE,
    `data: {"jsonrpc":"2.0",\n: x\nid: 7\ndata: "id":1,"result":${TOOLS}}\nretry: 5\n\n`,
  ],
  ["CRLF line ends", SSE_TYPE, `event: message\r\ndata: ${RESPONSE}\r\n\r\n`],
  ["CR line ends", SSE_TYPE, `event: message\rdata: ${RESPONSE}\r\r`],
  [
    "CR, LF and CRLF mixed",
    SSE_TYPE,
    `: a\r: b\n: c\r\nid: 1\rdata: {"jsonrpc":"2.0",\ndata: "id":1,\r\ndata: "result":${TOOLS}}\r\n\r`,
  ],
  ["data split by CR", SSE_TYPE, `data: {"jsonrpc":"2.0","id":1,\rdata: "result":${TOOLS}}\n\r`],
  ["no blank line at the end", SSE_TYPE, `data: ${RESPONSE}\n`],
  ["no line end at all", SSE_TYPE, `data: ${RESPONSE}`],
  ["an escaped key in an event", SSE_TYPE, `data: ${RESPONSE.replace("result", "\\u0072esult")}\n\n`],
  [
    "an error beside the result in an event",
    SSE_TYPE,
    `data: ${RESPONSE.slice(0, -1)},"error":{"code":1,"message":"x"}}\n\n`,
  ],
  ["another id in an event", SSE_TYPE, `data: ${RESPONSE.replace('"id":1', '"id":99')}\n\n`],
  ["the answer twice", SSE_TYPE, `data: ${RESPONSE}\n\ndata: ${RESPONSE}\n\n`],
  ["a batch in an event", SSE_TYPE, `data: [${RESPONSE}]\n\n`],
  [
    "events before it",
    SSE_TYPE,
    `: hello\n\nid: 1\ndata:\n\ndata: {"jsonrpc":"2.0","method":"notifications/message","params":{}}\n\ndata: ${RESPONSE}\n\n`,
  ],
];

describe("IN-11 a filtered list", () => {
  test.each(FILTERED)("%s: what is denied is gone, and the rest is there", async (_what, type, body) => {
    for (const pieces of ["one", "bytes"] as const) {
      const answer = await through({ type, body }, pieces);
      expect(answer).toMatchObject({ status: 200, complete: true });
      expect(plainly(answer.body)).not.toMatch(/"rm"|delete_all/);
      expect(plainly(answer.body)).toContain('"tools":[');
      if (plainly(String(body)).includes("delete_all")) expect(answer.body).toContain('"echo"');
    }
  });

  test.each<[string, string, string | Buffer]>([
    ["a method beside the result", JSON_TYPE, RESPONSE.replace("{", '{"method":"x",')],
    ["a key of the envelope in other case", JSON_TYPE, RESPONSE.replace("result", "Result")],
    ["a key of the envelope in two cases", JSON_TYPE, RESPONSE.replace('"result"', '"result":{"tools":[]},"RESULT"')],
    ["what is not JSON", "content-type: text/html\r\n", "<html>rm delete_all</html>"],
    ["a list that is cut off", JSON_TYPE, RESPONSE.slice(0, -4)],
    ["two texts", JSON_TYPE, RESPONSE + RESPONSE],
    ["a depth of 100,000", JSON_TYPE, RESPONSE.replace("{", `{"a":${"[".repeat(100_000)}${"]".repeat(100_000)},`)],
    ["a batch of such a depth", JSON_TYPE, `[{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}},${RESPONSE}]`],
    ["UTF-16", "content-type: application/json; charset=utf-16\r\n", Buffer.from(RESPONSE, "utf16le")],
    ["events that are called JSON", JSON_TYPE, `data: ${RESPONSE}\n\n`],
    ["events of two types", `${JSON_TYPE}${SSE_TYPE}`, `data: ${RESPONSE}\n\n`],
    ["a content coding that nobody knows", `${JSON_TYPE}content-encoding: x-secret\r\n`, RESPONSE],
  ])("%s: withheld, with an error for the id that waits", async (_what, type, body) => {
    for (const pieces of ["one", "bytes"] as const) {
      // Chunks of one byte take their time.
      if (pieces === "bytes" && body.length > 100_000) continue;
      const answer = await through({ type, body }, pieces, post(call(7)));
      expect(answer).toMatchObject({ status: 502, complete: true });
      expect(JSON.parse(answer.body)).toMatchObject({
        id: 7,
        error: { code: -32603, data: { code: "UPSTREAM_INVALID" } },
      });
      expect(answer.body).not.toMatch(/"rm"|delete_all/);
    }
  });

  test("deep is what is deeper than 1,000 levels, and no bracket within a string counts", async () => {
    const deep = (levels: number) =>
      `{"a":${"[".repeat(levels)}${"]".repeat(levels)},"s":${JSON.stringify('[{\\"'.repeat(2000))}}`;
    for (const [levels, status] of [
      [900, 200],
      [1100, 502],
    ] as const)
      expect(
        (await through({ type: JSON_TYPE, body: RESPONSE.replace('"tools"', `"b":${deep(levels)},"tools"`) }, "one"))
          .status,
      ).toBe(status);
  });

  test.each([
    ["a list that is cut off", `data: ${RESPONSE.slice(0, -4)}\n\n`],
    ["a method beside the result", `data: ${RESPONSE.replace("{", '{"method":"x",')}\n\n`],
    ["a key of the envelope in other case", `data: ${RESPONSE.replace("result", "Result")}\n\n`],
    ["two texts in one event", `data: ${RESPONSE}\ndata: ${RESPONSE}\n\n`],
  ])("in an event, %s: withheld, the id that waits gets its error, then the stream is cut", async (_what, body) => {
    for (const pieces of ["one", "bytes"] as const) {
      const answer = await through({ type: SSE_TYPE, body: `: first\n\n${body}` }, pieces, post(call(7)));
      expect(answer).toMatchObject({ status: 200, complete: false });
      expect(answer.body).toMatch(
        /^: first\n\ndata: \{"jsonrpc":"2\.0","id":7,"error":\{"code":-32603,.*UPSTREAM_INVALID.*\n\n$/,
      );
    }
  });

  test("a list that is larger than a plugin may read is withheld", async () => {
    const many = Array.from({ length: 200 }, (_, i) => `{"name":"delete_${i}"}`).join();
    const body = `{"jsonrpc":"2.0","id":1,"result":{"tools":[${many}]}}`;
    for (const [type, text] of [
      [JSON_TYPE, body],
      [SSE_TYPE, `data: ${body}\n\n`],
    ] as const) {
      const server = await use(
        rawServer(async (connection) => {
          await connection.receiveRequest();
          connection.send(`HTTP/1.1 200 OK\r\n${type}transfer-encoding: chunked\r\n\r\n${chunk(text)}${chunk("")}`);
        }),
      );
      const client = await use(rawClient((await use(front(server.url, filter(), { maxMessageBytes: 1000 }))).port));
      client.send(post(call()).replace("accept", "connection: close\r\naccept"));
      await within(client.ended, "the end of the answer");
      expect(client.received).not.toContain("delete_");
      expect(client.response().body).toMatch(/"id":1,"error":.*UPSTREAM_TOO_LARGE/);
    }
  });

  test.each(["error", "verdict"] as const)(
    "a filter that fails (%s) closes, with an error for the id that waits",
    async (fail) => {
      const plugins = [standard(), onMessage("down", "response", { fail }, { method: "tools/list" })];
      const json = await through({ type: JSON_TYPE, body: RESPONSE }, "one", post(call('"q"')), plugins);
      expect(json.status).toBe(fail === "error" ? 500 : 429);
      const stream = await through(
        { type: SSE_TYPE, body: `data: ${RESPONSE}\n\n` },
        "one",
        post(call('"q"')),
        plugins,
      );
      for (const { body } of [json, stream]) {
        expect(body).toMatch(/"id":"q","error":/);
        expect(body).not.toMatch(/"rm"|delete_all|secret detail/);
      }
      expect(stream.complete).toBe(false);
    },
  );

  test("an error page of the server is relayed as it is: it holds no message", async () => {
    const sent = { type: "content-type: text/plain\r\n", body: "no such session", status: "404 Not Found" };
    for (const pieces of ["one", "bytes"] as const)
      expect(await through(sent, pieces)).toMatchObject({ status: 404, body: "no such session" });
    const hidden = await through({ type: JSON_TYPE, body: RESPONSE, status: "500 Oops" }, "one");
    expect(hidden.status).toBe(500);
    expect(hidden.body).not.toMatch(/"rm"|delete_all/);
  });

  test("a list that comes again on a stream that is resumed is filtered too", async () => {
    const request = plain("GET", "/mcp", "accept: text/event-stream\r\nlast-event-id: 6\r\n");
    for (const pieces of ["one", "bytes"] as const) {
      const answer = await through({ type: SSE_TYPE, body: `id: 7\ndata: ${RESPONSE}\n\n` }, pieces, request);
      expect(answer.body).toContain("echo");
      expect(answer.body).not.toMatch(/"rm"|delete_all/);
    }
  });

  test.each([
    ["as it is", '{"name":"rm"}'],
    ["escaped", '{"name":"\\u0072m"}'],
    ["beside arguments with a name", '{"arguments":{"name":"echo"},"name":"rm"}'],
    ["a tool without a name", '{"arguments":{}}'],
    ["a name that is a list", '{"name":["rm"]}'],
    ["a name in capitals", '{"NAME":"rm"}'],
    ["params that are a list", '["rm"]'],
  ])("a denied call never reaches the server: %s", async (_what, params) => {
    const server = await use(rawServer());
    const client = await use(rawClient((await use(front(server.url, filter()))).port));
    client.send(post(call(5, "tools/call", params)));
    const { body } = await client.receiveResponse();
    expect(JSON.parse(body)).toMatchObject({ error: { message: expect.any(String) } });
    expect(server.connections).toHaveLength(0);
  });
});
