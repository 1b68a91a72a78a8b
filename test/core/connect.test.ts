/** `penstock connect`: clients that speak stdio, in front of servers at a URL. */
import { StdioClientTransport as StdioV2 } from "@modelcontextprotocol/client/stdio";
import { StdioClientTransport as StdioV1 } from "@modelcontextprotocol/sdk/client/stdio.js";
import { describe, expect, test } from "vitest";
import { connectOver, connectV2Over } from "../_harness/clients.ts";
import { gate } from "../_harness/peers.ts";
import { apiKeys, standard } from "../_harness/plugins.ts";
import { cliCommand, runCli, startProxy } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { idOf, methodOf, scripted } from "../_harness/scripted.ts";
import { startLegacyServer, startModernServer } from "../_harness/servers.ts";
import { INITIALIZE, INITIALIZED } from "../_harness/sse-client.ts";
import { rawStdio } from "../_harness/stdio-client.ts";
import { SSE_HEAD, call, chunk, jsonAnswer } from "../_harness/wire.ts";

const use = testScope();
const MODERN_META = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientCapabilities": {},
};

describe("SDK clients over stdio", () => {
  test("v1 through a running Penstock: lists, calls, progress, elicitation, cancel; its session ends with it", async () => {
    const server = await use(startLegacyServer());
    const key = "0123456789abcdef";
    const plugins = [standard(), apiKeys({ keys: { desk: key } })];
    const proxy = await use(startProxy({ servers: { one: { url: server.url } }, plugins }));
    const { client, close, notification } = await use(
      connectOver(
        new StdioV1({
          ...cliCommand(["connect", `${proxy.url}/one/mcp`, "--header", "x-api-key: ${DESK_KEY}", "-H", "x-more: 1"], {
            DESK_KEY: key,
          }),
          stderr: "inherit",
        }),
        {
          capabilities: { elicitation: {} },
          handlers: { "elicitation/create": () => ({ action: "accept", content: { colour: "blue" } }) },
        },
      ),
    );
    expect((await client.listTools()).tools.map(({ name }) => name)).toContain("echo");
    expect(JSON.stringify(await client.callTool({ name: "elicit" }))).toContain("blue");
    const progressed = gate();
    const calling = client.callTool({ name: "slow", arguments: { gateName: "a" } }, undefined, {
      onprogress: () => progressed.open(),
    });
    await progressed.promise;
    server.open("a");
    expect((await calling).content).toEqual([{ type: "text", text: "passed a" }]);
    const leaving = new AbortController();
    const called = client.callTool({ name: "slow", arguments: { gateName: "b" } }, undefined, {
      signal: leaving.signal,
    });
    await server.entered("b");
    leaving.abort("enough");
    await expect(called).rejects.toThrow("enough");
    await server.cancelled("b");
    await server.notifyToolsChanged();
    await notification("notifications/tools/list_changed");
    expect(server.requests.every(({ headers }) => headers["x-more"] === "1")).toBe(true);
    expect(server.sessions).toHaveLength(1);
    await close();
    await server.request(({ method }) => method === "DELETE");
    expect(server.sessions).toHaveLength(0);
  });

  test("v2, modern: nothing but requests that stand alone; cancel closes, changes arrive on the listen stream", async () => {
    const server = await use(startModernServer());
    const { client, close } = await use(
      connectV2Over(new StdioV2({ ...cliCommand(["connect", server.url]), stderr: "inherit" }), { mode: "modern" }),
    );
    expect((await client.listTools()).tools.map(({ name }) => name)).toContain("echo");
    const leaving = new AbortController();
    const called = client.callTool(
      { name: "slow", arguments: { gateName: "b" } },
      { signal: leaving.signal, onprogress() {} },
    );
    await server.entered("b");
    leaving.abort("enough");
    await expect(called).rejects.toThrow("enough");
    await server.cancelled("b");
    const { content } = await client.callTool({ name: "echo", arguments: { text: "ü" } });
    expect(content).toEqual([{ type: "text", text: "ü" }]);
    expect(server.requests.every(({ method, headers }) => method === "POST" && !headers["mcp-session-id"])).toBe(true);
    expect(server.requests.find(({ headers }) => headers["mcp-method"] === "tools/call")?.headers).toMatchObject({
      "mcp-name": "slow",
      "mcp-protocol-version": "2026-07-28",
    });
    await close();
  });

  test("a server of HTTP+SSE: the same, over one stream each way", async () => {
    const server = await use(startLegacyServer());
    const servers = { one: { url: server.url, path: "/mcp", ssePath: "/sse" } };
    const proxy = await use(startProxy({ servers, plugins: [standard()] }));
    const { client, close, notification } = await use(
      connectOver(
        new StdioV1({ ...cliCommand(["connect", `${proxy.url}/sse`, "--transport", "sse"]), stderr: "inherit" }),
        {
          capabilities: { sampling: {} },
          handlers: {
            "sampling/createMessage": () => ({ role: "assistant", content: { type: "text", text: "42" }, model: "m" }),
          },
        },
      ),
    );
    expect(JSON.stringify(await client.callTool({ name: "ask" }))).toContain("42");
    await server.notifyToolsChanged();
    await notification("notifications/tools/list_changed");
    await close();
    await server.request(({ method }) => method === "DELETE");
  });
});

