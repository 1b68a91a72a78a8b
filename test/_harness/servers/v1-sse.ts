import { SSEServerTransport } from "@modelcontextprotocol/sdk/server/sse.js";
import { type Closeable, closeable } from "../loopback.ts";
import { type NamedGates, namedGates } from "./gates.ts";
import { type Intercept, type RecordingServer, recordingServer, sendRpcError } from "./http.ts";
import { legacyMcpServer } from "./v1-tools.ts";

/** A running server of HTTP+SSE: an event stream at `/sse`, messages at `/messages`. */
export interface SseServer extends RecordingServer, NamedGates, Closeable {
  /** The server's own ids of the sessions that are alive: one for each open event stream. */
  readonly sessions: string[];
  /** Sends `notifications/tools/list_changed` to every session. */
  notifyToolsChanged(): Promise<void>;
  /** Ends every event stream, and with it every session. */
  loseSessions(): Promise<void>;
}

/** Starts an HTTP+SSE server on the v1 SDK. @param options on this port @default a free one */
export async function startSseServer({
  intercept,
  port = 0,
}: { intercept?: Intercept; port?: number } = {}): Promise<SseServer> {
  const gates = namedGates();
  const live = new Map<string, { mcp: ReturnType<typeof legacyMcpServer>; transport: SSEServerTransport }>();
  const http = await recordingServer(
    async ({ method, target, body }, request, response) => {
      if (method === "GET") {
        const transport = new SSEServerTransport("/messages", response);
        const mcp = legacyMcpServer(gates);
        live.set(transport.sessionId, { mcp, transport });
        transport.onclose = () => live.delete(transport.sessionId);
        return mcp.connect(transport);
      }
      const session = live.get(new URLSearchParams(target.split("?")[1]).get("sessionId") ?? "");
      if (method !== "POST" || !target.startsWith("/messages"))
        return sendRpcError(response, 405, -32_000, "Method not allowed.");
      if (!session) return void response.writeHead(404).end("Session not found");
      await session.transport.handlePostMessage(request, response, body);
    },
    intercept,
    ["/sse", "/messages"],
    port,
  );
  const closeAll = () => Promise.all([...live.values()].map(({ mcp }) => mcp.close()));
  return closeable({
    ...http,
    ...gates,
    get sessions() {
      return [...live.keys()];
    },
    async notifyToolsChanged() {
      for (const { mcp } of live.values()) await mcp.server.sendToolListChanged();
    },
    async loseSessions() {
      await closeAll();
    },
    async close() {
      gates.release();
      await closeAll();
      await http.stop();
    },
  });
}
