/** Sessions before servers of every transport: what servers ask and tell, and connections of clients that break. */
import { fileURLToPath } from "node:url";
import { describe, expect, test, vi } from "vitest";
import { breakable } from "../_harness/breakable.ts";
import { type V1Options, connectV1 } from "../_harness/clients.ts";
import { gate, within } from "../_harness/peers.ts";
import { standard } from "../_harness/plugins.ts";
import { startProxy } from "../_harness/proxy.ts";
import { testScope } from "../_harness/scope.ts";
import { startLegacyServer, startSseServer } from "../_harness/servers.ts";
import { stdioServer } from "../_harness/stdio.ts";

const use = testScope();
const STDIO = fileURLToPath(new URL("../_harness/servers/stdio-v1.mjs", import.meta.url));
const SOON = { reconnect: 50 };
const text = (result: unknown) => (result as { content: { text: string }[] }).content[0]!.text;

/** A proxy before a server of this transport, by way of a wire that can be cut. */
async function serve(transport: "http" | "sse" | "stdio") {
  const server =
    transport === "http"
      ? await use(startLegacyServer())
      : transport === "sse"
        ? await use(startSseServer())
        : undefined;
  const one = server
    ? { url: server.url, transport: transport as "http" | "sse" }
    : { command: process.execPath, args: [STDIO] };
  const proxy = await use(startProxy({ servers: { one: { ...one, path: "/mcp" } }, plugins: standard() }));
  return { server, wire: await use(breakable(`${proxy.url}/mcp`)) };
}

const answering = (answer: () => unknown): V1Options => ({
  ...SOON,
  capabilities: { elicitation: {} },
  handlers: { "elicitation/create": answer as never },
});

describe.each(["http", "sse", "stdio"] as const)("over %s", (transport) => {
  const question = transport === "stdio" ? "ask" : "elicit";

  test("a question of the server reaches its client, and the answer the server", async () => {
    const { wire } = await serve(transport);
    const { client, errors } = await use(
      connectV1(
        wire.url,
        answering(() => ({ action: "decline" })),
      ),
    );
    expect(text(await client.callTool({ name: question, arguments: {} }))).toContain("decline");
    expect(errors).toEqual([]);
  });

  test("the answer comes by another connection than the question went", async () => {
    const { wire } = await serve(transport);
    const asked = gate();
    const answered = gate();
    const { client, errors } = await use(
      connectV1(
        wire.url,
        answering(async () => {
          asked.open();
          await answered.promise;
          return { action: "cancel" };
        }),
      ),
    );
    const calling = client.callTool({ name: question, arguments: {} });
    await within(asked.promise, "the question");
    wire.cut();
    await vi.waitFor(() => expect(errors).not.toEqual([]));
    answered.open();
    expect(text(await within(calling, "the result"))).toContain("cancel");
  });

  test("what belongs to no request comes on the stream of the GET", async () => {
    const { wire, server } = await serve(transport);
    const { client, notification } = await use(connectV1(wire.url, SOON));
    if (server && "pushStream" in server) await server.pushStream();
    if (server) await server.notifyToolsChanged();
    else await client.callTool({ name: "announce", arguments: {} });
    await notification("notifications/tools/list_changed");
  });
});

describe.each(["http", "sse"] as const)("over %s", (transport) => {
  test("a client that did not declare what its server asks: -32601 by the proxy", async () => {
    const { wire } = await serve(transport);
    const { client } = await use(connectV1(wire.url, SOON));
    const result = text(await client.callTool({ name: "elicit", arguments: { force: true } }));
    expect(JSON.parse(result)).toMatchObject({ error: { code: -32601, message: expect.stringContaining("'one'") } });
  });

  test("a connection that breaks in the middle of a call: the result comes, once", async () => {
    const { wire, server } = await serve(transport);
    const { client } = await use(connectV1(wire.url, SOON));
    const begun = gate();
    const params = { name: "slow", arguments: { gateName: "a" } };
    const calling = client.callTool(params, undefined, { onprogress: begun.open });
    await within(begun.promise, "the first event");
    wire.cut();
    server!.open("a");
    expect(text(await within(calling, "the result"))).toBe("passed a");
  });
});

describe("over stdio", () => {
  const scripted = async () => {
    const servers = { one: stdioServer() };
    const proxy = await use(startProxy({ servers, plugins: standard() }));
    const wire = await use(breakable(`${proxy.url}/mcp`));
    return { wire, ...(await use(connectV1(wire.url, SOON))) };
  };

  test("a client that did not declare what its server asks: -32601 by the proxy", async () => {
    const { client } = await scripted();
    const result = text(await client.callTool({ name: "ask", arguments: { method: "sampling/createMessage" } }));
    expect(JSON.parse(result)).toMatchObject({ code: -32601, message: expect.stringContaining("'one'") });
  });

  test("a connection that breaks in the middle of a call: the result comes, once", async () => {
    const { client, wire, notification, errors } = await scripted();
    const calling = client.callTool({ name: "wait", arguments: { name: "a" } });
    await notification("notifications/message");
    wire.cut();
    await vi.waitFor(() => expect(errors).not.toEqual([]));
    await client.callTool({ name: "release", arguments: { name: "a" } });
    expect(text(await within(calling, "the result"))).toBe("released a");
    expect(text(await client.callTool({ name: "executed", arguments: {} }))).toBe("1");
  });
});

describe("a server whose GET fails (founding case 5)", () => {
  const refusals = [400, 401, 403, 404, 405, 406, 409, 500, 503].map((status) => [`HTTP ${status}`, status] as const);

  test.each([...refusals, ["the wrong type", 200] as const])(
    "%s: the client is told 405, its session goes on, and the server keeps its own",
    async (_what, status) => {
      const server = await use(
        startLegacyServer({
          intercept({ method }, _request, response) {
            if (method !== "GET") return false;
            response.writeHead(status, { "content-type": "text/html" }).end("no");
            return true;
          },
        }),
      );
      const proxy = await use(startProxy({ servers: { one: { url: server.url, path: "/mcp" } }, plugins: standard() }));
      const { client, errors, transport } = await use(connectV1(`${proxy.url}/mcp`, SOON));
      const headers = { "mcp-session-id": transport.sessionId!, accept: "text/event-stream" };
      const refused = await fetch(`${proxy.url}/mcp`, { headers });
      await refused.text();
      expect(refused.status).toBe(405);
      expect(text(await client.callTool({ name: "echo", arguments: { text: "on" } }))).toBe("on");
      expect(errors).toEqual([]);
      expect(server.requests.filter(({ body }) => JSON.stringify(body ?? "").includes('"initialize"'))).toHaveLength(1);
    },
  );
});
