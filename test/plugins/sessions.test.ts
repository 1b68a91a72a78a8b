/** Sessions of real clients with real servers, through restarts on either side. */
import { describe, expect, test } from "vitest";
import { connectV1, connectV2 } from "../_harness/clients.ts";
import { standard } from "../_harness/plugins.ts";
import { startProxy } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { startLegacyServer } from "../_harness/servers.ts";
import { front } from "../_harness/wire.ts";

const use = testScope();
const SECRET = "0123456789abcdef0123456789abcdef";
const echo = { name: "echo", arguments: { text: "hello" } };
const HELLO = { content: [{ type: "text", text: "hello" }] };

/** Posts as curl does. */
async function curl(url: string, message: object, headers: Record<string, string> = {}) {
  const answer = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "application/json, text/event-stream", ...headers },
    body: JSON.stringify({ jsonrpc: "2.0", ...message }),
  });
  const text = await answer.text();
  const data = /^data: (.+)$/m.exec(text)?.[1];
  return { status: answer.status, headers: answer.headers, text, json: parse(data ?? text) };
}

function parse(text: string) {
  try {
    return JSON.parse(text) as { id?: unknown; result?: Record<string, unknown>; error?: { code: number } };
  } catch {
    return undefined;
  }
}

describe.each([
  ["v1", async (url: string) => use(connectV1(url))],
  ["v2", async (url: string) => use(connectV2(url, { mode: "legacy" }))],
])("a client of SDK %s", (_sdk, connect) => {
  test("has one session with its server, whose id it never sees", async () => {
    const server = await use(startLegacyServer());
    const { url } = await use(front(server.url, standard()));
    const { client, transport } = await connect(`${url}/mcp`);
    for (let i = 0; i < 3; i++) expect(await client.callTool(echo)).toMatchObject(HELLO);
    expect(server.sessions).toHaveLength(1);
    expect(transport.sessionId).toMatch(/^[\w-]{100,2048}$/);
    const sent = new Set(server.requests.map(({ headers }) => headers["mcp-session-id"]));
    expect(sent).toEqual(new Set([undefined, server.sessions[0]]));
  });

  test("goes on with its id when the server has lost all sessions", async () => {
    const server = await use(startLegacyServer());
    const { url } = await use(front(server.url, standard()));
    const { client, transport } = await connect(`${url}/mcp`);
    const id = transport.sessionId;
    await server.loseSessions();
    expect((await client.listTools()).tools.length).toBeGreaterThan(2);
    expect(await client.callTool(echo)).toMatchObject(HELLO);
    expect(server.sessions).toHaveLength(1);
    expect(transport.sessionId).toBe(id);
  });

  test("is known to another proxy with the same secret, and to none with another", async () => {
    const server = await use(startLegacyServer());
    const servers = { one: { url: server.url, path: "/mcp" } };
    const [first, second, other] = await Promise.all(
      [SECRET, [`new ${SECRET}`, SECRET], `other ${SECRET}`].map((secret) =>
        use(startProxy({ servers, plugins: standard(), secret })),
      ),
    );
    const { transport } = await connect(`${first!.url}/mcp`);
    const headers = { "mcp-session-id": transport.sessionId!, "mcp-protocol-version": "2025-11-25" };
    const message = { id: 1, method: "tools/call", params: echo };
    expect((await curl(`${second!.url}/mcp`, message, headers)).json).toMatchObject({ id: 1, result: HELLO });
    expect(server.sessions).toHaveLength(1);
    expect((await curl(`${other!.url}/mcp`, message, headers)).status).toBe(404);
  });
});

test.each([
  ["stateless", false],
  ["session-requiring", true],
])("curl lists and calls with one request each: %s server", async (_kind, keeps) => {
  for (const message of [
    { id: 7, method: "tools/call", params: echo },
    { id: "x", method: "tools/list" },
  ]) {
    const server = await use(startLegacyServer({ sessions: keeps }));
    const { url } = await use(front(server.url, standard()));
    const answer = await curl(`${url}/mcp`, message);
    expect(answer.status).toBe(200);
    expect(answer.json).toMatchObject({
      id: message.id,
      result: "params" in message ? HELLO : { tools: expect.any(Array) },
    });
    expect(answer.headers.has("mcp-session-id")).toBe(false);
  }
});
