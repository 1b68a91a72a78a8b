/** `requestState` of modern servers whose requests a hook changes (MCP 2026-07-28, Multi Round-Trip Requests). */
import { describe, expect, test } from "vitest";
import { apiKeys, bridge, renaming, standard } from "../_harness/plugins.ts";
import { testScope } from "../_harness/scope.ts";
import { idOf, methodOf, scripted } from "../_harness/scripted.ts";
import { SSE_HEAD, chunk, front, jsonAnswer } from "../_harness/wire.ts";

const use = testScope();
const META = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientCapabilities": {},
};
const DISCOVERED =
  '{"supportedVersions":["2026-07-28"],"capabilities":{},"resultType":"complete","ttlMs":0,"cacheScope":"private"}';
const KEYS = { ann: "ann-3f8a1c5e7b9d2046", bob: "bob-9c2e4a6f8d1b3750" };
const STATE = "round \\u0022one\\u0022 of größe";
const BIG = "12345678901234567890";

type Form = "JSON" | "an event stream" | "JSON in pieces";
interface Sent {
  name: string;
  arguments: object;
  requestState?: unknown;
  inputResponses?: object;
}

/** A server that asks twice, and takes back the state that it gave. */
async function asking(form: Form, plugins: unknown, config: object = { era: "modern" }) {
  const given = [JSON.parse(`"${STATE}"`) as string, "second"];
  const made = await scripted(
    (request) => {
      if (methodOf(request) !== "tools/call")
        return jsonAnswer(`{"jsonrpc":"2.0","id":${idOf(request)},"result":${DISCOVERED}}`);
      const { id, params } = JSON.parse(request.body.replace(BIG, `"${BIG}"`)) as { id: unknown; params: Sent };
      const round = params.requestState === undefined ? 0 : given.indexOf(params.requestState as string) + 1;
      const state = round === 0 ? `"${STATE}"` : JSON.stringify(given[round]);
      const result =
        round === 2
          ? `{"resultType":"complete","content":[],"big":${BIG}}`
          : `{"resultType":"input_required",  "requestState":${state},"big":${BIG}}`;
      const text = `{"jsonrpc":"2.0","id":${id === BIG ? BIG : JSON.stringify(id)},"result":${result}}`;
      if (form === "JSON") return jsonAnswer(text);
      if (form === "an event stream")
        return `${SSE_HEAD}${chunk(`: hello\n\ndata: ${text.slice(0, 30)}`)}${chunk(`${text.slice(30)}\n\n`)}${chunk("")}`;
      const head = SSE_HEAD.replace("text/event-stream", "application/json");
      return `${head}${chunk(text.slice(0, 50))}${chunk(text.slice(50))}${chunk("")}`;
    },
    { discovers: true, handshakes: true },
  );
  await use(made.server);
  const { url } = await use(front(made.server.url, plugins, config));
  const calls = () => made.requests.filter((one) => methodOf(one) === "tools/call");
  return {
    calls,
    /** What the server was sent last. */
    last: () => JSON.parse(calls().at(-1)!.body).params as Sent,
    async call(params: Sent, { key = KEYS.ann, id = "1" } = {}) {
      const answer = await fetch(`${url}/mcp`, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          accept: "application/json, text/event-stream",
          "mcp-protocol-version": "2026-07-28",
          "mcp-method": "tools/call",
          "mcp-name": params.name,
          "x-api-key": key,
        },
        body: `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":${JSON.stringify({ ...params, _meta: META })}}`,
      });
      const text = await answer.text();
      const json = /^data: (.*)$/m.exec(text)?.[1] ?? text;
      const { result, error } = JSON.parse(json) as {
        result?: { requestState?: string };
        error?: { code: number; data: { code: string } };
      };
      return { status: answer.status, text, state: result?.requestState, result, error };
    },
  };
}

