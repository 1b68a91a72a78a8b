/** A stdio server of the v1 SDK, as users write them: tools, a notification of its own, questions to its client. */
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { z } from "zod";

const server = new McpServer({ name: "stdio-v1", version: "1.0.0" }, { capabilities: { logging: {} } });

server.registerTool("echo", { inputSchema: { text: z.string() } }, ({ text }) => ({
  content: [{ type: "text", text }],
}));

server.registerTool(
  "progress",
  { inputSchema: { steps: z.number() } },
  async ({ steps }, { _meta, sendNotification }) => {
    for (let progress = 1; progress <= steps; progress++)
      await sendNotification({
        method: "notifications/progress",
        params: { progressToken: _meta.progressToken, progress, total: steps },
      });
    return { content: [{ type: "text", text: "done" }] };
  },
);

server.registerTool("ask", {}, async () => {
  const { action } = await server.server.elicitInput({
    message: "Go on?",
    requestedSchema: { type: "object", properties: {} },
  });
  return { content: [{ type: "text", text: action }] };
});

server.registerTool("announce", {}, () => {
  server.sendToolListChanged();
  return { content: [] };
});

await server.connect(new StdioServerTransport());
