/** A server of 2026-07-28 and nothing else, on the v2 SDK, that asks its client for everything; run as a program it speaks over stdio. */
import { fileURLToPath } from "node:url";
import { McpServer, inputRequired } from "@modelcontextprotocol/server";
import { serveStdio } from "@modelcontextprotocol/server/stdio";
import { z } from "zod";

const QUESTIONS = {
  form: inputRequired.elicit({
    message: "Your name?",
    requestedSchema: { type: "object", properties: { name: { type: "string" } } },
  }),
  url: inputRequired.elicitUrl({ message: "Log in there.", url: "https://login.example.com/" }),
  sampling: inputRequired.createMessage({
    messages: [{ role: "user", content: { type: "text", text: "Say hi." } }],
    maxTokens: 10,
  }),
  roots: inputRequired.listRoots(),
};

const text = (value) => ({
  content: [{ type: "text", text: typeof value === "string" ? value : JSON.stringify(value) }],
});

/** @returns a factory: instances have no memory, but for what it counts */
export function askingServers() {
  let cancelled = 0;
  return () => {
    const mcp = new McpServer({ name: "asking", version: "2.0.0" }, { capabilities: { logging: {} } });
    mcp.registerTool(
      "ask",
      { description: "Asks for these.", inputSchema: z.object({ kinds: z.array(z.string()) }) },
      ({ kinds }, { mcpReq }) => {
        if (mcpReq.inputResponses !== undefined) return text(mcpReq.inputResponses);
        return inputRequired({ inputRequests: Object.fromEntries(kinds.map((kind) => [kind, QUESTIONS[kind]])) });
      },
    );
    mcp.registerTool(
      "count",
      { description: "Reports n steps.", inputSchema: z.object({ n: z.number() }) },
      async ({ n }, { mcpReq }) => {
        const { progressToken } = mcpReq._meta ?? {};
        for (let progress = 1; progress <= n; progress++)
          await mcpReq.notify({ method: "notifications/progress", params: { progressToken, progress, total: n } });
        return text(`counted ${n}`);
      },
    );
    mcp.registerTool(
      "say",
      { description: "Logs a line.", inputSchema: z.object({ level: z.string() }) },
      async ({ level }, { mcpReq }) => {
        await mcpReq.log(level, "a line");
        return text("said");
      },
    );
    mcp.registerTool(
      "wait",
      { description: "Works until it is cancelled.", inputSchema: z.object({}) },
      async (_args, { mcpReq }) => {
        const { progressToken } = mcpReq._meta ?? {};
        if (progressToken !== undefined)
          await mcpReq.notify({ method: "notifications/progress", params: { progressToken, progress: 1 } });
        await new Promise((resolve) => mcpReq.signal.addEventListener("abort", resolve, { once: true }));
        cancelled++;
        return text("cancelled");
      },
    );
    mcp.registerTool("cancelled", { description: "How many were.", inputSchema: z.object({}) }, () =>
      text(`${cancelled}`),
    );
    mcp.registerTool(
      "list",
      { description: "Structured.", inputSchema: z.object({}), outputSchema: z.array(z.number()) },
      () => ({ content: [], structuredContent: [1, 2] }),
    );
    mcp.registerTool(
      "route",
      {
        description: "Has a header field.",
        inputSchema: z.object({
          region: z.string().meta({ "x-mcp-header": "Region" }),
          n: z.int().meta({ "x-mcp-header": "N" }),
        }),
      },
      ({ region, n }) => text(`${region} ${n}`),
    );
    mcp.registerPrompt("greet", { description: "Asks first." }, ({ mcpReq }) => {
      if (mcpReq.inputResponses === undefined) return inputRequired({ inputRequests: { roots: QUESTIONS.roots } });
      return { messages: [{ role: "user", content: { type: "text", text: JSON.stringify(mcpReq.inputResponses) } }] };
    });
    return mcp;
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) serveStdio(askingServers(), { legacy: "reject" });
