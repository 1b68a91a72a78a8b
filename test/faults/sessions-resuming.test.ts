/** Connections that break in the middle of a call, with clients and servers of the official SDKs. */
import { Client as ClientV1 } from "@modelcontextprotocol/sdk/client/index.js";
import { describe, expect, test, vi } from "vitest";
import { breakable } from "../_harness/breakable.ts";
import { type ConnectedV1, type ConnectedV2, connectV1, connectV2 } from "../_harness/clients.ts";
import { gate, within } from "../_harness/peers.ts";
import { standard } from "../_harness/plugins.ts";
import { testScope } from "../_harness/scope.ts";
import { startLegacyServer } from "../_harness/servers.ts";
import { front } from "../_harness/wire.ts";

const use = testScope();
const text = (result: unknown) => (result as { content: { text: string }[] }).content[0]!.text;

/** Either SDK's way to call a tool and to hear of its progress. */
function callTool(client: ConnectedV1["client"] | ConnectedV2["client"], name: string, onprogress: () => void) {
  const params = { name, arguments: { gateName: "a" } };
  const call = client.callTool.bind(client) as (...args: unknown[]) => Promise<unknown>;
  return client instanceof ClientV1 ? call(params, undefined, { onprogress }) : call(params, { onprogress });
}

const SOON = { reconnect: 50 };
const CLIENTS = [
  ["v1", (url: string, options: object = {}) => connectV1(url, { ...SOON, ...options })],
  ["v2", (url: string, options: object = {}) => connectV2(url, { ...SOON, mode: "legacy", ...options })],
] as const;

describe("SE-09 a connection that breaks in the middle of a call", () => {
  test.each(CLIENTS)("an SDK client (%s) resumes by itself, and has its result once", async (_version, connect) => {
    const server = await use(startLegacyServer());
    const proxy = await use(front(server.url, standard()));
    const wire = await use(breakable(`${proxy.url}/mcp`));
    const { client } = await use<ConnectedV1 | ConnectedV2>(connect(wire.url));
    const begun = gate();
    const calling = callTool(client, "slow", begun.open);
    await within(begun.promise, "the first event");
    expect(wire.cut()).toBeGreaterThan(0);
    server.open("a");
    expect(text(await within(calling, "the result"))).toBe("passed a");
    expect(server.requests.filter(({ body }) => JSON.stringify(body ?? "").includes('"slow"'))).toHaveLength(1);
    // The client is no worse for it.
    expect(text(await client.callTool({ name: "echo", arguments: { text: "b" } }))).toBe("b");
  });

  test("a server that ends its stream and is polled: the client sees one unbroken stream", async () => {
    const server = await use(startLegacyServer({ retry: 20 }));
    const proxy = await use(front(server.url, standard()));
    const wire = await use(breakable(`${proxy.url}/mcp`));
    const { client, errors } = await use(connectV1(wire.url, SOON));
    const begun = gate();
    const calling = callTool(client, "polled", begun.open);
    await within(begun.promise, "progress that was sent after the end of the first stream");
    server.open("a");
    expect(text(await within(calling, "the result"))).toBe("passed a");
    const resumed = server.requests.filter(({ headers }) => headers["last-event-id"] !== undefined);
    expect(resumed.map(({ method }) => method)).toEqual(["GET"]);
    expect(errors).toEqual([]);
  });

  test.each(CLIENTS)("an answer to the server by another connection (%s)", async (version, connect) => {
    const server = await use(startLegacyServer());
    const proxy = await use(front(server.url, standard()));
    const wire = await use(breakable(`${proxy.url}/mcp`));
    const answer = { action: "accept" as const, content: { colour: "red" } };
    const asked = gate();
    const answered = gate();
    const elicit = async () => {
      asked.open();
      await answered.promise;
      return answer;
    };
    const { client, errors } = await use<ConnectedV1 | ConnectedV2>(
      connect(wire.url, {
        capabilities: { elicitation: {} },
        ...(version === "v1"
          ? { handlers: { "elicitation/create": elicit } }
          : { prepare: (made: ConnectedV2["client"]) => made.setRequestHandler("elicitation/create", elicit) }),
      } as never),
    );
    const calling = client.callTool({ name: "elicit", arguments: {} });
    await within(asked.promise, "the question");
    wire.cut();
    // It has noticed, and makes new connections.
    await vi.waitFor(() => expect(errors).not.toEqual([]));
    answered.open();
    const result = await within(calling as Promise<unknown>, "the result");
    expect(JSON.parse(text(result))).toEqual({ result: answer });
  });

  test("the stream of a GET is resumed: what came meanwhile arrives, once", async () => {
    const server = await use(startLegacyServer());
    const proxy = await use(front(server.url, standard()));
    const wire = await use(breakable(`${proxy.url}/mcp`));
    const { notifications, notification } = await use(connectV1(wire.url, SOON));
    await server.pushStream();
    await server.notifyToolsChanged();
    await notification("notifications/tools/list_changed");
    wire.cut();
    await server.notifyToolsChanged();
    await vi.waitFor(() => expect(notifications).toHaveLength(2), { timeout: 5000 });
    expect(server.requests.filter(({ method }) => method === "GET")).toHaveLength(1);
  });
});
