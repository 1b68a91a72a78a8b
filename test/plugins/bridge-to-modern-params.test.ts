/** Arguments that are mirrored by header fields (MCP 2026-07-28, Transports; SEP-2243): what tools declare, and what is sent. */
import { describe, expect, test } from "vitest";
import { testScope } from "../_harness/scope.ts";
import { type Asked, modernPair, toolCall } from "./bridge-to-modern-fixture.ts";

const use = testScope();
const DONE = '{"resultType":"complete","content":[]}';
const LISTED = (tools: object[], nextCursor?: string) =>
  JSON.stringify({ resultType: "complete", tools, nextCursor, ttlMs: 0, cacheScope: "private" });
const tool = (name: string, properties: object, more: object = {}) => ({
  name,
  inputSchema: { type: "object", properties, ...more },
});
const text = { type: "string" };
const header = (name: unknown, type: unknown = "string") => ({ type, "x-mcp-header": name });
const paramsOf = ({ request }: Asked) =>
  Object.fromEntries(Object.entries(request.headers).filter(([name]) => name.startsWith("mcp-param-")));
const base64 = (value: string) => `=?base64?${Buffer.from(value).toString("base64")}?=`;

describe("a call", () => {
  const properties = {
    region: header("Region"),
    count: header("Count", "integer"),
    dry: header("Dry-Run", "boolean"),
    where: { type: "object", properties: { zone: header("Zone"), other: text } },
  };
  const cases: [string, string, object][] = [
    [
      "texts, numbers and truth values",
      '{"region":"eu","count":42,"dry":false}',
      { region: "eu", count: "42", "dry-run": "false" },
    ],
    ["what lies deeper", '{"where":{"zone":"z1","other":"no"}}', { zone: "z1" }],
    ["what is null or not there", '{"region":null}', {}],
    ["every digit", '{"count":9007199254740993}', { count: "9007199254740993" }],
    ["a number written otherwise", '{"count":1.5e3}', { count: "1500" }],
    ["letters beyond ASCII", '{"region":"Zürich"}', { region: base64("Zürich") }],
    ["a line break", String.raw`{"region":"a\r\nb: c"}`, { region: base64("a\r\nb: c") }],
    ["blanks at an end", '{"region":" eu"}', { region: base64(" eu") }],
    ["nothing", '{"region":""}', { region: "=?base64??=" }],
    ["what looks encoded", '{"region":"=?base64?eA==?="}', { region: base64("=?base64?eA==?=") }],
    ["arguments that fit no schema", '{"region":{"a":1},"where":"x"}', {}],
  ];
  test.each(cases)("mirrors %s", async (_what, args, expected) => {
    const { open, seen } = await modernPair(use, (asked) => asked.result(DONE), { tools: [tool("t", properties)] });
    const client = await open();
    await client.post(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":${args}}}`);
    const named = Object.entries(expected).map(([name, value]) => [`mcp-param-${name}`, value as string]);
    const asked = await seen("tools/call");
    expect(paramsOf(asked)).toEqual(Object.fromEntries(named));
    expect(asked.request.body).toContain(`"arguments":${args}`);
  });

  test.each([
    ["tools/call", '{"name":5}'],
    ["prompts/get", "{}"],
    ["resources/read", '{"uri":null}'],
  ])("%s of %s is a mistake of the client, and goes no further", async (method, params) => {
    const { open, methods } = await modernPair(use, (asked) => asked.result(DONE));
    const client = await open();
    const { message } = await client.post(`{"jsonrpc":"2.0","id":1,"method":"${method}","params":${params}}`);
    expect(message?.error?.code).toBe(-32602);
    expect(methods()).not.toContain(method);
  });

  test("lists the tools once, page by page, for all calls; one that is not there is not looked for again at once", async () => {
    const pages: Record<string, string> = {
      first: LISTED([tool("a", { x: header("X") })], "second"),
      second: LISTED([tool("b", { y: header("Y") })]),
    };
    const serve = (asked: Asked) => {
      const { method, params } = asked.message;
      asked.result(method === "tools/list" ? pages[params.cursor ?? "first"]! : DONE);
    };
    const { open, asked, methods } = await modernPair(use, serve, { tools: null });
    const client = await open({ capabilities: { roots: {} } });
    await Promise.all([client.post(toolCall(1, "b", { y: "1" })), client.post(toolCall(2, "a", { x: "2" }))]);
    await client.post(toolCall(3, "nobody"));
    expect(methods().filter((method) => method === "tools/list")).toHaveLength(2);
    const calls = asked.entries.filter(({ message }) => message.method === "tools/call");
    expect(calls.map(paramsOf).toSorted((a, b) => Object.keys(b).length - Object.keys(a).length)).toEqual(
      expect.arrayContaining([{ "mcp-param-x": "2" }, { "mcp-param-y": "1" }, {}]),
    );
    const list = asked.entries.find(({ message }) => message.method === "tools/list");
    expect(list!.meta("clientCapabilities")).toEqual({ roots: {} });
    expect(list!.request.headers).toMatchObject({ "mcp-method": "tools/list", "mcp-protocol-version": "2026-07-28" });
  });

  test("learns from the list that the client asks for", async () => {
    const { open, seen, methods } = await modernPair(use, (asked) => asked.result(DONE), {
      tools: [tool("t", { x: header("X") })],
    });
    const client = await open();
    await client.post({ id: 1, method: "tools/list" });
    await client.post(toolCall(2, "t", { x: "1" }));
    expect(paramsOf(await seen("tools/call"))).toEqual({ "mcp-param-x": "1" });
    expect(methods()).toEqual(["server/discover", "tools/list", "tools/call"]);
  });

  test("goes without them where the tools cannot be listed", async () => {
    const serve = (asked: Asked) => (asked.message.method === "tools/list" ? asked.error(-32603) : asked.result(DONE));
    const { open } = await modernPair(use, serve, { tools: null });
    const client = await open();
    expect((await client.post(toolCall(1, "t"))).message!.result).toEqual({ content: [] });
  });
});

describe("-32020", () => {
  /** A server whose tool is another one from the second list on. @param takes whether it is content then */
  const renamed = (takes: boolean) => {
    let lists = 0;
    return (asked: Asked) => {
      if (asked.message.method === "tools/list") return asked.result(LISTED([tool("t", { x: header(`X${++lists}`) })]));
      if (takes && asked.request.headers["mcp-param-x2"] === "1") return asked.result(DONE);
      asked.error(-32020, "400 Bad Request");
    };
  };

  test("refreshes the list, and the call is sent again, once: it had not run", async () => {
    const { open, methods, asked } = await modernPair(use, renamed(true), { tools: null });
    const client = await open();
    expect((await client.post(toolCall(1, "t", { x: "1" }))).message!.result).toEqual({ content: [] });
    expect(methods()).toEqual(["server/discover", "tools/list", "tools/call", "tools/list", "tools/call"]);
    expect(paramsOf(asked.entries.at(-1)!)).toEqual({ "mcp-param-x2": "1" });
  });

  test("that comes again is -32603", async () => {
    const { open, methods } = await modernPair(use, renamed(false), { tools: null });
    const client = await open();
    expect((await client.post(toolCall(1, "t", { x: "1" }))).message!.error.code).toBe(-32603);
    expect(methods().filter((method) => method === "tools/call")).toHaveLength(2);
  });
});

describe("a list leaves out a tool whose annotation", () => {
  const cases: [string, object][] = [
    ["is empty", tool("t", { x: header("") })],
    ["is no token", tool("t", { x: header("a b") })],
    ["has a line break", tool("t", { x: header("a\r\nb") })],
    ["is no text", tool("t", { x: header(1) })],
    ["is there twice, but for case", tool("t", { x: header("A"), y: header("a") })],
    ["is of a number", tool("t", { x: header("A", "number") })],
    ["is of an object", tool("t", { x: header("A", "object") })],
    ["is of no type", tool("t", { x: { "x-mcp-header": "A" } })],
    ["is of the whole", { name: "t", inputSchema: header("A", "object") }],
    ["is in an array", tool("t", { x: { type: "array", items: header("A") } })],
    ["is in a definition", tool("t", { x: { $ref: "#/$defs/x" } }, { $defs: { x: header("A") } })],
    ["is in a choice", tool("t", { x: { anyOf: [header("A"), text] } })],
    ["is in a condition", tool("t", { x: text }, { if: { properties: { x: header("A") } } })],
    ["is in a pattern", tool("t", {}, { patternProperties: { "^x": header("A") } })],
  ];
  test.each(cases)("%s", async (_what, bad) => {
    const good = tool("good", { "x-mcp-header": text, a: header("A"), b: header("B", "integer") });
    const { open } = await modernPair(use, () => {}, { tools: [bad, good] });
    const client = await open();
    const { message } = await client.post({ id: 1, method: "tools/list" });
    expect(message!.result.tools).toEqual([good]);
  });
});
