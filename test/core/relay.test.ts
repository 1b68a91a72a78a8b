import { Client as ClientV2 } from "@modelcontextprotocol/client";
import { standard } from "../_harness/plugins.ts";
import { describe, expect, test } from "vitest";
import { type ConnectedV1, type ConnectedV2, connectV1, connectV2 } from "../_harness/clients.ts";
import { testScope } from "../_harness/scope.ts";
import { startLegacyServer, startModernServer } from "../_harness/servers.ts";
import { front } from "../_harness/wire.ts";

const use = testScope();
const STACKS = [
  ["the bare core", () => []],
  ["standard()", () => [standard()]],
] as const;

/** Everything that a client of either SDK can ask of both servers, as data that can be compared. */
async function conversation({ client, errors }: ConnectedV1 | ConnectedV2, legacyServer: boolean) {
  // The two SDKs' clients have the same methods, with types of their own; one has no schema before the options of a call.
  const any = client as ConnectedV1["client"];
  const progress: unknown[] = [];
  const options = { onprogress: (step: unknown) => progress.push(step) };
  const count = { name: "count", arguments: { n: 3 } };
  const attempt = (run: Promise<unknown>) =>
    run.catch((error: { code: unknown; message: string }) => ({ code: error.code, message: error.message }));
  return {
    version: any.getServerVersion(),
    capabilities: any.getServerCapabilities(),
    instructions: any.getInstructions(),
    tools: await any.listTools(),
    echo: await any.callTool({ name: "echo", arguments: { text: "grüße 😀 \u2028" } }),
    count: await (client instanceof ClientV2
      ? client.callTool(count, options)
      : client.callTool(count, undefined, options)),
    progress,
    unknown: await attempt(any.callTool({ name: "none", arguments: {} })),
    invalid: await attempt(any.callTool({ name: "echo", arguments: { text: 1 as never } })),
    ...(legacyServer && {
      prompts: await any.listPrompts(),
      prompt: await any.getPrompt({ name: "greet", arguments: { who: "you" } }),
      resources: await any.listResources(),
      resource: await any.readResource({ uri: "fixture://part" }),
      missing: await attempt(any.readResource({ uri: "fixture://none" })),
    }),
    errors: errors.map(String),
  };
}

