/** MCP 2026-07-28, Streamable HTTP: no stream ends without an answer to its request, though nobody reads what passes. */
import { expect, test } from "vitest";
import { rawClient, rawServer } from "../_harness/peers.ts";
import { standard } from "../_harness/plugins.ts";
import { testScope } from "../_harness/scope.ts";
import { SSE_HEAD, chunk, front, post } from "../_harness/wire.ts";

const use = testScope();

const ENVELOPE =
  '{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}';
const HEAD = "content-type: application/json\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/list\r\n";
const ID = "12345678901234567890";
const PROGRESS =
  'data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}\n\n';
const RESULT = `data: {"jsonrpc":"2.0","id":${ID},"result":{}}\n\n`;

async function answered(pieces: string[], ending: "fin" | "reset" | "well", plugins: unknown, era = "modern") {
  const server = await use(
    rawServer(async (connection) => {
      await connection.receiveRequest();
      connection.send(SSE_HEAD);
      for (const piece of pieces) {
        connection.send(chunk(piece));
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      if (ending === "well") connection.send(chunk(""));
      else if (ending === "fin") connection.fin();
      else connection.reset();
    }),
  );
  const { port } = await use(front(server.url, plugins));
  const client = await use(rawClient(port));
  const modern = era === "modern";
  const body = `{"jsonrpc":"2.0","id":${ID},"method":"tools/list","params":${modern ? ENVELOPE : "{}"}}`;
  client.send(post(body, "/mcp", modern ? HEAD : "content-type: application/json\r\n"));
  if (ending === "well") return (await client.receiveResponse()).body;
  await client.ended;
  return client.received;
}

const ERROR = new RegExp(`data: \\{"jsonrpc":"2\\.0","id":${ID},"error":\\{"code":-32603,[^]*UPSTREAM_BROKE`);

test.each<[string, () => unknown]>([
  ["the bare core", () => []],
  ["standard()", standard],
])("a stream without a response gets an error for the request: %s", async (_, plugins) => {
  const ended = await answered([PROGRESS], "well", plugins());
  expect(ended.startsWith(PROGRESS)).toBe(true);
  expect(ended.slice(PROGRESS.length)).toMatch(ERROR);
  expect(await answered([], "well", plugins())).toMatch(ERROR);
  // In the middle of an event: what came of it is closed first.
  expect(await answered([PROGRESS, "data: {"], "fin", plugins())).toMatch(ERROR);
  expect(await answered([PROGRESS], "reset", plugins())).toMatch(ERROR);
});

test.each<[string, string[]]>([
  ["whole", [PROGRESS, RESULT]],
  ["in pieces", [PROGRESS, RESULT.slice(0, -14), RESULT.slice(-14, -10), RESULT.slice(-10)]],
  ["an error", [RESULT.replace('"result":{}', '"error":{"code":1,"message":""}')]],
  ["with other line ends", [RESULT.replaceAll("\n", "\r\n")]],
])("one with its response passes byte for byte: %s", async (_, pieces) => {
  expect(await answered(pieces, "well", [])).toBe(pieces.join(""));
});

test("legacy streams pass as they are: they can be resumed, or have a session", async () => {
  expect(await answered([PROGRESS], "well", [], "legacy")).toBe(PROGRESS);
});
