import { describe, expect, test } from "vitest";
import { connectV1, connectV2, type V1Options, type V2Options } from "./clients.ts";
import { testScope } from "./scope.ts";
import { startLegacyServer, startModernServer } from "./servers.ts";

const use = testScope();
const asJson = (result: unknown) => JSON.parse((result as { content: [{ text: string }] }).content[0].text) as unknown;

describe("the v1 SDK", () => {
  const v1 = (url: string, options?: V1Options) => use(connectV1(url, options));

  test("with a session: tools, prompts, resources, progress, push stream, DELETE", async () => {
    const server = await use(startLegacyServer());
    const { client, transport, notification, errors } = await v1(server.url, { headers: { "x-test": "1" } });
    expect((await client.listTools()).tools.map(({ name }) => name)).toEqual([
      "echo",
      "count",
      "slow",
      "ask",
      "elicit",
      "roots",
    ]);
    expect(await client.callTool({ name: "echo", arguments: { text: "hi" } })).toMatchObject({
      content: [{ text: "hi" }],
    });
    const progress: number[] = [];
    await client.callTool({ name: "count", arguments: { n: 3 } }, undefined, {
      onprogress: (step) => progress.push(step.progress),
    });
    expect(progress).toEqual([1, 2, 3]);
    expect((await client.listPrompts()).prompts).toHaveLength(2);
    expect((await client.getPrompt({ name: "greet", arguments: { who: "you" } })).messages[0]?.content).toMatchObject({
      text: "greet you",
    });
    expect((await client.listResources()).resources).toHaveLength(2);
    expect((await client.readResource({ uri: "fixture://part" })).contents[0]).toMatchObject({ text: "resource part" });
    await server.notifyToolsChanged();
    await notification("notifications/tools/list_changed");
    expect(server.sessions).toEqual([transport.sessionId]);
    expect(server.requests.every(({ headers }) => headers["x-test"] === "1")).toBe(true);
    await transport.terminateSession();
    expect(server.sessions).toEqual([]);
    expect(server.requests.map(({ method }) => method)).toContain("DELETE");
    expect(errors).toEqual([]);
  });

  test("requests to the client travel on the stream of the call", async () => {
    const server = await use(startLegacyServer());
    const able = await v1(server.url, {
      capabilities: { sampling: {}, elicitation: {}, roots: {} },
      handlers: {
        "sampling/createMessage": ({ messages }) => ({
          model: "m",
          role: "assistant",
          content: messages[0]?.content as { type: "text"; text: string },
        }),
        "elicitation/create": () => ({ action: "accept", content: { colour: "red" } }),
        "roots/list": () => ({ roots: [{ uri: "file:///a" }] }),
      },
    });
    expect(asJson(await able.client.callTool({ name: "ask", arguments: { text: "why?" } }))).toMatchObject({
      result: { content: { text: "why?" } },
    });
    expect(asJson(await able.client.callTool({ name: "elicit" }))).toEqual({
      result: { action: "accept", content: { colour: "red" } },
    });
    expect(asJson(await able.client.callTool({ name: "roots" }))).toEqual({
      result: { roots: [{ uri: "file:///a" }] },
    });

    const unable = await v1(server.url);
    const notFound = { error: { code: -32_601, message: "MCP error -32601: Method not found" } };
    expect(asJson(await unable.client.callTool({ name: "ask" }))).toEqual(notFound);
    expect(asJson(await unable.client.callTool({ name: "elicit", arguments: { force: true } }))).toEqual(notFound);
    expect(asJson(await unable.client.callTool({ name: "elicit" }))).toEqual({
      error: { message: "Client does not support form elicitation." },
    });
  });

  test("a slow call waits for its gate and learns of its cancellation", async () => {
    const server = await use(startLegacyServer());
    const { client } = await v1(server.url);
    const call = client.callTool({ name: "slow", arguments: { gateName: "a" } });
    await server.entered("a");
    server.open("a");
    expect(await call).toMatchObject({ content: [{ text: "passed a" }] });
    const abort = new AbortController();
    const aborted = client.callTool({ name: "slow", arguments: { gateName: "b" } }, undefined, {
      signal: abort.signal,
    });
    await server.entered("b");
    abort.abort("enough");
    await expect(aborted).rejects.toThrow("enough");
    await server.cancelled("b");
  });

  test("a lost session is a 404, an intercepted request never reaches the SDK", async () => {
    const server = await use(
      startLegacyServer({
        intercept({ method }, _request, response) {
          if (method === "GET") response.writeHead(500).end();
          return method === "GET";
        },
      }),
    );
    const { client, errors } = await v1(server.url);
    await server.request(({ method }) => method === "GET");
    await client.ping();
    await server.loseSessions();
    await expect(client.ping()).rejects.toThrow("Session not found");
    expect(errors[0]?.message).toContain("Failed to open SSE stream");
  });

  test("stateless: no id, no GET stream", async () => {
    const server = await use(startLegacyServer({ sessions: false }));
    const { client, transport } = await v1(server.url);
    const progress: number[] = [];
    await client.callTool({ name: "count", arguments: { n: 2 } }, undefined, {
      onprogress: (step) => progress.push(step.progress),
    });
    expect(progress).toEqual([1, 2]);
    expect(transport.sessionId).toBeUndefined();
    await server.request(({ method }) => method === "GET");
    expect((await fetch(server.url)).status).toBe(405);
  });
});

