import { type Plugin, createPenstock, json } from "mcp-penstock";
import { describe, expect, test } from "vitest";
import { rawClient, rawServer, within } from "../_harness/peers.ts";
import { answering, failing, failingAnswers, markAnswers } from "../_harness/plugins.ts";
import { testScope } from "../_harness/scope.ts";
import { SSE_HEAD, call, chunk, front, jsonAnswer, plain, post } from "../_harness/wire.ts";

const use = testScope();
const RESULT = '{"jsonrpc":"2.0","id":1,"result":{}}';

async function jsonServer(text = jsonAnswer(RESULT)) {
  return use(
    rawServer(async (connection) => {
      for await (const _request of connection.requests()) connection.send(text);
    }),
  );
}

/** One request through the given plugins, and what the server saw of it. */
async function exchange(plugins: unknown, request = post(call()), text?: string) {
  const server = await jsonServer(text);
  const client = await use(rawClient((await use(front(server.url, plugins))).port));
  client.send(request);
  return { server, client, answer: await client.receiveResponse() };
}

const errorOf = (body: string) =>
  (JSON.parse(body) as { error: { code: number; message: string; data: { code: string } } }).error;

describe("order", () => {
  test("pre, normal, post; nested lists in place; falsy entries vanish; answers pass the other way round", async () => {
    const calls: string[] = [];
    const spy = (name: string, order?: "pre" | "post"): Plugin => ({
      name,
      order,
      request: () => void calls.push(`request ${name}`),
      async forward(_exchange, request, next) {
        calls.push(`forward ${name}`);
        const answer = await next(request);
        calls.push(`forwarded ${name}`);
        return answer;
      },
      response: () => void calls.push(`response ${name}`),
      body: () => void calls.push(`body ${name}`),
      done: () => void calls.push(`done ${name}`),
    });
    const off = false as boolean;
    const server = await jsonServer();
    const plugins = [
      spy("c", "post"),
      [spy("a"), [off && spy("x"), null, undefined, "", 0, [spy("b")]]],
      spy("p", "pre"),
    ];
    const client = await use(
      rawClient((await use(front(server.url, plugins, { plugins: [spy("own"), spy("own-pre", "pre")] }))).port),
    );
    client.send(post(call()));
    await client.receiveResponse();
    const inward = ["p", "own-pre", "a", "b", "own", "c"];
    const outward = inward.toReversed();
    const phase = (name: string, order: string[]) => order.map((plugin) => `${name} ${plugin}`);
    await expect
      .poll(() => calls)
      .toEqual([
        ...phase("request", inward),
        ...phase("forward", inward),
        ...phase("forwarded", outward),
        ...phase("response", outward),
        ...phase("body", outward),
        ...phase("done", inward),
      ]);
  });

  test("each config hook sees what the one before left, and none may change plugins", () => {
    const seen: number[] = [];
    const step = (name: string): Plugin => ({
      name,
      config(config) {
        seen.push(config.port ?? 0);
        return { ...config, port: (config.port ?? 0) + 1 };
      },
    });
    const input = { servers: { one: { url: "http://127.0.0.1:1", path: "/one" } }, plugins: [step("a"), step("b")] };
    createPenstock(input);
    expect(seen).toEqual([0, 1]);
    expect(input).not.toHaveProperty("port");
    const greedy: Plugin = { name: "greedy", config: (config) => ({ ...config, plugins: [] }) };
    expect(() => createPenstock({ ...input, plugins: [greedy] })).toThrow(/plugin 'greedy'.*may not change `plugins`/);
  });
});

describe("guard", () => {
  test("stands before routing, the first answer wins, and a server is never called", async () => {
    const answer = (text: string) => answering("guard", text, { status: 418 });
    const { answer: got, server } = await exchange([
      answering("guard", "", { path: "/x" }),
      answer("first"),
      answer("second"),
    ]);
    expect(got).toMatchObject({ status: 418, body: "first" });
    expect(server.connections).toHaveLength(0);
  });

  test.each([
    ["a ProxyError is a verdict, also with skip", "verdict", "skip", 429],
    ["another error denies", "error", "deny", 500],
    ["with skip it is passed over", "error", "skip", 200],
  ] as const)("%s", async (_what, failure, onFailure, status) => {
    const { answer } = await exchange([failing("guard", failure, onFailure)]);
    expect(answer.status).toBe(status);
    expect(answer.headers["retry-after"]).toBe(status === 429 ? "9" : undefined);
    expect(answer.body).not.toContain("secret");
  });
});

describe("request, response and error", () => {
  test("the first request hook that answers wins: Answer or Response, sync or async", async () => {
    const late = answering("request", '"late"');
    for (const asResponse of [false, true]) {
      const early = answering("request", '"early"', { status: 203, asResponse });
      const { answer, server } = await exchange([early, late]);
      expect([answer.status, JSON.parse(answer.body)]).toEqual([203, "early"]);
      expect(server.connections).toHaveLength(0);
    }
  });

  test.each([
    ["the server's", [], post(call()), 200],
    ["a request hook's", [answering("request", "{}")], post(call()), 200],
    ["a refusal", [], post("{"), 400],
    ["a wrong method", [], plain("PUT"), 405],
    ["a verdict", [failing("request", "verdict")], post(call()), 429],
  ])("response hooks see every answer: %s", async (_whose, plugins, request, status) => {
    const { answer } = await exchange([markAnswers(), ...plugins], request);
    expect([answer.status, answer.headers["x-seen"]]).toEqual([status, String(status)]);
  });

  test("the last plugin's error hook is asked first, and its answer goes through the response hooks", async () => {
    const asked: string[] = [];
    const on = (name: string, answers: boolean): Plugin => ({
      name,
      error: (_exchange, error) => (
        asked.push(`${name} ${error.code}`),
        answers ? json({ calm: true }, 200) : undefined
      ),
      response: (_exchange, answer) => answer.headers.set(`x-${name}`, "1"),
    });
    const { answer } = await exchange([on("a", true), on("b", true), on("c", false)], post(call()), "garbage\r\n\r\n");
    expect(asked).toEqual(["c UPSTREAM_INVALID", "b UPSTREAM_INVALID"]);
    expect(answer).toMatchObject({
      status: 200,
      body: '{"calm":true}',
      headers: { "x-a": "1", "x-b": "1", "x-c": "1" },
    });
  });

  test("a response hook that fails releases the server's stream", async () => {
    const { server, answer } = await exchange([failingAnswers()], plain("GET"), SSE_HEAD + chunk("data: 1\n\n"));
    expect(answer.status).toBe(500);
    expect(errorOf(answer.body).message).toMatch(/'broken'.*'one'/);
    expect(answer.body).not.toContain("secret");
    await within((await server.connection()).closed, "the release of the stream");
  });
});
