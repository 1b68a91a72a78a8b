import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import type { RequestHandlerExtra } from "@modelcontextprotocol/sdk/shared/protocol.js";
import { ElicitResultSchema, type ServerNotification, type ServerRequest } from "@modelcontextprotocol/sdk/types.js";
import { z } from "zod";
import type { namedGates } from "./gates.ts";
import { sharedTools, text, type TextResult, type ToolCall } from "./tools.ts";

type Extra = RequestHandlerExtra<ServerRequest, ServerNotification>;

/** Longer than any relay on loopback takes, shorter than a test: a request to the client that vanished fails with a reason. */
const CLIENT_TIMEOUT_MS = 5_000;

/**
 * Builds one legacy MCP server: tools, two prompts, two resources. A session or a stateless request owns each instance.
 *
 * @param polls it can end its streams to be polled
 */
export function legacyMcpServer(gates: ReturnType<typeof namedGates>, polls = false): McpServer {
  const mcp = new McpServer(
    { name: "legacy-fixture", version: "1.0.0" },
    { capabilities: { tools: { listChanged: true } }, instructions: "A fixture." },
  );
  const shared = sharedTools(gates);
  mcp.registerTool("echo", { description: "Says it again.", inputSchema: { text: z.string() } }, (args) =>
    shared.echo(args),
  );
  mcp.registerTool("count", { description: "Reports n steps.", inputSchema: { n: z.number().int() } }, (args, extra) =>
    shared.count(args, toolCall(extra)),
  );
  mcp.registerTool(
    "slow",
    { description: "Waits for a barrier.", inputSchema: { gateName: z.string() } },
    (args, extra) => shared.slow(args, toolCall(extra)),
  );
  if (polls) registerPolled(mcp, shared);
  registerClientTools(mcp);
  for (const name of ["greet", "part"]) {
    mcp.registerPrompt(name, { description: `A ${name} prompt.`, argsSchema: { who: z.string() } }, ({ who }) => ({
      messages: [{ role: "user", content: { type: "text", text: `${name} ${who}` } }],
    }));
    mcp.registerResource(name, `fixture://${name}`, { mimeType: "text/plain" }, (uri) => ({
      contents: [{ uri: uri.href, mimeType: "text/plain", text: `resource ${name}` }],
    }));
  }
  return mcp;
}

function registerPolled(mcp: McpServer, shared: ReturnType<typeof sharedTools>): void {
  mcp.registerTool(
    "polled",
    {
      description: "Ends its stream, as a server of 2025-11-25 may, and waits for a barrier.",
      inputSchema: { gateName: z.string() },
    },
    async (args, extra) => {
      extra.closeSSEStream?.();
      return shared.slow(args, toolCall(extra));
    },
  );
}

/** The tools that need the client. Each answers with JSON: `{result}` from the client, or `{error: {code, message}}`. */
function registerClientTools(mcp: McpServer): void {
  const related = (extra: Extra) => ({ relatedRequestId: extra.requestId, timeout: CLIENT_TIMEOUT_MS });
  mcp.registerTool(
    "ask",
    { description: "Samples the client's model.", inputSchema: { text: z.string().optional() } },
    (args, extra) =>
      outcome(
        mcp.server.createMessage(
          { messages: [{ role: "user", content: { type: "text", text: args.text ?? "a question" } }], maxTokens: 16 },
          related(extra),
        ),
      ),
  );
  const form = {
    message: "Which colour?",
    requestedSchema: {
      type: "object" as const,
      properties: { colour: { type: "string" as const } },
      required: ["colour"],
    },
  };
  mcp.registerTool(
    "elicit",
    {
      description:
        "Asks the user. With `force`, even when the client did not declare that it can: the SDK would not send that.",
      inputSchema: { force: z.boolean().optional() },
    },
    (args, extra) =>
      outcome(
        args.force
          ? mcp.server.request(
              { method: "elicitation/create", params: { mode: "form", ...form } },
              ElicitResultSchema,
              related(extra),
            )
          : mcp.server.elicitInput(form, related(extra)),
      ),
  );
  mcp.registerTool("roots", { description: "Lists the client's roots." }, (extra) =>
    outcome(mcp.server.listRoots({}, related(extra))),
  );
}

async function outcome(answer: Promise<unknown>): Promise<TextResult> {
  try {
    return text({ result: await answer });
  } catch (error) {
    const { code, message } = error as { code?: number; message: string };
    return text({ error: { code, message } });
  }
}

function toolCall(extra: Extra): ToolCall {
  const progressToken = extra._meta?.progressToken;
  return {
    signal: extra.signal,
    async progress(progress, total) {
      if (progressToken === undefined) return;
      await extra.sendNotification({ method: "notifications/progress", params: { progressToken, progress, total } });
    },
  };
}
