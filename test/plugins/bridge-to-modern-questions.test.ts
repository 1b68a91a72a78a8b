/** What a modern server wants to know of a legacy client (MCP 2026-07-28, Multi Round-Trip Requests), message by message. */
import { describe, expect, test } from "vitest";
import { bridge, standard } from "../_harness/plugins.ts";
import { testScope } from "../_harness/scope.ts";
import {
  type Asked,
  type PairOptions,
  type Rpc,
  type Serve,
  inputRequired,
  modernPair,
  toolCall,
} from "./bridge-to-modern-fixture.ts";

const use = testScope();
const ALL = { elicitation: { form: {}, url: {} }, sampling: {}, roots: {} };
const FORM = {
  method: "elicitation/create",
  params: { mode: "form", message: "Who?", requestedSchema: { type: "object" } },
};
const LINK = { method: "elicitation/create", params: { mode: "url", message: "Go there.", url: "https://x.test/" } };
const SAMPLE = { method: "sampling/createMessage", params: { messages: [], maxTokens: 9 } };
const ROOTS = { method: "roots/list" };
const SAMPLED = { role: "assistant", content: { type: "text", text: "hi" }, model: "m" };

/** A server that asks this first, and then says what it was told. */
function asking(requests: object | undefined, state?: string): Serve {
  return (asked: Asked) => {
    const { inputResponses, requestState } = asked.message.params;
    if (inputResponses === undefined && requestState === undefined) return asked.json(inputRequired(requests, state));
    const text = JSON.stringify(JSON.stringify({ inputResponses, requestState }));
    asked.result(`{"resultType":"complete","content":[{"type":"text","text":${text}}]}`);
  };
}

const told = (message: Rpc | undefined) => JSON.parse(message!.result.content[0].text) as object;
const pair = (serve: Serve, options?: PairOptions) => modernPair(use, serve, options);

describe.each([
  ["the plugin alone", undefined],
  ["standard()", standard],
])("with %s", (_what, plugins) => {
  test("questions come on the stream of their call, and the answers go up with the state as it was", async () => {
    const { open, asked } = await pair(asking({ a: FORM, b: LINK, c: SAMPLE, d: ROOTS }, "état\u0000 1"), {
      plugins: plugins?.(),
    });
    const client = await open({ capabilities: ALL });
    const call = await client.stream(toolCall(7, "t", { n: 1 }, { "com.example/x": 1 }));
    const link = await call.heard("sampling/createMessage").then(() => call.messages[1]!);
    const [form, , sample, roots] = [call.messages[0]!, link, call.messages[2]!, await call.heard("roots/list")];
    expect(form).toMatchObject(FORM);
    expect(form.params).not.toHaveProperty("elicitationId");
    expect(link).toMatchObject({ ...LINK, params: { ...LINK.params, elicitationId: expect.any(String) } });
    expect(sample).toMatchObject(SAMPLE);
    const ids = [form, link, sample, roots].map(({ id }) => id as unknown);
    expect(new Set(ids).size).toBe(4);
    for (const id of ids) expect(id).toEqual(expect.any(String));
    const answers = [{ roots: [] }, SAMPLED, { action: "accept" }, { action: "accept", content: { name: "n" } }];
    for (const [i, result] of answers.entries())
      expect((await client.post({ id: ids[3 - i], result })).status).toBe(202);
    expect(told(await call.response())).toEqual({
      inputResponses: { a: answers[3], b: answers[2], c: answers[1], d: answers[0] },
      requestState: "état\u0000 1",
    });
    expect(await call.ended).toBe("well");
    expect(call.messages.at(-1)!.id).toBe(7);
    const [first, second] = asked.entries.filter(({ message }) => message.method === "tools/call");
    expect(second!.message.id).not.toEqual(first!.message.id);
    const { inputResponses: _i, requestState: _s, ...same } = second!.message.params;
    expect(same).toEqual(first!.message.params);
    expect(second!.request.headers["mcp-name"]).toBe("t");
  });
});

test("each round carries its own answers only, and no state where there was none", async () => {
  let round = 0;
  const { open, asked } = await pair((one) => {
    round++;
    if (round === 1) return one.json(inputRequired({ a: ROOTS }, "first"));
    if (round === 2) return one.json(inputRequired({ b: ROOTS }));
    one.result('{"messages":[]}');
  });
  const client = await open({ capabilities: ALL });
  const call = await client.stream({ id: 1, method: "prompts/get", params: { name: "p" } });
  const first = await call.heard("roots/list");
  await client.post(
    `{"jsonrpc":"2.0","id":"${first.id}","result":{"roots":[{"uri":"file:///a","n":9007199254740993}]}}`,
  );
  await asked.find(({ message }) => message.params?.requestState === "first", "the first retry");
  const second = await call.heard("roots/list").then(async () => {
    await client.post({ id: first.id, result: { roots: "late" } });
    while (call.messages.length < 2) await new Promise((resolve) => setImmediate(resolve));
    return call.messages[1]!;
  });
  await client.post({ id: second.id, result: { roots: [] } });
  expect((await call.response()).result).toEqual({ messages: [] });
  const params = asked.entries.slice(1).map(({ message }) => message.params);
  expect(asked.entries[2]!.request.body).toContain('"n":9007199254740993');
  expect(params[1]).toMatchObject({ requestState: "first", inputResponses: { a: { roots: [{ uri: "file:///a" }] } } });
  expect(params[2]).not.toHaveProperty("requestState");
  expect(params[2].inputResponses).toEqual({ b: { roots: [] } });
});

