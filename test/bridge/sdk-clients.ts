/** Clients of both SDKs, each over each transport, that do all the same things. */
import {
  Client as ClientV2,
  LOG_LEVEL_META_KEY,
  StreamableHTTPClientTransport as HttpV2,
} from "@modelcontextprotocol/client";
import { StdioClientTransport as StdioV2 } from "@modelcontextprotocol/client/stdio";
import { Client as ClientV1 } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StdioClientTransport as StdioV1 } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport as HttpV1 } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
} from "@modelcontextprotocol/sdk/types.js";
import { type Closeable, closeable } from "../_harness/loopback.ts";

/** What a client connects to. */
export type Target = { url: string } | { command: string; args: string[]; env: Record<string, string> };

/** `v1`, or v2 in one of its modes: `pin` is 2026-07-28 or nothing. */
export type Sdk = "v1" | "legacy" | "auto" | "pin";

/** Options of one call. */
export interface CallOptions {
  onprogress?: (step: { progress: number }) => void;
  signal?: AbortSignal;
  /** It wants to hear what the server logs. */
  logs?: boolean;
}

/** A connected client that can be asked anything that its user has: its name, a capital, a folder. */
export interface SdkClient extends Closeable {
  tools(): Promise<string[]>;
  prompt(name: string): Promise<unknown>;
  resource(uri: string): Promise<unknown>;
  /** @returns the text of the result @throws when that is an error */
  call(name: string, args?: Record<string, unknown>, options?: CallOptions): Promise<string>;
  /** What the server logged so far. */
  readonly logs: unknown[];
  /** How often the server said that its tools have changed. */
  changes(): number;
}

const INFO = { name: "matrix", version: "1.0.0" };
const CAPABILITIES = { sampling: {}, elicitation: {}, roots: {} };
const REPLIES = {
  elicitation: { action: "accept" as const, content: { name: "Ada" } },
  sampling: { role: "assistant" as const, content: { type: "text" as const, text: "Paris" }, model: "none" },
  roots: { roots: [{ uri: "file:///work", name: "work" }] },
};
const TIMEOUT_MS = 10_000;

function textOf(result: unknown): string {
  const { content, isError } = result as { content: { text: string }[]; isError?: boolean };
  const text = content.map((each) => each.text).join("");
  if (isError) throw new Error(`the tool failed: ${text}`);
  return text;
}

/** Connects a client. @param sse over HTTP+SSE, which is v1 only */
export function connectSdk(sdk: Sdk, target: Target, sse = false): Promise<SdkClient> {
  return sdk === "v1" ? connectV1(target, sse) : connectV2(sdk, target);
}

async function connectV1(target: Target, sse: boolean): Promise<SdkClient> {
  const client = new ClientV1(INFO, { capabilities: CAPABILITIES });
  const logs: unknown[] = [];
  let changes = 0;
  client.setRequestHandler(ElicitRequestSchema, async () => REPLIES.elicitation);
  client.setRequestHandler(CreateMessageRequestSchema, async () => REPLIES.sampling);
  client.setRequestHandler(ListRootsRequestSchema, async () => REPLIES.roots);
  client.fallbackNotificationHandler = async ({ method, params }) => {
    if (method === "notifications/message") logs.push(params?.data);
    if (method === "notifications/tools/list_changed") changes++;
  };
  const transport =
    "command" in target
      ? new StdioV1({ ...target, stderr: "ignore" })
      : sse
        ? new SSEClientTransport(new URL(target.url))
        : new HttpV1(new URL(target.url));
  await orClose(client, client.connect(transport));
  return closeable<Omit<SdkClient, typeof Symbol.asyncDispose>>({
    logs,
    changes: () => changes,
    tools: async () => (await client.listTools()).tools.map(({ name }) => name),
    prompt: (name) => client.getPrompt({ name }),
    resource: (uri) => client.readResource({ uri }),
    async call(name, args = {}, { logs: heard, ...options } = {}) {
      if (heard) await client.setLoggingLevel("info");
      return textOf(await client.callTool({ name, arguments: args }, undefined, { timeout: TIMEOUT_MS, ...options }));
    },
    close: () => client.close(),
  });
}

async function connectV2(mode: Exclude<Sdk, "v1">, target: Target): Promise<SdkClient> {
  const logs: unknown[] = [];
  let changes = 0;
  const client = new ClientV2(INFO, {
    capabilities: CAPABILITIES,
    versionNegotiation: { mode: mode === "pin" ? { pin: "2026-07-28" } : mode },
    listChanged: { tools: { autoRefresh: false, debounceMs: 0, onChanged: () => void changes++ } },
  });
  client.setRequestHandler("elicitation/create", async () => REPLIES.elicitation);
  client.setRequestHandler("sampling/createMessage", async () => REPLIES.sampling);
  client.setRequestHandler("roots/list", async () => REPLIES.roots);
  client.setNotificationHandler("notifications/message", ({ params }) => void logs.push(params.data));
  const transport =
    "command" in target ? new StdioV2({ ...target, stderr: "ignore" }) : new HttpV2(new URL(target.url));
  await orClose(client, client.connect(transport));
  const modern = client.getProtocolEra() === "modern";
  return closeable<Omit<SdkClient, typeof Symbol.asyncDispose>>({
    logs,
    changes: () => changes,
    tools: async () => (await client.listTools()).tools.map(({ name }) => name),
    prompt: (name) => client.getPrompt({ name }),
    resource: (uri) => client.readResource({ uri }),
    async call(name, args = {}, { logs: heard, ...options } = {}) {
      if (heard && !modern) await client.setLoggingLevel("info");
      const _meta = heard && modern ? { _meta: { [LOG_LEVEL_META_KEY]: "info" } } : {};
      return textOf(await client.callTool({ name, arguments: args, ..._meta }, { timeout: TIMEOUT_MS, ...options }));
    },
    close: () => client.close(),
  });
}

async function orClose(client: { close(): Promise<void> }, connecting: Promise<void>): Promise<void> {
  try {
    await connecting;
  } catch (error) {
    await client.close();
    throw error;
  }
}
