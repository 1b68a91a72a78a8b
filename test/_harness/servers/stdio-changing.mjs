/** A stdio server whose lists and resources change: the tool `change` says what. `--v1`: SDK v1, legacy; else SDK v2, modern only. */
const CAPABILITIES = {
  tools: { listChanged: true },
  prompts: { listChanged: true },
  resources: { listChanged: true, subscribe: true },
};
const INFO = { name: "changing", version: "1" };

/** @param server of either SDK @param isWanted whether a resource is subscribed to */
async function change(server, what, isWanted = () => true) {
  if (what === "exit") process.exit(1);
  if (what === "tools") await server.sendToolListChanged();
  else if (what === "prompts") await server.sendPromptListChanged();
  else if (what === "resources") await server.sendResourceListChanged();
  else if (isWanted(what)) await server.sendResourceUpdated({ uri: what });
  return { content: [] };
}

async function legacy() {
  const { Server } = await import("@modelcontextprotocol/sdk/server/index.js");
  const { StdioServerTransport } = await import("@modelcontextprotocol/sdk/server/stdio.js");
  const types = await import("@modelcontextprotocol/sdk/types.js");
  const uris = new Set();
  const server = new Server(INFO, { capabilities: CAPABILITIES });
  server.setRequestHandler(types.SubscribeRequestSchema, ({ params }) => {
    uris.add(params.uri);
    return {};
  });
  server.setRequestHandler(types.UnsubscribeRequestSchema, ({ params }) => {
    uris.delete(params.uri);
    return {};
  });
  server.setRequestHandler(types.CallToolRequestSchema, ({ params }) =>
    change(server, params.arguments.what, (uri) => uris.has(uri)),
  );
  await server.connect(new StdioServerTransport());
}

async function modern() {
  const { McpServer } = await import("@modelcontextprotocol/server");
  const { serveStdio } = await import("@modelcontextprotocol/server/stdio");
  const { z } = await import("zod");
  serveStdio(
    () => {
      const mcp = new McpServer(INFO, { capabilities: CAPABILITIES });
      mcp.registerTool("change", { inputSchema: z.object({ what: z.string() }) }, ({ what }) =>
        change(mcp.server, what),
      );
      return mcp;
    },
    { legacy: "reject" },
  );
}

await (process.argv.includes("--v1") ? legacy() : modern());