test("a modern client's listen stream stays open beside its calls, until it is cancelled", async () => {
  const server = await use(startModernServer());
  const client = await use(rawStdio(["connect", server.url]));
  const say = (id: string, method: string, params: object) =>
    client.say(JSON.stringify({ jsonrpc: "2.0", id, method, params: { ...params, _meta: MODERN_META } }));
  say("l", "subscriptions/listen", { notifications: { toolsListChanged: true } });
  await client.heard("notifications/subscriptions/acknowledged");
  say("c", "tools/call", { name: "echo", arguments: { text: "x" } });
  await client.heard('"id":"c"');
  server.notifyToolsChanged();
  await client.heard("notifications/tools/list_changed");
  const before = client.lines.length;
  client.say('{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"l"}}');
  say("d", "tools/list", {});
  await client.heard('"id":"d"');
  server.notifyToolsChanged();
  say("e", "tools/list", {});
  await client.heard('"id":"e"');
  expect(client.lines).toHaveLength(before + 2);
  expect(server.requests.map(({ body }) => (body as { method: string }).method)).not.toContain(
    "notifications/cancelled",
  );
});

test("a listen stream that is open when the process is stopped is completed", async () => {
  const server = await use(startModernServer());
  const client = await use(rawStdio(["connect", server.url]));
  const params = { notifications: { toolsListChanged: true }, _meta: MODERN_META };
  client.say(JSON.stringify({ jsonrpc: "2.0", id: "l", method: "subscriptions/listen", params }));
  await client.heard("notifications/subscriptions/acknowledged");
  client.process.kill("SIGTERM");
  await client.exited;
  expect(JSON.parse(client.lines.at(-1)!)).toMatchObject({ id: "l", result: { resultType: "complete" } });
});

/** A session-keeping server, scripted. */
async function scriptedServer(answer: (id: string) => string | Promise<string>) {
  const server = await scripted(async (request) => {
    if (request.method !== "POST") return jsonAnswer("{}", request.method === "GET" ? "405 No" : "200 OK");
    const method = methodOf(request)!;
    if (method.startsWith("notifications/")) return "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";
    if (method !== "initialize") return answer(idOf(request));
    return jsonAnswer(
      `{"jsonrpc":"2.0","id":${idOf(request)},"result":{"protocolVersion":"2025-06-18","capabilities":{}}}`,
      "200 OK",
      "mcp-session-id: session-1\r\n",
    );
  });
  await use(server.server);
  return server;
}

const RESULT = (id: string) => jsonAnswer(`{"jsonrpc":"2.0","id":${id},"result":{"n":${id}}}`);

