import { collect, json } from "mcp-penstock";
import { describe, expect, test } from "vitest";
import { rawClient, rawServer } from "../_harness/peers.ts";
import { counting, failing } from "../_harness/plugins.ts";
import { testScope } from "../_harness/scope.ts";
import { call, front, jsonAnswer, post } from "../_harness/wire.ts";

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

describe("onFailure", () => {
  const hooks = ["request", "forward", "response", "body"] as const;
  test.each(hooks)("deny: a %s hook that throws fails the exchange and names its plugin", async (hook) => {
    const { answer } = await exchange([failing(hook)]);
    expect(answer.status).toBe(500);
    expect(errorOf(answer.body)).toMatchObject({ code: -32_603, data: { code: "PLUGIN_FAILED" } });
    expect(answer.body).toContain("'bad'");
    expect(answer.body).not.toContain("secret");
  });

  test.each(hooks)("skip: a %s hook that throws is passed over", async (hook) => {
    const { answer, server } = await exchange([failing(hook, "error", "skip")]);
    expect(answer).toMatchObject({ status: 200, body: RESULT });
    expect(server.requests).toBe(1);
  });
});

test("slots keep what belongs to a mount and to an exchange, typed by their key", async () => {
  const server = await jsonServer();
  const client = await use(rawClient((await use(front(server.url, [counting()]))).port));
  for (const count of [1, 2]) {
    client.send(post(call()));
    expect((await client.receiveResponse()).headers["x-slots"]).toBe(`${count} true`);
  }
  expect(await collect(json(1))).toEqual(new TextEncoder().encode("1"));
});
