/** Sessions as the legacy era has them: one MCP server object per `Mcp-Session-Id`. The modern era has none, see weather.ts. */
import { randomUUID } from "node:crypto";
import type { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import type { RequestId } from "@modelcontextprotocol/sdk/types.js";
import type { ListenOptions } from "./listen.ts";

/**
 * Gives every client that sends `initialize` its own server, made by `create`.
 * A session ends with DELETE or with the process; a server for the open internet would also end idle ones.
 */
export function withSessions(create: () => McpServer): Pick<ListenOptions, "handle" | "stop"> {
  const sessions = new Map<string, StreamableHTTPServerTransport>();

  return {
    async handle(request, response) {
      const id = request.headers["mcp-session-id"]?.toString();
      // Without an id only `initialize` makes sense. The SDK checks that: a new transport answers anything else with 400.
      const transport = id === undefined ? await open() : sessions.get(id);
      if (transport) return transport.handleRequest(request, response);
      // 404 is what tells a legacy client that its session is gone and that it has to initialize again.
      const error = { code: -32001, message: "Session not found" };
      const headers = { "content-type": "application/json" };
      response.writeHead(404, headers).end(JSON.stringify({ jsonrpc: "2.0", error, id: null }));
    },

    async stop() {
      await Promise.all([...sessions.values()].map((transport) => transport.close()));
    },
  };

  async function open(): Promise<StreamableHTTPServerTransport> {
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => void sessions.set(id, transport),
    });
    transport.onclose = () => void sessions.delete(transport.sessionId ?? "");
    transport.onmessage = (message) => {
      // The SDK stops a cancelled call but leaves its response stream open, and the client waits for us to end it.
      if ("method" in message && message.method === "notifications/cancelled") {
        transport.closeSSEStream(message.params?.requestId as RequestId);
      }
    };
    await create().connect(transport); // calls our two callbacks first, then its own
    return transport;
  }
}