const REFUSED = { status: 400, error: { code: -32602, data: { code: "INVALID_REQUEST_STATE" } } };
const FORMS: Form[] = ["JSON", "an event stream", "JSON in pieces"];

describe.each(FORMS)("%s", (form) => {
  test("the state that a client of a renamed tool has is good for two rounds of this call, and tells nothing", async () => {
    const { call, last } = await asking(form, [renaming("tool", "real"), bridge()]);
    const ask = { name: "tool", arguments: { a: 1, b: [2] } };
    const first = await call(ask, { id: BIG });
    expect(first.state).toMatch(/^[\w-]+$/);
    expect(first.text).toContain(`"id":${BIG},"result":`);
    expect(first.text).toContain(`"big":${BIG}`);
    // The same as JSON, in another order.
    const second = await call({
      name: "tool",
      arguments: { b: [2], a: 1 },
      requestState: first.state,
      inputResponses: { q: { roots: [] } },
    });
    expect(last()).toMatchObject({
      name: "real",
      requestState: JSON.parse(`"${STATE}"`) as string,
      inputResponses: { q: { roots: [] } },
    });
    expect(second.state).toMatch(/^[\w-]+$/);
    const third = await call({ ...ask, requestState: second.state }, { id: BIG });
    expect(last().requestState).toBe("second");
    expect(third.result).toMatchObject({ resultType: "complete" });
    expect(third.text).toContain(`"id":${BIG},"result":`);
  });

  test("where nothing was changed, every byte passes, both ways", async () => {
    for (const plugins of [[renaming("tool", "real"), bridge()], [...standard()]]) {
      const { call, calls } = await asking(form, plugins);
      const first = await call({ name: "other", arguments: {} });
      expect(first.text).toContain(`"result":{"resultType":"input_required",  "requestState":"${STATE}","big":${BIG}}`);
      await call({ name: "other", arguments: {}, requestState: first.state });
      expect(calls().at(-1)!.body).toContain(`"requestState":${JSON.stringify(first.state)}`);
    }
  });
});

test("another request, another caller, another server's state: refused, and nothing is sent", async () => {
  const plugins = [apiKeys({ keys: KEYS }), renaming("tool", "real"), bridge()];
  const { call, calls } = await asking("JSON", plugins);
  const { state } = await call({ name: "tool", arguments: { a: 1 } });
  const wrong: [Sent, key?: string][] = [
    [{ name: "tool", arguments: { a: 2 } }],
    // The same one for the server.
    [{ name: "tool-2", arguments: { a: 1 } }],
    [{ name: "tool", arguments: { a: 1 } }, KEYS.bob],
  ];
  for (const [params, key] of wrong)
    expect(await call({ ...params, requestState: state }, { key })).toMatchObject(REFUSED);
  for (const requestState of ["second", "", 1, null, {}, `${state}A`])
    expect(await call({ name: "tool", arguments: { a: 1 }, requestState })).toMatchObject(REFUSED);
  expect(calls()).toHaveLength(1);
  expect((await call({ name: "tool", arguments: { a: 1 }, requestState: state })).status).toBe(200);
});

test("it expires", async () => {
  const { call, calls } = await asking("JSON", [renaming("tool", "real"), bridge({ questionTimeout: 1 })]);
  const { state } = await call({ name: "tool", arguments: {} });
  const now = Date.now();
  await expect.poll(() => Date.now() - now).toBeGreaterThan(1);
  expect(await call({ name: "tool", arguments: {}, requestState: state })).toMatchObject(REFUSED);
  expect(calls()).toHaveLength(1);
});

test("the same where the server was asked first what it is", async () => {
  const { call, last } = await asking("JSON", [renaming("tool", "real"), bridge()], {});
  const { state } = await call({ name: "tool", arguments: {} });
  await call({ name: "tool", arguments: {}, requestState: state });
  expect(state).toMatch(/^[\w-]+$/);
  expect(last().requestState).toBe(JSON.parse(`"${STATE}"`));
});
