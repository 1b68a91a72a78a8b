// What one writes by hand with the SDK: a server for the client, a client for the server, `node sdk-proxy.mjs <upstream url> <port>`.
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import * as types from "@modelcontextprotocol/sdk/types.js";

const [upstream, port] = process.argv.slice(2);
const info = { name: "sdk-proxy", version: "1.0.0" };
const sessions = new Map();

/** One client of the server behind for each session in front. */
async function open() {
  const client = new Client(info);
  await client.connect(new StreamableHTTPClientTransport(new URL(upstream)));
  const server = new Server(info, { capabilities: { tools: {} } });
  server.setRequestHandler(types.ListToolsRequestSchema, ({ params }) => client.listTools(params));
  server.setRequestHandler(types.CallToolRequestSchema, ({ params }, { signal }) =>
    client.callTool(params, undefined, { signal }),
  );
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: (id) => sessions.set(id, transport),
  });
  transport.onclose = () => (sessions.delete(transport.sessionId), client.close());
  await server.connect(transport);
  return transport;
}

createServer(async (req, res) => {
  try {
    const transport = sessions.get(req.headers["mcp-session-id"]) ?? (await open());
    await transport.handleRequest(req, res);
  } catch (error) {
    console.error(error.message);
    res.writeHead(502).end();
  }
}).listen(Number(port), "127.0.0.1");
