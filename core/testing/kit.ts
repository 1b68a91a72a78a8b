/** A proxy around the plugin under test, and a client that posts to it. */
import { createPenstock } from "../app.ts";
import { parseEvent } from "../body/sse.ts";
import type { Logger } from "../log.ts";
import type { Json, Message, Plugin, PluginOption } from "../types.ts";
import { type FakeServer, fakeServer, readText } from "./fake-server.ts";

/** Options of {@link testPlugin}. */
export interface PluginTestOptions {
  /** What is behind the proxy. @default a small MCP server */
  server?: FakeServer;
  /** One server, and so one mount, per name. @default ["alpha"] */
  mounts?: readonly string[];
  /** Real sockets on both sides instead of function calls. @default false */
  socket?: boolean;
}

/** Options of one request. */
export interface PostOptions {
  /** @default the first mount */
  mount?: string;
  /** Who asks. @default "anna" */
  principal?: string;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** What came back. */
export interface Posted {
  status: number;
  headers: Headers;
  /** Every JSON-RPC message of the answer, from JSON or from an event stream. */
  messages: readonly Message[];
  /** The last of them: the response, as a rule. */
  message: Message | undefined;
  text: string;
}

export interface PluginTest {
  readonly server: FakeServer;
  /** Everything that was logged, as `level text`. */
  readonly log: readonly string[];
  /** Posts a message; `jsonrpc` and, for a request, `id` are added where they are missing. */
  post(message: Partial<Message> & Json, options?: PostOptions): Promise<Posted>;
  /** The same for a method and its params. */
  request(method: string, params?: Json, options?: PostOptions): Promise<Posted>;
  /** Any HTTP request to a mount; the caller reads the answer. */
  fetch(init: RequestInit, options?: PostOptions): Promise<Response>;
  close(): Promise<void>;
}

const PRINCIPAL = "x-test-principal";

/** Knows a caller by a header, so that plugins can be tested with several. */
const testPrincipals: Plugin = {
  name: "test-principals",
  order: "pre",
  authenticate: (request) => ({ id: request.headers.get(PRINCIPAL) ?? "anna", scopes: [] }),
};

/**
 * Starts a proxy that runs one plugin, or several, in front of a fake server.
 *
 * @example
 * const test = await testPlugin(toolFilter({ deny: ["delete_*"] }));
 * const { message } = await test.request("tools/list");
 */
export async function testPlugin(plugins: PluginOption, options: PluginTestOptions = {}): Promise<PluginTest> {
  const { server = fakeServer(), mounts = ["alpha"], socket = false } = options;
  const log: string[] = [];
  const listening = socket ? await server.listen() : undefined;
  const url = listening?.url ?? "http://fake.invalid/mcp";
  const servers = Object.fromEntries(mounts.map((name) => [name, { url, path: `/${name}/mcp` }]));
  const config = { servers, plugins: [testPrincipals, plugins] };
  const penstock = createPenstock(config, { logger: recordTo(log), ...(!socket && { connect: server.connect }) });
  await penstock.ready();
  const front = socket ? await penstock.serve({ port: 0 }) : undefined;
  let nextId = 1;

  const test: PluginTest = {
    server,
    log,
    async fetch(init, { mount = mounts[0]!, principal = "anna", headers = {}, signal } = {}) {
      const request = new Request(`${front?.url ?? "http://localhost"}/${mount}/mcp`, {
        ...init,
        signal,
        headers: { ...(init.headers as Record<string, string>), [PRINCIPAL]: principal, ...headers },
      });
      return front ? fetch(request) : penstock.fetch(request);
    },
    async post(message, postOptions) {
      const isRequest = message.method !== undefined && !message.method.startsWith("notifications/");
      const body = JSON.stringify({ jsonrpc: "2.0", ...(isRequest && { id: nextId++ }), ...message });
      const response = await test.fetch(
        {
          method: "POST",
          body,
          headers: { "content-type": "application/json", accept: "application/json, text/event-stream" },
        },
        postOptions,
      );
      const text = await readText(response);
      const messages = readMessages(text, response.headers.get("content-type") ?? "");
      return { status: response.status, headers: response.headers, messages, message: messages.at(-1), text };
    },
    request: (method, params, postOptions) => test.post({ method, ...(params && { params }) }, postOptions),
    async close() {
      await (front ? front.close() : penstock.close());
      await listening?.close();
    },
  };
  return test;
}

function readMessages(text: string, type: string): Message[] {
  if (type.startsWith("text/event-stream")) {
    const events = text.split(/\n\n|\r\n\r\n|\r\r/).map((event, i) => parseEvent(event, i === 0).data);
    return events.filter((data) => data !== undefined).map((data) => JSON.parse(data) as Message);
  }
  return type.startsWith("application/json") && text !== "" ? [JSON.parse(text) as Message] : [];
}

function recordTo(lines: string[]): Logger {
  const at = (level: string) => (text: string | (() => string)) =>
    void lines.push(`${level} ${typeof text === "function" ? text() : text}`);
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}
