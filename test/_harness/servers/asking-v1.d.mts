import type { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";

export function askingServer(events?: string[]): McpServer;
