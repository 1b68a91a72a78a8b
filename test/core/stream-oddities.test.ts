import { expect, test } from "vitest";
import { rawClient, within } from "../_harness/peers.ts";
import { onMessage, standard } from "../_harness/plugins.ts";
import { testScope } from "../_harness/scope.ts";
import { scripted } from "../_harness/scripted.ts";
import { SSE_HEAD, call, chunk, front, jsonAnswer, plain, post } from "../_harness/wire.ts";

const use = testScope();
const HUGE = "9007199254740993";

/** What a client reads whose request is answered like this. @param last how the answer ends */
async function read(
  answer: string,
  request: string,
  plugins: unknown,
  last = /\r\n\r\n[^]*\}$/,
): Promise<{ body: string }> {
  const { server } = await scripted(() => answer);
  await use(server);
  const client = await use(rawClient((await use(front(server.url, plugins))).port));
  client.send(request);
  await client.receive(last);
  return client.response();
}

test("an error in the middle of a stream names its server", async () => {
  const { server } = await scripted(() => SSE_HEAD + chunk('data: {"id" broken\n\n'));
  await use(server);
  const client = await use(rawClient((await use(front(server.url, [onMessage("down", "response", "pass")]))).port));
  client.send(post(call()));
  await within(client.ended, "the cut");
  expect(client.response()).toMatchObject({ status: 200, complete: false });
  expect(client.received).toContain("Server 'one' answered with something");
});

test.each([
  ["by a bad chunk", "zz\r\n"],
  ["by a message that no hook can read", chunk('data: {"id" broken\n\n')],
])(
  "an answer that is cut before its first byte, %s, has a head: nobody may think that it was never asked",
  async (_, body) => {
    const { server } = await scripted(() => SSE_HEAD + body);
    await use(server);
    const client = await use(rawClient((await use(front(server.url, [onMessage("down", "response", "pass")]))).port));
    client.send(plain("GET"));
    await within(client.ended, "the cut");
    expect(client.response()).toMatchObject({ status: 200, complete: false, body: "" });
  },
);

test.each([
  ["a key that stands twice", `{"jsonrpc":"2.0","id":${HUGE},"result":{"a":1,"a":2}}`],
  ["an id that stands twice", `{"jsonrpc":"2.0","id":1,"result":{"id":3},"\\u0069d" : ${HUGE}}`],
  ["a byte order mark", `\uFEFF{"jsonrpc":"2.0","id":${HUGE},"result":{}}`],
])("a message with %s is written anew, with its id as it was", async (_, text) => {
  const { body } = await read(jsonAnswer(text), post(call(HUGE)), [onMessage("down", "response", "pass")]);
  expect(body).toContain(`"id":${HUGE},`);
});

test("what a server left out is not added", async () => {
  const { body } = await read(jsonAnswer(`\uFEFF{"id":1,"result":{}}`), post(call()), [
    onMessage("down", "response", "pass"),
  ]);
  expect(JSON.parse(body)).toEqual({ id: 1, result: {} });
});

test("a stream without a last blank line is made whole for standard() too, however it arrives", async () => {
  const event = 'data: {"jsonrpc":"2.0","id":1,"result":{}}\n';
  const { body } = await read(SSE_HEAD + chunk(event) + chunk(""), post(call()), [standard()], /\r\n0\r\n\r\n$/);
  expect(body).toBe(`${event}\n\n`);
});

test.each(["dataX", "data "])(
  "what looks like an answer behind '%s' is no data: the request gets its error",
  async (field) => {
    const event = `${field}{"jsonrpc":"2.0","id":1,"result":{}}\n\n`;
    const { body } = await read(SSE_HEAD + chunk(event) + chunk(""), post(call()), [standard()], /\r\n0\r\n\r\n$/);
    expect(body).toContain("UPSTREAM_BROKE");
  },
);
