import type { McpServer } from "@modelcontextprotocol/server";

export declare function askingServers(): () => McpServer;
