import { toNodeHandler } from "@modelcontextprotocol/node";
import { createMcpHandler, McpServer, type ServerContext } from "@modelcontextprotocol/server";
import { z } from "zod";
import { type Closeable, closeable } from "../loopback.ts";
import { type NamedGates, namedGates } from "./gates.ts";
import { type Intercept, type RecordingServer, recordingServer } from "./http.ts";
import { sharedTools, type ToolCall } from "./tools.ts";

/** How a modern server behaves. */
export interface ModernServerOptions {
  /** What clients of the `initialize` revisions get: an error (default, modern only) or stateless service (both eras). */
  legacy?: "reject" | "stateless";
  /** Answers chosen requests in place of the SDK. */
  intercept?: Intercept;
}

/** A running server of the 2026-07-28 revision. */
export interface ModernServer extends RecordingServer, NamedGates, Closeable {
  /** Publishes a change of the tool list to every open `subscriptions/listen` stream that asked for it. */
  notifyToolsChanged(): void;
}

/** Starts a modern server on the v2 SDK. */
export async function startModernServer({
  legacy = "reject",
  intercept,
}: ModernServerOptions = {}): Promise<ModernServer> {
  const gates = namedGates();
  const shared = sharedTools(gates);
  // The factory runs for every request: an instance has no memory, which is the point of this revision.
  const handler = createMcpHandler(
    () => {
      const mcp = new McpServer(
        { name: "modern-fixture", version: "1.0.0" },
        { capabilities: { tools: { listChanged: true } }, instructions: "A fixture." },
      );
      mcp.registerTool("echo", { description: "Says it again.", inputSchema: z.object({ text: z.string() }) }, (args) =>
        shared.echo(args),
      );
      mcp.registerTool(
        "count",
        { description: "Reports n steps.", inputSchema: z.object({ n: z.number().int() }) },
        (args, context) => shared.count(args, toolCall(context)),
      );
      mcp.registerTool(
        "slow",
        { description: "Waits for a barrier.", inputSchema: z.object({ gateName: z.string() }) },
        (args, context) => shared.slow(args, toolCall(context)),
      );
      return mcp;
    },
    { legacy },
  );
  const serve = toNodeHandler(handler);
  const http = await recordingServer(({ body }, request, response) => serve(request, response, body), intercept);
  return closeable({
    ...http,
    ...gates,
    notifyToolsChanged: () => handler.notify.toolsChanged(),
    async close() {
      gates.release();
      await handler.close();
      await http.stop();
    },
  });
}

function toolCall({ mcpReq }: ServerContext): ToolCall {
  const progressToken = mcpReq._meta?.progressToken;
  return {
    signal: mcpReq.signal,
    async progress(progress, total) {
      if (progressToken === undefined) return;
      await mcpReq.notify({ method: "notifications/progress", params: { progressToken, progress, total } });
    },
  };
}
