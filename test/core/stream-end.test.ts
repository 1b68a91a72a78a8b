import { describe, expect, test } from "vitest";
import { type Plugin, createPenstock } from "mcp-penstock";
import { rawServer } from "../_harness/peers.ts";
import { testScope } from "../_harness/scope.ts";
import { messagesOf, readEvents } from "./sse-reference.ts";

const use = testScope();
const watch: Plugin = {
  name: "watch",
  message: { filter: { direction: "down", kind: "response" }, handler: () => undefined },
};

/** What a client reads of a call whose server sends these bytes and then ends its stream well. */
async function answerTo(stream: string, plugin: Plugin = watch): Promise<{ text: string; messages: unknown[] }> {
  const upstream = await use(
    rawServer(async (connection) => {
      await connection.receiveRequest();
      connection.send(
        `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: ${Buffer.byteLength(stream)}\r\n\r\n${stream}`,
      );
    }),
  );
  const penstock = createPenstock({ servers: { a: { url: upstream.url, path: "/mcp" } }, plugins: [plugin] });
  try {
    const response = await penstock.fetch(
      new Request("http://x/mcp", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: '{"jsonrpc":"2.0","id":7,"method":"tools/call"}',
      }),
    );
    const text = await response.text();
    return { text, messages: messagesOf(readEvents(Buffer.from(text)).events) };
  } finally {
    await penstock.close();
  }
}

test("a response that no blank line follows is made whole: clients that go by the standard would not see it", async () => {
  const stream = 'data: {"jsonrpc":"2.0","id":7,"result":{}}';
  const { text, messages } = await answerTo(stream);
  expect(text).toBe(`${stream}\n\n`);
  expect(messages).toMatchObject([{ id: 7, result: {} }]);
});

describe("what looks like a response and is none does not answer, where no hook reads responses", () => {
  const requests: Plugin = {
    name: "requests",
    message: { filter: { direction: "down", kind: "request" }, handler: () => undefined },
  };
  const response = '{"jsonrpc":"2.0","id":7,"result":{}}';
  test.each([
    ["an event of another type", `event: ping\ndata: ${response}\n\n`],
    ["a comment", `: ${response}\n\n`],
    ["a result without an id, also where it is all here at once", 'data: {"jsonrpc":"2.0","result":{}}\n\n'],
  ])("%s", async (_, stream) => {
    const { messages } = await answerTo(stream, requests);
    expect(messages.at(-1)).toMatchObject({ id: 7, error: { data: { code: "UPSTREAM_BROKE" } } });
  });

  test.each([
    ["an event whose type is message", `event: message\ndata: ${response}\n\n`],
    ["an event whose last type is message", `event: ping\nevent:message\r\ndata: ${response}\n\n`],
    ["an event behind a byte order mark", `\uFEFFdata: ${response}\n\n`],
    ["an event with a key that is named event", `data: {"jsonrpc":"2.0","id":7,\ndata:"result":{"event":1}}\n\n`],
  ])("%s does", async (_, stream) => {
    expect((await answerTo(stream, requests)).text).toBe(stream.replace("\uFEFF", ""));
  });
});