test("a state without a question means: again, later", async () => {
  const { open } = await pair(asking(undefined, "busy"));
  const client = await open();
  const { message } = await client.post(toolCall(1, "t"));
  expect(told(message)).toEqual({ requestState: "busy" });
});

describe("a client that cannot answer is asked nothing", () => {
  const cases: [string, string, object, object, boolean][] = [
    ["sampling, not declared", "2025-11-25", {}, { a: SAMPLE }, false],
    ["roots, not declared", "2025-11-25", { sampling: {} }, { a: ROOTS }, false],
    ["the second of two", "2025-11-25", { roots: {} }, { a: ROOTS, b: SAMPLE }, false],
    ["a form of a client with links only", "2025-11-25", { elicitation: { url: {} } }, { a: FORM }, false],
    ["a link of a client with forms only", "2025-11-25", { elicitation: { form: {} } }, { a: LINK }, false],
    ["a link of a client with an empty declaration", "2025-11-25", { elicitation: {} }, { a: LINK }, false],
    ["a form of a client with an empty declaration", "2025-11-25", { elicitation: {} }, { a: FORM }, true],
    ["a link in 2025-06-18", "2025-06-18", { elicitation: { url: {} } }, { a: LINK }, false],
    ["a form in 2025-06-18", "2025-06-18", { elicitation: {} }, { a: FORM }, true],
    ["a form in 2025-03-26", "2025-03-26", { elicitation: {} }, { a: FORM }, false],
    ["sampling with tools", "2025-11-25", { sampling: {} }, { a: { ...SAMPLE, params: { tools: [] } } }, false],
    ["what nobody knows", "2025-11-25", ALL, { a: { method: "mind/read" } }, false],
  ];
  test.each(cases)("%s", async (_what, version, capabilities, requests, asks) => {
    const { open } = await pair(asking(requests));
    const client = await open({ version, capabilities });
    if (asks) {
      const call = await client.stream(toolCall(1, "t"));
      const { id, params } = await call.heard("elicitation/create");
      // 2025-06-18 has one mode, and no name for it.
      expect("mode" in params).toBe(version >= "2025-11-25");
      await client.post({ id, result: { action: "decline" } });
      return expect(told(await call.response())).toEqual({ inputResponses: { a: { action: "decline" } } });
    }
    const { message, messages } = await client.post(toolCall(1, "t"));
    expect(messages).toHaveLength(1);
    expect(message!.result).toMatchObject({ isError: true, content: [{ text: expect.stringContaining("declare") }] });
  });

  test("other requests end with -32603; so do those of a client that takes no stream", async () => {
    const { open } = await pair(asking({ a: SAMPLE }));
    const client = await open();
    const prompt = { id: 1, method: "prompts/get", params: { name: "p" } };
    expect((await client.post(prompt)).message!.error.code).toBe(-32603);
    const able = await open({ capabilities: ALL });
    expect((await able.post(prompt, { accept: "application/json" })).message!.error.code).toBe(-32603);
  });
});

describe("an answer that is an error", () => {
  const error = { code: -1, message: "User refused." };

  test("of an elicitation cancels it", async () => {
    const { open } = await pair(asking({ a: FORM }));
    const client = await open({ capabilities: ALL });
    const call = await client.stream(toolCall(1, "t"));
    await client.post({ id: (await call.heard("elicitation/create")).id, error });
    expect(told(await call.response())).toEqual({ inputResponses: { a: { action: "cancel" } } });
  });

  test("of anything else ends the call, and takes back what is still open", async () => {
    const { open, methods } = await pair(asking({ a: SAMPLE, b: ROOTS }));
    const client = await open({ capabilities: ALL });
    const call = await client.stream(toolCall(1, "t"));
    const other = await call.heard("roots/list");
    await client.post({ id: (await call.heard("sampling/createMessage")).id, error });
    expect((await call.response()).error).toMatchObject({
      code: -32603,
      message: expect.stringContaining("User refused."),
    });
    expect((await call.heard("notifications/cancelled")).params.requestId).toBe(other.id);
    expect(methods().filter((method) => method === "tools/call")).toHaveLength(1);
  });
});

