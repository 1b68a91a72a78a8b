/** One MCP server (SDK v1) with all that the suite's server scenarios ask for. Each session or process has its own. */
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import * as types from "@modelcontextprotocol/sdk/types.js";
import { prompts, read, resources, template } from "./contents.mjs";
import { listedTools, tools } from "./tools.mjs";

const LEVELS = types.LoggingLevelSchema.options;
const NOT_FOUND = -32_002;

const notFound = (code, what) => new types.McpError(code, `${what} not found`);
const show = ({ description, mimeType, arguments: args }) => ({ description, mimeType, arguments: args });

export function everythingServer() {
  const server = new Server(
    { name: "penstock-everything", version: "1.0.0" },
    {
      capabilities: {
        completions: {},
        logging: {},
        prompts: { listChanged: true },
        resources: { subscribe: true, listChanged: true },
        tools: { listChanged: true },
      },
      instructions: "A server for tests.",
    },
  );
  const subscribed = new Set();
  let level = "debug";

  server.setRequestHandler(types.SetLevelRequestSchema, ({ params }) => {
    level = params.level;
    return {};
  });
  server.setRequestHandler(types.CompleteRequestSchema, ({ params: { argument } }) => {
    const values = ["paris", "park", "party"].filter((one) => one.startsWith(argument.value));
    return { completion: { values, total: values.length, hasMore: false } };
  });
  server.setRequestHandler(types.ListToolsRequestSchema, () => ({ tools: listedTools }));
  server.setRequestHandler(types.CallToolRequestSchema, ({ params }, extra) => {
    const tool = tools[params.name];
    if (!tool) throw notFound(types.ErrorCode.InvalidParams, `Tool ${params.name}`);
    const log = async (data) => {
      if (LEVELS.indexOf("info") < LEVELS.indexOf(level)) return;
      await extra.sendNotification({
        method: "notifications/message",
        params: { level: "info", logger: params.name, data },
      });
    };
    return tool.run({ extra, log }, params.arguments ?? {});
  });
  server.setRequestHandler(types.ListResourcesRequestSchema, () => ({
    resources: Object.entries(resources).map(([uri, one]) => ({ uri, name: one.name, ...show(one) })),
  }));
  server.setRequestHandler(types.ListResourceTemplatesRequestSchema, () => ({ resourceTemplates: [template] }));
  server.setRequestHandler(types.ReadResourceRequestSchema, ({ params: { uri } }) => {
    const found = read(uri);
    if (!found) throw notFound(NOT_FOUND, `Resource ${uri}`);
    return { contents: [found] };
  });
  server.setRequestHandler(types.SubscribeRequestSchema, ({ params: { uri } }) => {
    subscribed.add(uri);
    return {};
  });
  server.setRequestHandler(types.UnsubscribeRequestSchema, ({ params: { uri } }) => {
    subscribed.delete(uri);
    return {};
  });
  server.setRequestHandler(types.ListPromptsRequestSchema, () => ({
    prompts: Object.entries(prompts).map(([name, one]) => ({ name, ...show(one) })),
  }));
  server.setRequestHandler(types.GetPromptRequestSchema, ({ params }) => {
    const prompt = prompts[params.name];
    if (!prompt) throw notFound(types.ErrorCode.InvalidParams, `Prompt ${params.name}`);
    return { messages: prompt.messages(params.arguments ?? {}) };
  });
  return server;
}
