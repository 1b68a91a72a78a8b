import { expect, it } from "vitest";
import { type Frame, type Message, fromResponse } from "mcp-penstock";
import { toolFilter } from "mcp-penstock/plugins/tool-filter";
import { type Recorded, fakeServer, testPlugin } from "mcp-penstock/testing";

const LIST = { tools: [{ name: "echo" }, { name: "delete_all" }, { name: "rm" }] };

/** A server that answers `tools/list` with exactly these bytes. */
function listing(body: string, headers: Record<string, string>) {
  return fakeServer((recorded) =>
    recorded.message?.method === "tools/list" ? fromResponse(new Response(body, { headers })) : undefined,
  );
}

async function namesOf(
  body: string,
  headers: Record<string, string>,
  socket = false,
): Promise<{ status: number; text: string }> {
  const test = await testPlugin(toolFilter({ deny: ["delete_*", "rm"] }), { server: listing(body, headers), socket });
  const { status, text } = await test.request("tools/list");
  await test.close();
  return { status, text };
}

const JSON_TYPE = { "content-type": "application/json" };
const SSE_TYPE = { "content-type": "text/event-stream" };
const response = (result: unknown) => ({ jsonrpc: "2.0", id: 1, result });

it("removes denied tools from a list, and keeps the rest as it was", async () => {
  const test = await testPlugin(toolFilter({ deny: ["delete_*"] }));
  const { message } = await test.request("tools/list");
  expect((message!.result!.tools as { name: string }[]).map(({ name }) => name)).toEqual(["echo", "add"]);
  await test.close();
});

it("leaves a list without denied tools byte for byte", async () => {
  const body = '{ "jsonrpc":"2.0", "result":{"tools":[{"name":"echo","x":1.0}]},\n "id":9007199254740993 }';
  expect(await namesOf(body, JSON_TYPE)).toEqual({ status: 200, text: body });
});

it("keeps an id beyond 2^53 when it changes the list", async () => {
  const { text } = await namesOf(
    '{"jsonrpc":"2.0","id":9007199254740993,"result":{"tools":[{"name":"rm"}]}}',
    JSON_TYPE,
  );
  expect(text).toBe('{"jsonrpc":"2.0","id":9007199254740993,"result":{"tools":[]}}');
});

it.each([
  ["a byte order mark before JSON", `\uFEFF${JSON.stringify(response(LIST))}`, JSON_TYPE],
  ["a byte order mark before an event", `\uFEFFdata: ${JSON.stringify(response(LIST))}\n\n`, SSE_TYPE],
  [
    "data split over lines",
    `event: message\ndata: {"jsonrpc":"2.0","id":1,\ndata: "result":${JSON.stringify(LIST)}}\n\n`,
    SSE_TYPE,
  ],
  ["CR line ends", `data: ${JSON.stringify(response(LIST))}\r\r`, SSE_TYPE],
  ["no blank line at the end", `data: ${JSON.stringify(response(LIST))}\n`, SSE_TYPE],
  ["an escaped key", `data: {"jsonrpc":"2.0","id":1,"\\u0072esult":${JSON.stringify(LIST)}}\n\n`, SSE_TYPE],
  ["a missing content type", JSON.stringify(response(LIST)), {}],
  ["another content type", JSON.stringify(response(LIST)), { "content-type": "text/plain" }],
  ["an error beside the result", JSON.stringify({ ...response(LIST), error: { code: 1, message: "x" } }), JSON_TYPE],
  [
    "a second result",
    `{"jsonrpc":"2.0","id":1,"result":${JSON.stringify(LIST)},"result":{"tools":[{"name":"echo"}]}}`,
    JSON_TYPE,
  ],
  ["a batch", JSON.stringify([response(LIST)]), JSON_TYPE],
  ["an answer for another id", `data: ${JSON.stringify({ ...response(LIST), id: 99 })}\n\n`, SSE_TYPE],
  ["tools that are no list", JSON.stringify(response({ tools: { 0: { name: "rm" } } })), JSON_TYPE],
  ["escaped names", '{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"\\u0072m"}]}}', JSON_TYPE],
])("lets no denied tool through %s", async (_trick, body, headers) => {
  for (const socket of [false, true]) {
    const { text } = await namesOf(body, headers as Record<string, string>, socket);
    const plain = text.replaceAll("\\u0072", "r");
    expect(plain).not.toMatch(/"rm"|delete_all/);
  }
});

