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
