/** What a legacy server does not check, and a server of 2026-07-28 must: `Mcp-Param-*`, and capabilities that a call needs. */
import { describe, expect, test } from "vitest";
import { standard } from "../_harness/plugins.ts";
import { testScope } from "../_harness/scope.ts";
import { front } from "../_harness/wire.ts";
import { type Posted, type Wire, ask, legacyPeer } from "./bridge-legacy-peer.ts";

const use = testScope();

const tool = (name: string, header?: string) => ({
  name,
  inputSchema: { type: "object", properties: { n: { type: "integer", ...(header && { "x-mcp-header": header }) } } },
});

async function between(call: (posted: Posted, wire: Wire) => void, tools: () => object[] = () => [tool("t", "N")]) {
  const peer = await use(
    legacyPeer(
      (posted, wire) =>
        posted.message.method === "tools/list" ? wire.result(JSON.stringify({ tools: tools() })) : call(posted, wire),
      { capabilities: { tools: {} } },
    ),
  );
  const proxy = await use(front(peer.url, standard(), { era: "legacy" }));
  const saw = (what: string) => peer.seen.entries.filter((posted) => posted.what === `POST ${what}`);
  const url = `${proxy.url}/mcp`;
  const post = (n: string, field?: string) =>
    ask(url, "tools/call", `{"name":"t","arguments":{"n":${n}}}`, {
      headers: field === undefined ? {} : { "mcp-param-n": field },
    });
  return { url, saw, post };
}

const done = (_posted: Posted, wire: Wire) => wire.result('{"content":[]}');

describe("arguments that header fields repeat", () => {
  test.each([
    ["1", undefined],
    ["1", "2"],
    ['"01"', "1"],
    ["9007199254740993", "9007199254740992"],
  ])("%s with %s is refused, and the tool does not run", async (n, field) => {
    const { post, saw } = await between(done);
    const { status, response } = await post(n, field);
    expect([status, response.error.code]).toEqual([400, -32020]);
    expect(response.error.message).toContain("Mcp-Param-N");
    expect(saw("tools/call")).toEqual([]);
  });

  test.each([
    ["1", "1"],
    ["1", "1.0"],
    ["null", undefined],
    ["null", "7"],
    ['"01"', "=?base64?MDE=?="],
  ])("%s with %s is sent on", async (n, field) => {
    const { post, saw } = await between(done);
    expect((await post(n, field)).response.result.content).toEqual([]);
    expect(saw("tools/call")).toHaveLength(1);
  });

  test("the server lists its tools once, and again where a call does not fit", async () => {
    let tools = [tool("t", "N")];
    const { post, saw } = await between(done, () => tools);
    for (const n of ["1", "2", "3"]) await post(n, n);
    expect(saw("tools/list")).toHaveLength(1);
    tools = [tool("t")];
    expect((await post("1")).response.result.content).toEqual([]);
    expect(saw("tools/list")).toHaveLength(2);
  });
});

describe("a question that the client cannot be asked", () => {
  const question =
    '{"jsonrpc":"2.0","id":7,"method":"elicitation/create","params":{"message":"?","requestedSchema":{"type":"object"}}}';

  async function asking(end: string) {
    let call: { id: unknown; wire: Wire };
    const peer = await use(
      legacyPeer(
        ({ message }, wire) => {
          call = { id: message.id, wire: wire.open() };
          wire.event(question);
        },
        {
          aside: (posted, wire) => {
            wire.accepted();
            if (posted.what === "POST response")
              call.wire.event(`{"jsonrpc":"2.0","id":${JSON.stringify(call.id)},${end}}`).end();
            return true;
          },
        },
      ),
    );
    const proxy = await use(front(peer.url, standard(), { era: "legacy" }));
    const told = await ask(`${proxy.url}/mcp`, "tools/call", '{"name":"t","arguments":{}}');
    expect((await peer.got("POST response")).message.error).toMatchObject({ code: -32601 });
    return told;
  }

  test.each(['"error":{"code":-32603,"message":"no"}', '"result":{"content":[],"isError":true}'])(
    "is why the call failed: %s",
    async (end) => {
      const { status, response } = await asking(end);
      expect(status).toBe(400);
      expect(response).toMatchObject({
        id: 1,
        error: { code: -32021, data: { requiredCapabilities: { elicitation: { form: {} } } } },
      });
    },
  );

  test("does not matter to a tool that goes on without", async () => {
    const { status, response } = await asking('"result":{"content":[]}');
    expect([status, response.result.resultType]).toEqual([200, "complete"]);
  });
});

test("a resource that is not there is named", async () => {
  const peer = await use(legacyPeer((_posted, wire) => wire.error(-32002, { why: "gone" })));
  const proxy = await use(front(peer.url, standard(), { era: "legacy" }));
  const { response } = await ask(`${proxy.url}/mcp`, "resources/read", '{"uri":"x:/1"}');
  expect(response.error).toMatchObject({ code: -32602, data: { uri: "x:/1", why: "gone" } });
});
