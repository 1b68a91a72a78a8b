/** The HTTP side that both demo servers share: a loopback listener at `/mcp`, and a `close()` that leaves nothing behind. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { localhostHostValidation, localhostOriginValidation } from "@modelcontextprotocol/node";

/** A running demo server. */
export interface DemoServer {
  /** The MCP endpoint, to be written into a Penstock config as `url`. */
  url: string;
  /** Ends every stream and connection, then frees the port. Safe to call twice. */
  close(): Promise<void>;
}

/** What a demo server brings along. */
export interface ListenOptions {
  port: number;
  handle(request: IncomingMessage, response: ServerResponse): Promise<void>;
  /** Ends the work in progress, so that streams finish properly before their sockets go. */
  stop(): Promise<void>;
}

/** Serves `handle` on `http://127.0.0.1:<port>/mcp`; port 0 takes a free one. */
export async function listen({ port, handle, stop }: ListenOptions): Promise<DemoServer> {
  // A page in a browser can reach loopback too (DNS rebinding), so even a local MCP server must check who is asking.
  const guards = [localhostHostValidation(), localhostOriginValidation()];

  const http = createServer((request, response) => {
    if (guards.some((allowed) => !allowed(request, response))) return; // the guard has already answered 403
    if (request.url?.split("?")[0] !== "/mcp") {
      response.writeHead(404).end();
      return;
    }
    handle(request, response).catch(() => response.destroy());
  });
  http.listen(port, "127.0.0.1");
  await once(http, "listening");
  // The demo lives as long as the proxy in front of it: a command that only reads the config must still be able to exit.
  http.unref();

  const address = http.address() as AddressInfo;
  let closed: Promise<void> | undefined;
  return {
    url: `http://127.0.0.1:${address.port}/mcp`,
    close: () => (closed ??= shut()),
  };

  async function shut(): Promise<void> {
    const freed = once(http, "close");
    http.close();
    await stop();
    // Ended streams need one turn of the event loop to write their last bytes; what is open after that only waits for a client.
    setImmediate(() => http.closeAllConnections());
    await freed;
  }
}
