import { describe, expect, test } from "vitest";
import { rawClient, rawServer } from "../_harness/peers.ts";
import { onMessage } from "../_harness/plugins.ts";
import { testScope } from "../_harness/scope.ts";
import { call, front, jsonAnswer, post } from "../_harness/wire.ts";

const use = testScope();
const BIG = "9007199254740993";

/** A proxy before a server that answers every request with `answer`, and a client. */
async function setUp(plugins: unknown, answer: string | ((body: string) => string)) {
  const server = await use(
    rawServer(async (connection) => {
      for await (const { body } of connection.requests())
        connection.send(typeof answer === "string" ? answer : answer(body));
    }),
  );
  const { port } = await use(front(server.url, plugins));
  const client = await use(rawClient(port));
  const bodies = () =>
    server.connections.flatMap(({ received }) =>
      received
        .split(/\r\n\r\n/)
        .slice(1)
        .map((body) => body.split("POST ")[0]),
    );
  return { server, port, client, bodies };
}

describe("up", () => {
  test("a hook that changes nothing leaves the posted bytes as they are", async () => {
    const { client, bodies } = await setUp([onMessage("up", "request", "pass")], jsonAnswer("{}"));
    const odd = `{ "params":{"é":"\\u00e9", "n":1.0e2}, "method":"tools/list" ,"id":${BIG},"jsonrpc":"2.0" }`;
    client.send(post(odd));
    await client.receiveResponse();
    expect(bodies().map((body) => Buffer.from(body!, "latin1").toString())).toEqual([odd]);
  });

  test("a Reply is the answer, with the id as posted, and the server is never called", async () => {
    const { client, server } = await setUp(
      [onMessage("up", "request", { reply: { result: { mine: true } } })],
      jsonAnswer("{}"),
    );
    client.send(post(call(BIG)));
    const { status, body } = await client.receiveResponse();
    expect([status, body]).toEqual([200, `{"jsonrpc":"2.0","id":${BIG},"result":{"mine":true}}`]);
    expect(server.connections).toHaveLength(0);
  });

  test("null drops a notification with 202; a request may not vanish", async () => {
    const drop = [onMessage("up", "notification", "drop"), onMessage("up", "request", "drop")];
    const { client, server } = await setUp(drop, jsonAnswer("{}"));
    client.send(post('{"jsonrpc":"2.0","method":"notifications/x"}'));
    expect(await client.receiveResponse()).toMatchObject({ status: 202, body: "" });
    client.send(post(call(3)));
    const { status, body } = await client.receiveResponse();
    expect(status).toBe(500);
    expect(JSON.parse(body)).toMatchObject({ id: 3, error: { data: { code: "PLUGIN_FAILED" } } });
    expect(server.connections).toHaveLength(0);
  });

  test.each([
    ["a ProxyError is a verdict with the posted id", "verdict", "skip", 429],
    ["another error denies", "error", "deny", 500],
    ["with skip the message goes on", "error", "skip", 200],
  ] as const)("a handler that throws: %s", async (_what, fail, onFailure, status) => {
    const bad = onMessage("up", "request", { fail }, { onFailure });
    const { client, server } = await setUp([bad], jsonAnswer("{}"));
    client.send(post(call('"x"')));
    const answer = await client.receiveResponse();
    expect(answer.status).toBe(status);
    if (status !== 200) expect(JSON.parse(answer.body)).toMatchObject({ id: "x" });
    expect(answer.body).not.toContain("secret");
    expect(server.requests).toBe(status === 200 ? 1 : 0);
  });
});
