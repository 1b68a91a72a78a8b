import { randomUUID } from "node:crypto";
import { fileURLToPath } from "node:url";
import { SSEServerTransport } from "@modelcontextprotocol/sdk/server/sse.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { type Closeable, closeable } from "../loopback.ts";
import { askingServer } from "./asking-v1.mjs";
import { recordingServer } from "./http.ts";

/** How a server that asks is reached. */
export type AskingKind = "http" | "stateless" | "sse" | "stdio";

/** A server that asks, as a configuration has it. */
export interface AskingServer extends Closeable {
  readonly config: object;
}

/** Starts the legacy server of `asking-v1.mjs` on one of the transports of its time. */
export async function startAskingServer(kind: AskingKind): Promise<AskingServer> {
  if (kind === "stdio") {
    const program = fileURLToPath(new URL("asking-v1.mjs", import.meta.url));
    return closeable({ config: { command: process.execPath, args: [program] }, close: async () => {} });
  }
  const events: string[] = [];
  const open = new Set<{ close(): Promise<void> }>();
  const sessions = new Map<string, StreamableHTTPServerTransport | SSEServerTransport>();
  const http = await recordingServer(
    async ({ method, target, headers, body }, request, response) => {
      const id = headers["mcp-session-id"] ?? new URLSearchParams(target.split("?")[1]).get("sessionId");
      const known = sessions.get(String(id));
      if (known instanceof SSEServerTransport) return known.handlePostMessage(request, response, body);
      if (known) return known.handleRequest(request, response, body);
      if (id !== null && id !== undefined) return void response.writeHead(404).end();
      if (kind === "stateless" && method !== "POST") return void response.writeHead(405).end();
      const mcp = askingServer(events);
      open.add(mcp);
      if (kind === "sse") {
        const transport = new SSEServerTransport("/messages", response);
        sessions.set(transport.sessionId, transport);
        return mcp.connect(transport);
      }
      const transport = new StreamableHTTPServerTransport({
        sessionIdGenerator: kind === "http" ? randomUUID : undefined,
        onsessioninitialized: (opened) => void sessions.set(opened, transport),
      });
      await mcp.connect(transport);
      await transport.handleRequest(request, response, body);
    },
    undefined,
    ["/mcp", "/messages"],
  );
  const config = { url: http.url, ...(kind === "sse" && { transport: "sse" }) };
  return closeable({
    config,
    async close() {
      await Promise.all([...open].map((mcp) => mcp.close()));
      await http.stop();
    },
  });
}