describe("bounds", () => {
  test("more rounds than may be: -32603", async () => {
    const { open, methods } = await pair((asked) => asked.json(inputRequired({ a: ROOTS }, "again")), {
      plugins: [bridge({ maxRounds: 2 })],
    });
    const client = await open({ capabilities: ALL });
    const call = await client.stream(toolCall(1, "t"));
    for (let round = 0; round < 2; round++) {
      while (call.messages.length <= round) await new Promise((resolve) => setImmediate(resolve));
      await client.post({ id: call.messages[round]!.id, result: { roots: [] } });
    }
    expect((await call.response()).error).toMatchObject({ code: -32603, message: expect.stringContaining("2 times") });
    expect(methods().filter((method) => method === "tools/call")).toHaveLength(3);
  });

  test("a question that nobody answers in time: taken back, and -32603", async () => {
    const { open } = await pair(asking({ a: ROOTS }), { plugins: [bridge({ questionTimeout: 50 })] });
    const client = await open({ capabilities: ALL });
    const call = await client.stream(toolCall(1, "t"));
    const { id } = await call.heard("roots/list");
    expect((await call.response()).error.code).toBe(-32603);
    expect((await call.heard("notifications/cancelled")).params.requestId).toBe(id);
  });

  test("a client that left has its server worked on for it so long, and no longer", async () => {
    const { open, seen } = await pair((asked) => asked.progress(1), { plugins: [bridge({ holdTimeout: 50 })] });
    const client = await open();
    const call = await client.stream(toolCall(1, "t", {}, { progressToken: 1 }));
    await call.heard("notifications/progress");
    call.leave();
    await (
      await seen("tools/call")
    ).connection.closed;
  });

  test.each([
    ["asks", inputRequired({ a: ROOTS })],
    ["puts off", inputRequired(undefined, "later")],
  ])("a server that %s a client that left is not asked again", async (_what, result) => {
    let asked: Asked | undefined;
    const { open, seen, methods } = await pair((one) => {
      if (one.message.method !== "tools/call") return one.result('{"prompts":[]}');
      asked = one;
      one.progress(1);
    });
    const client = await open({ capabilities: ALL });
    const call = await client.stream(toolCall(1, "t", {}, { progressToken: 1 }));
    await seen("tools/call");
    await call.heard("notifications/progress");
    call.leave();
    await client.post({ id: 2, method: "prompts/list" });
    asked!.respond(result);
    await client.post({ id: 3, method: "prompts/list" });
    // A retry would come after 250 ms.
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(methods().filter((method) => method === "tools/call")).toHaveLength(1);
  });
});

test("cancelled while it waits for an answer: the stream ends, and nothing is sent again", async () => {
  const { open, methods } = await pair(asking({ a: ROOTS }));
  const client = await open({ capabilities: ALL });
  const call = await client.stream(toolCall(1, "t"));
  const { id } = await call.heard("roots/list");
  await client.post({ method: "notifications/cancelled", params: { requestId: 1 } });
  expect(await call.ended).toBe("well");
  await client.post({ id, result: { roots: [] } });
  await client.post({ id: 2, method: "ping" });
  expect(methods()).toEqual(["server/discover", "tools/list", "tools/call"]);
});

test("a session is asked by its own calls only, and answers for itself only", async () => {
  const { open, methods } = await pair(asking({ a: ROOTS }));
  const [mine, other] = [await open({ capabilities: ALL }), await open({ capabilities: ALL })];
  const call = await mine.stream(toolCall(1, "t"));
  const { id } = await call.heard("roots/list");
  await other.post({ id, result: { roots: ["stolen"] } });
  await other.post({ method: "notifications/cancelled", params: { requestId: 1 } });
  expect(methods().filter((method) => method === "tools/call")).toHaveLength(1);
  await mine.post({ id, result: { roots: [] } });
  expect(told(await call.response())).toEqual({ inputResponses: { a: { roots: [] } } });
});

test.each([
  ["breaks", (asked: Asked) => asked.connection.reset()],
  ["has no time", (asked: Asked) => asked.error(-32603, "503 Service Unavailable")],
  ["wants to know the caller", (asked: Asked) => asked.error(-32603, "401 Unauthorized")],
])("a server that %s after the first round: -32603 on the stream, and it is not tried again", async (_what, fail) => {
  let calls = 0;
  const serve: Serve = (asked) => (calls++ === 0 ? asked.json(inputRequired({ a: ROOTS })) : fail(asked));
  const { open } = await pair(serve, { plugins: standard() });
  const client = await open({ capabilities: ALL });
  const call = await client.stream({ id: 1, method: "prompts/get", params: { name: "p" } });
  await client.post({ id: (await call.heard("roots/list")).id, result: { roots: [] } });
  expect((await call.response()).error.code).toBe(-32603);
  expect(calls).toBe(2);
});
