/** Requests of 2026-07-28: what Streamable HTTP has no more, and what clients send all the same (MCP 2026-07-28, Transports). */
import { describe, expect, test } from "vitest";
import { standard } from "../_harness/plugins.ts";
import { testScope } from "../_harness/scope.ts";
import { idOf, methodOf, scripted } from "../_harness/scripted.ts";
import { front, jsonAnswer } from "../_harness/wire.ts";

const use = testScope();
const ENVELOPE = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientCapabilities": {},
};
const INITIALIZED =
  '{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"old","version":"1"}}';
const TOOLS = '{"resultType":"complete","tools":[],"ttlMs":0,"cacheScope":"private"}';

async function proxyFor(era: "modern" | "legacy") {
  const made = await scripted(
    (request) => {
      const method = methodOf(request);
      if (method === undefined) return "HTTP/1.1 405 No\r\ncontent-length: 0\r\n\r\n";
      if (method.startsWith("notifications/")) return "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";
      const result = method === "initialize" ? INITIALIZED : TOOLS;
      const session = method === "initialize" ? "mcp-session-id: at-the-server\r\n" : "";
      return jsonAnswer(`{"jsonrpc":"2.0","id":${idOf(request)},"result":${result}}`, "200 OK", session);
    },
    { discovers: true, handshakes: true },
  );
  await use(made.server);
  const { url } = await use(front(made.server.url, standard(), { era }));
  const send = (method: string, headers?: Record<string, string>, message?: object) =>
    fetch(`${url}/mcp`, {
      method,
      headers: {
        accept: "application/json, text/event-stream",
        ...(message && { "content-type": "application/json" }),
        "mcp-protocol-version": "2026-07-28",
        ...headers,
      },
      body: message && JSON.stringify({ jsonrpc: "2.0", ...message }),
    });
  return { ...made, send };
}

describe.each(["modern", "legacy"] as const)("a %s server", (era) => {
  test("never gets a client's session id or event id", async () => {
    const { send, requests } = await proxyFor(era);
    const stray = { "mcp-session-id": "stray", "last-event-id": "stray-7", "mcp-method": "tools/list" };
    const answer = await send("POST", stray, { id: 1, method: "tools/list", params: { _meta: ENVELOPE } });
    expect([answer.status, answer.headers.get("mcp-session-id")]).toEqual([200, null]);
    expect(await answer.json()).toMatchObject({ id: 1, result: { tools: [] } });
    const asked = requests.filter((one) => methodOf(one) === "tools/list");
    expect(asked).toHaveLength(1);
    expect(JSON.stringify(requests.map(({ headers }) => headers))).not.toContain("stray");
    expect(asked[0]!.headers["mcp-session-id"]).toBe(era === "legacy" ? "at-the-server" : undefined);
  });

  test.each(["GET", "DELETE"])("never gets a modern %s: 405", async (method) => {
    const { send, requests } = await proxyFor(era);
    for (const more of [undefined, { "mcp-session-id": "stray", "last-event-id": "stray-7" }]) {
      const answer = await send(method, more);
      expect([answer.status, answer.headers.get("allow")]).toEqual([405, "POST"]);
      await answer.text();
    }
    expect(requests).toEqual([]);
  });

  test.each<[string, object, Record<string, string>]>([
    ["an envelope and no Mcp-Method", { requestId: "listen:0", _meta: ENVELOPE }, {}],
    ["neither", { requestId: "listen:0" }, {}],
    ["both", { requestId: "listen:0", _meta: ENVELOPE }, { "mcp-method": "notifications/cancelled" }],
  ])("notifications/cancelled with %s is 202", async (_what, params, headers) => {
    const { send, seen } = await proxyFor(era);
    const answer = await send("POST", headers, { method: "notifications/cancelled", params });
    expect([answer.status, await answer.text()]).toEqual([202, ""]);
    expect(seen).toEqual(era === "modern" ? ["POST notifications/cancelled"] : []);
  });
});
