/**
 * The same server for 2026-07-28 (SDK v2). Each request has its own; over stdio each connection. Where the SDK serves older clients with
 * it, it asks them what this revision has returned to it.
 */
import {
  createMcpHandler,
  createRequestStateCodec,
  fromJsonSchema,
  McpServer,
  ProtocolError,
} from "@modelcontextprotocol/server";
import { prompts, read, resources, template } from "./contents.mjs";
import { nothing, tools } from "./tools.mjs";

const INVALID_PARAMS = -32_602;
const state = createRequestStateCodec({ key: crypto.getRandomValues(new Uint8Array(32)) });

const show = ({ description, mimeType, arguments: args }) => ({ description, mimeType, arguments: args });

/** Thrown by `ask`: the client must answer first, and call again. */
class InputRequired extends Error {
  constructor(result) {
    super("input required");
    this.result = { resultType: "input_required", ...result };
  }
}

function callOf(name, { mcpReq }, server, changed) {
  // Of this round, and of those before it.
  const given = { ...mcpReq.requestState(), ...mcpReq.inputResponses };
  return {
    // Over stdio the server itself knows those of the request that began its connection.
    capabilities:
      mcpReq.envelope?.["io.modelcontextprotocol/clientCapabilities"] ?? server.getClientCapabilities() ?? {},
    changed,
    signal: mcpReq.signal,
    log: (data) => mcpReq.log("info", data, name),
    async progress(progress, total) {
      const progressToken = mcpReq._meta?.progressToken;
      if (progressToken === undefined) return;
      await mcpReq.notify({ method: "notifications/progress", params: { progressToken, progress, total } });
    },
    async ask(requests, { state: keeps = false } = {}) {
      const missing = Object.keys(requests).filter((key) => given[key] === undefined);
      if (missing.length === 0) return Object.fromEntries(Object.keys(requests).map((key) => [key, given[key]]));
      const inputRequests = Object.fromEntries(missing.map((key) => [key, requests[key]]));
      throw new InputRequired({ inputRequests, ...(keeps && { requestState: await state.mint(given) }) });
    },
  };
}

/** @returns what `work` returns, or what it asks for first */
async function orInput(work) {
  try {
    return await work();
  } catch (error) {
    if (error instanceof InputRequired) return error.result;
    throw error;
  }
}

/** @param changed tells clients that listen that a list has changed */
function modernServer(changed) {
  const mcp = new McpServer(
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
      requestState: { verify: state.verify },
    },
  );
  const { server } = mcp;
  // Registered, so that the SDK knows which arguments are repeated in headers.
  for (const [name, { description, inputSchema = nothing, run }] of Object.entries(tools))
    mcp.registerTool(name, { description, inputSchema: fromJsonSchema(inputSchema) }, (args, context) =>
      orInput(() => run(callOf(name, context, server, changed), args)),
    );
  server.setRequestHandler("completion/complete", ({ params: { argument } }) => {
    const values = ["paris", "park", "party"].filter((one) => one.startsWith(argument.value));
    return { completion: { values, total: values.length, hasMore: false } };
  });
  server.setRequestHandler("resources/list", () => ({
    resources: Object.entries(resources).map(([uri, one]) => ({ uri, name: one.name, ...show(one) })),
  }));
  server.setRequestHandler("resources/templates/list", () => ({ resourceTemplates: [template] }));
  server.setRequestHandler("resources/read", ({ params: { uri } }) => {
    const found = read(uri);
    if (!found) throw new ProtocolError(INVALID_PARAMS, `Resource ${uri} not found`, { uri });
    return { contents: [found] };
  });
  server.setRequestHandler("prompts/list", () => ({
    prompts: Object.entries(prompts).map(([name, one]) => ({ name, ...show(one) })),
  }));
  server.setRequestHandler("prompts/get", ({ params }, context) => {
    const prompt = prompts[params.name];
    if (!prompt) throw new ProtocolError(INVALID_PARAMS, `Prompt ${params.name} not found`);
    return orInput(async () => ({
      messages: await prompt.messages(params.arguments ?? {}, callOf(params.name, context, server, changed)),
    }));
  });
  return mcp;
}

/** Over HTTP. @param legacy `reject`: it speaks 2026-07-28 and nothing else; `stateless`: older clients are served request by request */
export function modernHandler(legacy) {
  const { notify, ...handler } = createMcpHandler(
    () => modernServer((list) => (list === "tools" ? notify.toolsChanged() : notify.promptsChanged())),
    { legacy },
  );
  return handler;
}

/** The same for a process: its one connection is told of changes by the server itself. */
export function modernProcess() {
  const mcp = modernServer((list) => (list === "tools" ? mcp.sendToolListChanged() : mcp.sendPromptListChanged()));
  return mcp;
}