describe("the v2 SDK", () => {
  const v2 = (url: string, mode: V2Options["mode"]) => use(connectV2(url, { mode }));

  test.each(["modern", "auto"] as const)("mode %s speaks 2026-07-28 with a modern server", async (mode) => {
    const server = await use(startModernServer());
    const { client, errors } = await v2(server.url, mode);
    expect(client.getProtocolEra()).toBe("modern");
    expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(["echo", "count", "slow"]);
    expect(await client.callTool({ name: "echo", arguments: { text: "hi" } })).toMatchObject({
      content: [{ text: "hi" }],
    });
    const progress: number[] = [];
    await client.callTool(
      { name: "count", arguments: { n: 3 } },
      { onprogress: (step) => progress.push(step.progress) },
    );
    expect(progress).toEqual([1, 2, 3]);
    const abort = new AbortController();
    const slow = client.callTool({ name: "slow", arguments: { gateName: "a" } }, { signal: abort.signal });
    await server.entered("a");
    abort.abort("enough");
    await expect(slow).rejects.toThrow("enough");
    await server.cancelled("a");
    expect(server.requests[0]).toMatchObject({
      method: "POST",
      body: { method: "server/discover" },
      headers: { "mcp-method": "server/discover" },
    });
    expect(errors).toEqual([]);
  });

  test.each(["legacy", "auto"] as const)("mode %s speaks an initialize revision with a legacy server", async (mode) => {
    const server = await use(startLegacyServer());
    const { client } = await v2(server.url, mode);
    expect(client.getProtocolEra()).toBe("legacy");
    expect(await client.callTool({ name: "echo", arguments: { text: "hi" } })).toMatchObject({
      content: [{ text: "hi" }],
    });
    await expect(connectV2(server.url, { mode: "modern" })).rejects.toMatchObject({ code: "ERA_NEGOTIATION_FAILED" });
  });

  test("a modern server serves legacy clients or refuses them, as told", async () => {
    const dual = await use(startModernServer({ legacy: "stateless" }));
    expect((await v2(dual.url, "legacy")).client.getProtocolEra()).toBe("legacy");
    const { client } = await use(connectV1(dual.url));
    expect((await client.listTools()).tools).toHaveLength(3);
    const strict = await use(startModernServer());
    await expect(connectV1(strict.url)).rejects.toThrow("-32022");
  });
});