describe("line by line", () => {
  test("messages in one write stay in order; garbage is answered; EOF waits for answers, ends the session, exit 0", async () => {
    const held = gate();
    const server = await scriptedServer(async (id) => {
      if (id === "3") await held.promise;
      return RESULT(id);
    });
    const client = await use(rawStdio(["connect", `${server.server.url}/mcp`, "--log-level", "debug"]));
    client.say(INITIALIZE);
    await client.heard('"id":0');
    client.say([INITIALIZED, call(1), "", "{no json", '["x"]', call('"ü"').replace("}", "}\r"), call(3)].join("\n"));
    expect(await client.heard('"id":1')).toEqual({ jsonrpc: "2.0", id: 1, result: { n: 1 } });
    await client.heard('"id":"ü"');
    await expect.poll(() => client.lines.filter((line) => line.includes('"id":null'))).toHaveLength(2);
    const errors = client.lines.filter((line) => line.includes('"id":null'));
    expect(errors.map((line) => (JSON.parse(line) as { error: { code: number } }).error.code)).toEqual([
      -32700, -32600,
    ]);
    client.process.stdin!.end();
    await expect.poll(() => client.stderr()).toContain("stdin was closed");
    held.open();
    await client.heard('"id":3');
    expect(await client.exited).toBe(0);
    const posted = server.seen.filter((one) => !one.startsWith("GET"));
    expect(posted.slice(0, 3)).toEqual(["POST initialize", "POST notifications/initialized", "POST tools/list"]);
    expect(posted.at(-1)).toBe("DELETE session-1");
    for (const line of client.lines) expect(JSON.parse(line)).toMatchObject({ jsonrpc: "2.0" });
  });

  test("pretty-printed answers and streams with comments become one line each; a page becomes an error", async () => {
    const server = await scriptedServer((id) => {
      if (id === "1") return jsonAnswer(`{\r\n  "jsonrpc": "2.0",\n  "id": 1, "result": {"t": "a\\nb"}\n}`);
      if (id === "2")
        return `${SSE_HEAD}${chunk(': x\n\ndata: {"jsonrpc":"2.0",\ndata: "id":2,"result":{}}\n\ndata: hello\n\n')}${chunk("")}`;
      return "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>";
    });
    const client = await use(rawStdio(["connect", server.server.url, "--log-level", "silent"]));
    for (const id of [1, 2, 3]) client.say(call(id));
    expect(await client.heard('"t":')).toMatchObject({ result: { t: "a\nb" } });
    expect(await client.heard('"id":2')).toMatchObject({ result: {} });
    expect(await client.heard('"id":3')).toMatchObject({ error: { data: { code: "UPSTREAM_INVALID" } } });
    expect(client.lines).toHaveLength(3);
  });

  test("a line of more than 10 MiB is refused, and what follows is read", async () => {
    const server = await scriptedServer(RESULT);
    const client = await use(rawStdio(["connect", server.server.url]));
    client.say(`${call(1, "tools/list", `{"x":"${"x".repeat(10 * 1024 * 1024)}"}`)}\n${call(3)}`);
    expect(await client.heard('"id":null')).toMatchObject({ error: { data: { code: "BODY_TOO_LARGE" } } });
    await client.heard('"id":3');
    expect(server.seen).toHaveLength(1);
  });

  test("a server that is not there yet, that goes and comes: every request has an answer, the process stays", async () => {
    // Takes connections and ends them: a server that starts.
    let isThere = false;
    const server = await scripted((request) => {
      if (!isThere) return "reset";
      if (request.method !== "POST") return jsonAnswer("{}", request.method === "GET" ? "405 No" : "200 OK");
      if (methodOf(request)!.startsWith("notifications/")) return "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";
      return jsonAnswer(
        `{"jsonrpc":"2.0","id":${idOf(request)},"result":{"protocolVersion":"2025-06-18","capabilities":{}}}`,
        "200 OK",
        methodOf(request) === "initialize" ? "mcp-session-id: session-1\r\n" : "",
      );
    });
    await use(server.server);
    const client = await use(rawStdio(["connect", `${server.server.url}/mcp`, "--log-level", "silent"]));
    client.say(INITIALIZE);
    expect(await client.heard('"id":0')).toMatchObject({ error: { code: -32603 } });
    isThere = true;
    client.say(INITIALIZE.replace('"id":0', '"id":90'));
    expect(await client.heard('"id":90')).toMatchObject({ result: {} });
    client.say(INITIALIZED);
    isThere = false;
    client.say(call(1, "tools/call", '{"name":"x"}'));
    expect(await client.heard('"id":1')).toMatchObject({ error: { code: -32603 } });
    isThere = true;
    client.say(call(2, "tools/call", '{"name":"x"}'));
    expect(await client.heard('"id":2')).toMatchObject({ result: {} });
  });

  test("a server that lost its sessions: the client goes on", async () => {
    const server = await use(startLegacyServer());
    const client = await use(rawStdio(["connect", server.url]));
    client.say(INITIALIZE);
    await client.heard('"id":0');
    client.say(`${INITIALIZED}\n${call(1)}`);
    await client.heard('"id":1');
    await server.loseSessions();
    client.say(call(2));
    expect(await client.heard('"id":2')).toMatchObject({ result: {} });
    expect(server.sessions).toHaveLength(1);
  });

  test("SIGTERM lets go of what is under way, ends the session, exit 0; so does a client that has gone", async () => {
    const called = [gate(), gate()];
    let next = 0;
    const server = await scriptedServer(async () => {
      called[next++]!.open();
      return new Promise<string>(() => {});
    });
    for (const [i, leave] of (["SIGTERM", "EPIPE"] as const).entries()) {
      const client = await use(rawStdio(["connect", server.server.url]));
      client.say(INITIALIZE);
      await client.heard('"id":0');
      client.say(call(1));
      await called[i]!.promise;
      if (leave === "SIGTERM") client.process.kill("SIGTERM");
      else {
        client.process.stdout!.destroy();
        client.say("garbage");
      }
      expect(await client.exited).toBe(0);
      expect(server.seen.filter((one) => one === "DELETE session-1")).toHaveLength(i + 1);
    }
  });

  test.each([
    [["connect", "stdio:x"], /no http: or https: URL/],
    [["connect", "http://127.0.0.1:1/mcp", "--header", "no colon"], /--header/],
    [
      ["connect", "http://127.0.0.1:1/mcp", "--header", "Authorization: Bearer ${NOT_THERE_1}"],
      /NOT_THERE_1 is not set/,
    ],
    [["connect", "http://127.0.0.1:1/mcp", "http://127.0.0.1:2/mcp"], /127\.0\.0\.1:2/],
  ])("%j stops the start, with nothing on stdout", async (args, message) => {
    const { code, stdout, stderr } = await runCli(args);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(message);
  });

  test("what a header holds is not in the log", async () => {
    const server = await scriptedServer(RESULT);
    const client = await use(
      rawStdio(["connect", server.server.url, "-H", "x-team: ${TEAM_VALUE}", "--log-level", "debug"], {
        TEAM_VALUE: "blue-parrot",
      }),
    );
    client.say(call(1, "tools/call", '{"name":"blue-parrot"}'));
    await client.heard('"id":1');
    expect(server.requests[0]!.headers["x-team"]).toBe("blue-parrot");
    await expect.poll(() => client.stderr()).toContain("tools/call [redacted]");
    expect(client.stderr()).not.toContain("blue-parrot");
  });
});
