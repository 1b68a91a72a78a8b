/** A proxy with `bearer-auth` in this process, its servers and its log. */
import { type PluginOption, type ServerConfig, createPenstock } from "mcp-penstock";
import { type BearerAuthOptions, bearerAuth } from "mcp-penstock/plugins/bearer-auth";
import { fakeServer } from "mcp-penstock/testing";
import { type Closeable, closeable } from "../_harness/loopback.ts";
import type { Use } from "../_harness/scope.ts";

export const PUBLIC = "https://gw.example.com";
export const DOCS = `${PUBLIC}/docs/mcp`;
export const NOTES = `${PUBLIC}/notes/mcp`;
export const METADATA = `${PUBLIC}/.well-known/oauth-protected-resource/docs/mcp`;

interface Asked {
  /** @default "/docs/mcp" */
  path?: string;
  /** @default "POST" */
  method?: string;
  /** The tool that is called. @default none: `tools/list` */
  tool?: string;
  headers?: Record<string, string>;
}

/** What the options are where they are not the point. */
export function startBearer(
  use: Use,
  options: BearerAuthOptions,
  { around, ...config }: { around?: PluginOption; publicUrl?: string | undefined } = {},
) {
  const server = fakeServer();
  const log: string[] = [];
  const write = (text: string | (() => string)) => void log.push(typeof text === "function" ? text() : text);
  const at = (path: string): ServerConfig => ({ url: "http://fake.invalid/mcp", path });
  const penstock = createPenstock(
    {
      servers: { docs: at("/docs/mcp"), notes: at("/notes/mcp") },
      plugins: [bearerAuth(options), around],
      publicUrl: PUBLIC,
      ...config,
    },
    { connect: server.connect, logger: { debug: write, info: write, warn: write, error: write } },
  );
  void use(closeable({ close: () => penstock.close() }) as Closeable);
  return {
    server,
    log,
    penstock,
    async ask(credential?: string, { path = "/docs/mcp", method = "POST", tool, headers = {} }: Asked = {}) {
      const message = tool === undefined ? { method: "tools/list" } : { method: "tools/call", params: { name: tool } };
      const answer = await penstock.fetch(
        new Request(`http://localhost${path}`, {
          method,
          body: method === "POST" ? JSON.stringify({ jsonrpc: "2.0", id: 1, ...message }) : null,
          headers: {
            ...(method === "POST" && { "content-type": "application/json" }),
            accept: "application/json, text/event-stream",
            ...(credential !== undefined && { authorization: credential }),
            ...headers,
          },
        }),
      );
      const isStream = method === "GET" && answer.status === 200;
      const text = isStream ? "" : await answer.text();
      if (isStream) await answer.body?.cancel();
      return {
        status: answer.status,
        challenge: answer.headers.get("www-authenticate"),
        headers: answer.headers,
        text,
      };
    },
  };
}
