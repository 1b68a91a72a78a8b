/** A server of the `initialize` revisions (SDK v1) with all that the suite's scenarios ask for. Each session or process has its own. */
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import * as types from "@modelcontextprotocol/sdk/types.js";
import { prompts, read, resources, template } from "./contents.mjs";
import { listedTools, tools } from "./tools.mjs";

const LEVELS = types.LoggingLevelSchema.options;
const NOT_FOUND = -32_002;
const RESULTS = {
  "elicitation/create": types.ElicitResultSchema,
  "roots/list": types.ListRootsResultSchema,
  "sampling/createMessage": types.CreateMessageResultSchema,
};

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
  const callOf = (name, extra) => ({
    capabilities: server.getClientCapabilities() ?? {},
    signal: extra.signal,
    closeStream: extra.closeSSEStream,
    async log(data) {
      if (LEVELS.indexOf("info") < LEVELS.indexOf(level)) return;
      await extra.sendNotification({ method: "notifications/message", params: { level: "info", logger: name, data } });
    },
    async progress(progress, total) {
      const progressToken = extra._meta?.progressToken;
      if (progressToken === undefined) return;
      await extra.sendNotification({ method: "notifications/progress", params: { progressToken, progress, total } });
    },
    async ask(requests) {
      const answers = Object.entries(requests).map(async ([key, request]) => [
        key,
        await extra.sendRequest(request, RESULTS[request.method]),
      ]);
      return Object.fromEntries(await Promise.all(answers));
    },
    changed: (list) => (list === "tools" ? server.sendToolListChanged() : server.sendPromptListChanged()),
  });
  server.setRequestHandler(types.CallToolRequestSchema, ({ params }, extra) => {
    const tool = tools[params.name];
    if (!tool) throw notFound(types.ErrorCode.InvalidParams, `Tool ${params.name}`);
    return tool.run(callOf(params.name, extra), params.arguments ?? {});
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
  server.setRequestHandler(types.GetPromptRequestSchema, async ({ params }, extra) => {
    const prompt = prompts[params.name];
    if (!prompt) throw notFound(types.ErrorCode.InvalidParams, `Prompt ${params.name}`);
    return { messages: await prompt.messages(params.arguments ?? {}, callOf(params.name, extra)) };
  });
  return server;
}