describe.each(STACKS)("through %s everything is as it is directly", (_stack, plugins) => {
  test.each(["v1", "v2"] as const)("%s client, legacy server with sessions and without", async (sdk) => {
    const connect = (url: string) => (sdk === "v1" ? connectV1(url) : connectV2(url, { mode: "legacy" }));
    for (const sessions of [true, false]) {
      const server = await use(startLegacyServer({ sessions }));
      const proxy = await use(front(server.url, plugins()));
      const direct = await conversation(await use<ConnectedV1 | ConnectedV2>(connect(server.url)), true);
      const relayed = await conversation(await use<ConnectedV1 | ConnectedV2>(connect(`${proxy.url}/mcp`)), true);
      expect(relayed).toEqual(direct);
      expect(direct.progress).toHaveLength(3);
    }
  });

  test.each(["modern", "auto"] as const)("v2 client (%s), modern server", async (mode) => {
    const server = await use(startModernServer());
    const proxy = await use(front(server.url, plugins()));
    const direct = await conversation(await use(connectV2(server.url, { mode })), false);
    const relayed = await conversation(await use(connectV2(`${proxy.url}/mcp`, { mode })), false);
    expect(relayed).toEqual(direct);
    expect(direct.progress).toHaveLength(3);
  });

  test("the requests of a conversation reach the server with the same Mcp-* headers and bodies", async () => {
    const server = await use(startModernServer());
    const proxy = await use(front(server.url, plugins()));
    const seen = async (url: string) => {
      const from = server.requests.length;
      await conversation(await use(connectV2(url, { mode: "modern" })), false);
      return server.requests.slice(from).map(({ method, target, headers, body }) => ({
        method,
        target,
        body,
        headers: Object.fromEntries(
          Object.entries(headers).filter(
            ([name]) => name.startsWith("mcp-") || name === "accept" || name === "content-type",
          ),
        ),
      }));
    };
    const direct = await seen(server.url);
    const relayed = await seen(`${proxy.url}/mcp`);
    expect(relayed).toEqual(direct);
    expect(direct.some(({ headers }) => headers["mcp-method"] === "tools/call" && headers["mcp-name"] === "echo")).toBe(
      true,
    );
  });

  test("the server's requests reach the client, and its answers the server", async () => {
    const server = await use(startLegacyServer());
    const proxy = await use(front(server.url, plugins()));
    const client = await use(
      connectV1(`${proxy.url}/mcp`, {
        capabilities: { sampling: {}, elicitation: {}, roots: {} },
        handlers: {
          "sampling/createMessage": ({ messages }) => ({
            role: "assistant",
            model: "m",
            content: { type: "text", text: `re: ${JSON.stringify(messages[0]?.content)}` },
          }),
          "elicitation/create": () => ({ action: "accept", content: { colour: "red" } }),
          "roots/list": () => ({ roots: [{ uri: "file:///a", name: "a" }] }),
        },
      }),
    );
    const ask = async (name: string, args = {}) =>
      JSON.parse(
        ((await client.client.callTool({ name, arguments: args })).content as [{ text: string }])[0].text,
      ) as unknown;
    expect(await ask("ask", { text: "why?" })).toMatchObject({
      result: { model: "m", content: { text: expect.stringContaining("why?") } },
    });
    expect(await ask("elicit")).toMatchObject({ result: { action: "accept", content: { colour: "red" } } });
    expect(await ask("roots")).toMatchObject({ result: { roots: [{ uri: "file:///a", name: "a" }] } });
    expect(client.errors).toEqual([]);
  });

  test("notifications come on the GET stream, progress while the call runs, cancelling ends the call", async () => {
    const server = await use(startLegacyServer());
    const proxy = await use(front(server.url, plugins()));
    const client = await use(connectV1(`${proxy.url}/mcp`));
    await server.notifyToolsChanged();
    await client.notification("notifications/tools/list_changed");
    const cancel = new AbortController();
    let progressed!: () => void;
    const inTime = new Promise<void>((resolve) => (progressed = resolve));
    const slow = client.client.callTool({ name: "slow", arguments: { gateName: "g" } }, undefined, {
      onprogress: progressed,
      signal: cancel.signal,
    });
    await Promise.all([inTime, server.entered("g")]);
    cancel.abort("enough");
    await expect(slow).rejects.toThrow("enough");
    await server.cancelled("g");
    expect((await client.client.listTools()).tools.length).toBeGreaterThan(0);
  });

  test("a modern client that cancels ends the call at the server", async () => {
    const server = await use(startModernServer());
    const proxy = await use(front(server.url, plugins()));
    const { client } = await use(connectV2(`${proxy.url}/mcp`, { mode: "modern" }));
    const cancel = new AbortController();
    const slow = client.callTool({ name: "slow", arguments: { gateName: "g" } }, { signal: cancel.signal });
    await server.entered("g");
    cancel.abort();
    await expect(slow).rejects.toThrow();
    await server.cancelled("g");
  });

  test("DELETE ends the session, and its id is 404 afterwards", async () => {
    const server = await use(startLegacyServer());
    const proxy = await use(front(server.url, plugins()));
    const { transport } = await use(connectV1(`${proxy.url}/mcp`));
    const id = transport.sessionId!;
    expect(server.sessions).toHaveLength(1);
    // Where the plugin sessions keeps them, a client never sees the server's own id.
    expect(server.sessions.includes(id)).toBe(plugins().length === 0);
    await transport.terminateSession();
    expect(server.sessions).toEqual([]);
    const headers = {
      "mcp-session-id": id,
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
    };
    const answers = await Promise.all(
      [server.url, `${proxy.url}/mcp`].map(async (url) => {
        const answer = await fetch(url, {
          method: "POST",
          headers,
          body: '{"jsonrpc":"2.0","id":1,"method":"tools/list"}',
        });
        return [answer.status, ((await answer.json()) as { error: { code: number } }).error.code];
      }),
    );
    expect(answers).toEqual([
      [404, -32001],
      [404, -32001],
    ]);
  });
});
