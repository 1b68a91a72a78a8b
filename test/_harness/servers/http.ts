import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import { type Journal, journal } from "../journal.ts";
import { listen, stop } from "../loopback.ts";
import type { WaitOptions } from "../wait.ts";

/** One HTTP request as the server received it. */
export interface RecordedRequest {
  method: string;
  /** Path and query. */
  target: string;
  headers: IncomingHttpHeaders;
  /** The JSON body, the plain text if it is not JSON, `undefined` if there is none. */
  body: unknown;
}

/** Looks at a request before the SDK does; returns `true` if it has answered, or will. */
export type Intercept = (
  recorded: RecordedRequest,
  request: IncomingMessage,
  response: ServerResponse,
) => boolean | Promise<boolean>;

/** The HTTP side that both fixture servers share. */
export interface RecordingServer {
  /** The URL of the MCP endpoint. */
  readonly url: string;
  readonly port: number;
  /** Every request so far, also those that were refused. */
  readonly requests: RecordedRequest[];
  /** The first request that matches, past or future. */
  request(matches: (request: RecordedRequest) => boolean, options?: WaitOptions): Promise<RecordedRequest>;
}

/**
 * Serves one handler at its paths, records every request and hands the handler the parsed body. Anything else is 404.
 *
 * @param paths the first one is that of `url` @param on this port @default a free one
 */
export async function recordingServer(
  handle: (recorded: RecordedRequest, request: IncomingMessage, response: ServerResponse) => Promise<void>,
  intercept: Intercept = () => false,
  paths: readonly string[] = ["/mcp"],
  on = 0,
): Promise<RecordingServer & { stop(): Promise<void> }> {
  const log: Journal<RecordedRequest> = journal(
    ({ method, target, body }) => `${method} ${target} ${JSON.stringify(body) ?? ""}`,
  );
  const server = createServer((request, response) => {
    void answer(request, response).catch((error: unknown) => response.destroy(error as Error));
  });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const recorded = await record(request);
    log.add(recorded);
    if (await intercept(recorded, request, response)) return;
    if (!paths.includes(recorded.target.split("?")[0]!))
      return sendRpcError(response, 404, -32_000, "no MCP endpoint at this path");
    // The body is already read, so the SDK cannot report this itself; it would answer the same.
    if (request.method === "POST" && (typeof recorded.body === "string" || recorded.body === undefined)) {
      return sendRpcError(response, 400, -32_700, "Parse error: Invalid JSON");
    }
    await handle(recorded, request, response);
  }

  const port = await listen(server, on);
  return {
    port,
    url: `http://127.0.0.1:${port}${paths[0]}`,
    requests: log.entries,
    request: (matches, options) => log.find(matches, `a request that satisfies ${matches}`, options),
    stop: () => stop(server),
  };
}

/** Answers with a JSON-RPC error that belongs to no request, as the SDKs do for HTTP-level refusals. */
export function sendRpcError(response: ServerResponse, status: number, code: number, message: string): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify({ jsonrpc: "2.0", error: { code, message }, id: null }));
}

async function record(request: IncomingMessage): Promise<RecordedRequest> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const raw = Buffer.concat(chunks).toString("utf8");
  let body: unknown = raw === "" ? undefined : raw;
  try {
    body = JSON.parse(raw);
  } catch {
    // Kept as text.
  }
  return { method: request.method ?? "", target: request.url ?? "", headers: request.headers, body };
}
