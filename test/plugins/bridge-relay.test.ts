/** Requests of 2026-07-28: what Streamable HTTP has no more, and what clients send all the same (MCP 2026-07-28, Transports). */
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { standard } from "../_harness/plugins.ts";
import { startProxy } from "../_harness/proxy.ts";
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
const DISCOVERED =
  '{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":0,"cacheScope":"private"}';
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

describe("what a server over stdio cannot see", () => {
  test("is looked at here: a field that says something else, one that is missing, half an envelope", async () => {
    const args = [fileURLToPath(new URL("../_harness/servers/v2-asking.mjs", import.meta.url))];
    const proxy = await use(
      startProxy({ servers: { one: { command: process.execPath, args, path: "/mcp" } }, plugins: standard() }),
    );
    const post = async (fields: Record<string, string>, envelope: object = ENVELOPE) => {
      const answer = await fetch(`${proxy.url}/mcp`, {
        method: "POST",
        headers: {
          accept: "application/json, text/event-stream",
          "content-type": "application/json",
          "mcp-protocol-version": "2026-07-28",
          ...fields,
        },
        body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list", params: { _meta: envelope } }),
      });
      const { error } = (await answer.json()) as { error?: { code: number } };
      return [answer.status, error?.code];
    };
    expect(await post({ "mcp-method": "tools/list" })).toEqual([200, undefined]);
    expect(await post({ "mcp-method": "tools/call" })).toEqual([400, -32020]);
    expect(await post({})).toEqual([400, -32020]);
    const { "io.modelcontextprotocol/clientCapabilities": _left, ...half } = ENVELOPE;
    expect(await post({ "mcp-method": "tools/list" }, half)).toEqual([400, -32602]);
  });
});

test("a question that must be refused says nothing about the server: it is asked properly", async () => {
  const made = await scripted(
    (request) => {
      const version = request.headers["mcp-protocol-version"];
      const known = version === "2026-07-28" && request.headers["mcp-method"] === methodOf(request);
      return known
        ? jsonAnswer(
            `{"jsonrpc":"2.0","id":${idOf(request)},"result":${methodOf(request) === "server/discover" ? DISCOVERED : TOOLS}}`,
          )
        : jsonAnswer(
            `{"jsonrpc":"2.0","id":${idOf(request)},"error":{"code":-32602,"message":"No."}}`,
            "400 Bad Request",
          );
    },
    { discovers: true, handshakes: true },
  );
  await use(made.server);
  const { url } = await use(front(made.server.url, standard()));
  const post = (method: string, mirror: string) =>
    fetch(`${url}/mcp`, {
      method: "POST",
      headers: {
        accept: "application/json, text/event-stream",
        "content-type": "application/json",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": mirror,
      },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params: { _meta: ENVELOPE } }),
    });
  expect((await post("server/discover", "tools/list")).status).toBe(400);
  const answer = await post("tools/list", "tools/list");
  expect([answer.status, ((await answer.json()) as { result: { ttlMs: number } }).result.ttlMs]).toEqual([200, 0]);
  expect(made.requests.map(methodOf)).not.toContain("initialize");
});
