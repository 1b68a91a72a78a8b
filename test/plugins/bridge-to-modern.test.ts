/** Legacy clients of modern servers, with the official SDKs on both sides, through everything that `standard()` has. */
import { fileURLToPath } from "node:url";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { toNodeHandler } from "@modelcontextprotocol/node";
import { createMcpHandler } from "@modelcontextprotocol/server";
import { LoggingMessageNotificationSchema } from "@modelcontextprotocol/sdk/types.js";
import { describe, expect, test } from "vitest";
import {
  type ConnectedOver,
  type V1Options,
  connectOver,
  connectSse,
  connectV1,
  connectV2,
} from "../_harness/clients.ts";
import { closeable } from "../_harness/loopback.ts";
import { gate, within } from "../_harness/peers.ts";
import { standard } from "../_harness/plugins.ts";
import { cliCommand, startProxy } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { recordingServer } from "../_harness/servers/http.ts";
import { askingServers } from "../_harness/servers/v2-asking.mjs";

const use = testScope();
const STDIO = fileURLToPath(new URL("../_harness/servers/v2-asking.mjs", import.meta.url));
const ALL: V1Options = {
  capabilities: { elicitation: { form: {}, url: {} }, sampling: {}, roots: {} },
  handlers: {
    "elicitation/create": (params) =>
      params.mode === "url" ? { action: "accept" } : { action: "accept", content: { name: "Ada" } },
    "sampling/createMessage": () => ({ role: "assistant", content: { type: "text", text: "hi" }, model: "m" }),
    "roots/list": () => ({ roots: [{ uri: "file:///home" }] }),
  },
};
const text = (result: unknown) => (result as { content: { text: string }[] }).content[0]!.text;

/** A server of 2026-07-28 only. @returns its configuration */
async function serve(transport: "http" | "stdio") {
  if (transport === "stdio") return { command: process.execPath, args: [STDIO] };
  const handler = createMcpHandler(askingServers(), { legacy: "reject" });
  const node = toNodeHandler(handler);
  const http = await recordingServer(({ body }, request, response) => node(request, response, body));
  const close = () => handler.close().then(() => http.stop());
  return use(closeable({ url: http.url, requests: http.requests, close }));
}

/** A client through a proxy, or through one that it starts itself. @param server its configuration */
async function connect(kind: "http" | "sse" | "stdio", server: object, options = ALL): Promise<ConnectedOver> {
  if (kind === "stdio") {
    const { command, args, env } = cliCommand(["connect", (server as { url: string }).url]);
    return use(connectOver(new StdioClientTransport({ command, args, env }), options));
  }
  const one = { ...server, path: "/mcp", ssePath: "/sse" };
  const { url } = await use(startProxy({ servers: { one: one as never }, plugins: standard() }));
  return use(kind === "sse" ? connectSse(`${url}/sse`, options) : connectV1(`${url}/mcp`, options));
}

describe.each([
  ["http", "http"],
  ["http", "stdio"],
  ["sse", "http"],
  ["stdio", "http"],
] as const)("a v1 client over %s, a modern server over %s", (front, back) => {
  test("lists, calls, is asked, hears of progress and logs, cancels", async () => {
    const { client, errors } = await connect(front, await serve(back));
    expect(client.getServerVersion()).toMatchObject({ name: "asking" });
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name)).toContain("ask");

    const kinds = ["form", "url", "sampling", "roots"];
    expect(JSON.parse(text(await client.callTool({ name: "ask", arguments: { kinds } })))).toMatchObject({
      form: { action: "accept", content: { name: "Ada" } },
      url: { action: "accept" },
      sampling: { role: "assistant", model: "m" },
      roots: { roots: [{ uri: "file:///home" }] },
    });
    const prompt = await client.getPrompt({ name: "greet" });
    expect(JSON.stringify(prompt.messages)).toContain("file:///home");

    const lines: string[] = [];
    client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => void lines.push(params.level));
    await client.callTool({ name: "say", arguments: { level: "error" } });
    await client.setLoggingLevel("warning");
    await client.callTool({ name: "say", arguments: { level: "info" } });
    await client.callTool({ name: "say", arguments: { level: "critical" } });
    expect(lines).toEqual(["critical"]);

    const begun = gate();
    const controller = new AbortController();
    const waiting = client.callTool({ name: "wait", arguments: {} }, undefined, {
      signal: controller.signal,
      onprogress: begun.open,
    });
    await within(begun.promise, "the progress");
    controller.abort();
    await expect(waiting).rejects.toThrow();
    await expect.poll(async () => text(await client.callTool({ name: "cancelled", arguments: {} }))).toBe("1");

    // The client has read the schema, and checks what it gets against it.
    const listed = await client.callTool({ name: "list", arguments: {} });
    expect(listed).toMatchObject({ structuredContent: { result: [1, 2] }, content: [{ type: "text", text: "[1,2]" }] });
    expect(text(await client.callTool({ name: "route", arguments: { region: "eu ", n: 7 } }))).toBe("eu  7");
    await client.ping();
    expect(errors).toEqual([]);
  });
});

test("a client that declared nothing is asked nothing", async () => {
  const { client } = await connect("http", await serve("http"), {});
  for (const kind of ["form", "url", "sampling", "roots"]) {
    const result = await client.callTool({ name: "ask", arguments: { kinds: [kind] } });
    expect(result).toMatchObject({ isError: true });
  }
  await expect(client.getPrompt({ name: "greet" })).rejects.toThrow(/-32603/);
});

test("a v2 client in its legacy mode is served as well", async () => {
  const server = await serve("http");
  const proxy = await use(startProxy({ servers: { one: { ...server, path: "/mcp" } as never }, plugins: standard() }));
  const { client } = await use(connectV2(`${proxy.url}/mcp`, { mode: "legacy" }));
  expect(text(await client.callTool({ name: "count", arguments: { n: 2 } }))).toBe("counted 2");
});