it.each([
  ["a method beside the result", JSON.stringify({ ...response(LIST), method: "x" }), JSON_TYPE],
  ["what is not JSON", "<html>rm</html>", { "content-type": "text/html" }],
  ["a content coding", JSON.stringify(response(LIST)), { ...JSON_TYPE, "content-encoding": "x-secret" }],
])("withholds %s", async (_trick, body, headers) => {
  const { status, text } = await namesOf(body, headers);
  expect(status).toBe(502);
  expect(JSON.parse(text)).toMatchObject({ id: 1, error: { code: -32603, data: { code: "UPSTREAM_INVALID" } } });
});

it("relays an error page of the server as it is", async () => {
  const server = fakeServer(() =>
    fromResponse(new Response("no such session", { status: 404, headers: { "content-type": "text/plain" } })),
  );
  const test = await testPlugin(toolFilter({ deny: ["rm"] }), { server });
  expect(await test.request("tools/list")).toMatchObject({ status: 404, text: "no such session" });
  await test.close();
});

it("filters a list that comes again on a resumed stream, where nobody knows what it answers", async () => {
  async function* resumed(): AsyncGenerator<Frame> {
    yield { id: "7", message: response(LIST) as unknown as Message };
  }
  const server = fakeServer((recorded: Recorded) => (recorded.method === "GET" ? resumed() : undefined));
  const test = await testPlugin(toolFilter({ deny: ["rm", "delete_*"] }), { server });
  const answer = await test.fetch({ headers: { accept: "text/event-stream", "last-event-id": "6" } });
  const text = await answer.text();
  expect(text).toContain("echo");
  expect(text).not.toMatch(/"rm"|delete_all/);
  await test.close();
});

it("answers a call of a denied tool like a call of an unknown one, and does not ask the server", async () => {
  const test = await testPlugin(toolFilter({ allow: ["echo", /^ad/], deny: ["delete_*"] }));
  for (const name of ["delete_all", "rm", "echo2", undefined]) {
    const { status, message } = await test.request("tools/call", { name, arguments: {} });
    expect(status).toBe(200);
    expect(message!.error).toEqual({ code: -32602, message: `Unknown tool: ${name}` });
  }
  expect(test.server.requests).toEqual([]);
  expect((await test.request("tools/call", { name: "echo" })).message!.result).toBeDefined();
  expect((await test.request("tools/call", { name: "add" })).message!.result).toBeDefined();
  await test.close();
});

it("refuses a call whose Mcp-Name header says something else than the body", async () => {
  const test = await testPlugin(toolFilter({ deny: ["rm"] }));
  const call = (mirror: string) => test.request("tools/call", { name: "echo" }, { headers: { "mcp-name": mirror } });
  expect(await call("rm")).toMatchObject({ status: 400, message: { error: { code: -32020 } } });
  expect(await call("=?base64?cm0=?=")).toMatchObject({ status: 400 });
  expect(await call("=?base64?ZWNobw==?=")).toMatchObject({ status: 200 });
  expect(await call("echo")).toMatchObject({ status: 200 });
  await test.close();
});

it("shows nothing when the list of allowed tools is empty", async () => {
  const test = await testPlugin(toolFilter({ allow: [] }));
  expect((await test.request("tools/list")).message!.result).toEqual({ tools: [] });
  await test.close();
});

it("does not start with options that say nothing", () => {
  expect(() => toolFilter({})).toThrow(/allow.*deny/);
  expect(() => toolFilter({ deny: [""] })).toThrow(/tool-filter/);
});
