/** A client that asks a server everything, and what it was told. */
import {
  Client as ClientV2,
  SSEClientTransport as SseV2,
  StreamableHTTPClientTransport as HttpV2,
} from "@modelcontextprotocol/client";
import { StdioClientTransport as StdioV2 } from "@modelcontextprotocol/client/stdio";
import { Client as ClientV1 } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport as SseV1 } from "@modelcontextprotocol/sdk/client/sse.js";
import { StdioClientTransport as StdioV1 } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport as HttpV1 } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  ResultSchema,
} from "@modelcontextprotocol/sdk/types.js";
import { z } from "zod";
import { journal } from "../_harness/journal.ts";
import type { Ask } from "./public.ts";

/** Which SDK a client is made with. */
export type Sdk = "v1" | "v2";

/** What a client connects to. */
export type Target =
  | { protocol: "http" | "sse"; url: string }
  | { protocol: "stdio"; command: string; args: readonly string[]; env?: Record<string, string> };

/** Everything that a client was told, and asked. */
export interface Visit {
  info: unknown;
  capabilities: unknown;
  instructions: unknown;
  /** Results and errors, in the order of the requests. */
  answers: [Ask, unknown][];
  /** Requests of the server, each once, in the order of their text. */
  asked: string[];
}

const LISTS = {
  "tools/list": "tools",
  "prompts/list": "prompts",
  "resources/list": "resources",
  "resources/templates/list": "resources",
} as const;
const CAPABILITIES = { sampling: {}, elicitation: {}, roots: { listChanged: true } };
const INFO = { name: "visitor", version: "1.0.0" };
/** A busy machine starts a server in seconds. */
const WANTS_MS = 15_000;
const Anything = z.looseObject({});

interface Visitor {
  request(ask: Ask, onprogress?: (progress: unknown) => void): Promise<unknown>;
  facts(): Omit<Visit, "answers" | "asked">;
  close(): Promise<void>;
}

type Handler = (request: { method: string; params?: object }) => Promise<never>;

async function visitorV1(target: Target, handle: Handler): Promise<Visitor> {
  const client = new ClientV1(INFO, { capabilities: CAPABILITIES });
  for (const schema of [CreateMessageRequestSchema, ElicitRequestSchema, ListRootsRequestSchema])
    client.setRequestHandler(schema, handle);
  const transport =
    target.protocol === "stdio"
      ? new StdioV1({ ...target, args: [...target.args], stderr: "ignore" })
      : target.protocol === "sse"
        ? new SseV1(new URL(target.url))
        : new HttpV1(new URL(target.url));
  await client.connect(transport);
  return {
    request: ({ method, params }, onprogress) => client.request({ method, params }, ResultSchema, { onprogress }),
    facts: () => ({
      info: client.getServerVersion(),
      capabilities: client.getServerCapabilities(),
      instructions: client.getInstructions(),
    }),
    async close() {
      const session = transport instanceof HttpV1 ? transport.sessionId : undefined;
      await client.close();
      await leave(target, session);
    },
  };
}

async function visitorV2(target: Target, handle: Handler): Promise<Visitor> {
  const client = new ClientV2(INFO, { capabilities: CAPABILITIES });
  for (const method of ["sampling/createMessage", "elicitation/create", "roots/list"] as const)
    client.setRequestHandler(method, handle);
  const transport =
    target.protocol === "stdio"
      ? new StdioV2({ ...target, args: [...target.args], stderr: "ignore" })
      : target.protocol === "sse"
        ? new SseV2(new URL(target.url))
        : new HttpV2(new URL(target.url));
  await client.connect(transport);
  return {
    request: ({ method, params }, onprogress) => client.request({ method, params }, Anything, { onprogress }),
    facts: () => ({
      info: client.getServerVersion(),
      capabilities: client.getServerCapabilities(),
      instructions: client.getInstructions(),
    }),
    async close() {
      const session = transport instanceof HttpV2 ? transport.sessionId : undefined;
      await client.close();
      await leave(target, session);
    },
  };
}

/** Not with the SDK: it would come back to the GET stream that the server ends then. */
async function leave(target: Target, session: string | undefined): Promise<void> {
  if (target.protocol !== "http" || session === undefined) return;
  const response = await fetch(target.url, { method: "DELETE", headers: { "mcp-session-id": session } });
  await response.body?.cancel();
  if (!response.ok) throw new Error(`DELETE of a session was answered with HTTP ${response.status}`);
}

/** Connects, asks for every list and for what is to be asked, and leaves. @param root the one that the client offers */
export async function visit(
  sdk: Sdk,
  target: Target,
  { asks, wants, root }: { asks: readonly Ask[]; wants: readonly string[]; root: string },
): Promise<Visit> {
  const asked = journal<{ method: string; params?: object }>(({ method }) => method);
  const handle: Handler = async ({ method, params }) => {
    asked.add({ method, params });
    return replyTo(method, root) as never;
  };
  const visitor = await (sdk === "v1" ? visitorV1 : visitorV2)(target, handle);
  try {
    const facts = visitor.facts();
    const offers = facts.capabilities as Record<string, unknown>;
    const lists = Object.entries(LISTS).flatMap(([method, capability]) => (offers[capability] ? [{ method }] : []));
    for (const method of wants) await asked.find((one) => one.method === method, method, { timeout: WANTS_MS });
    const answers: Visit["answers"] = [];
    for (const ask of [...lists, ...asks]) answers.push([ask, timeless(await answerTo(visitor, ask))]);
    return { ...facts, answers, asked: [...new Set(asked.entries.map((one) => JSON.stringify(timeless(one))))].sort() };
  } finally {
    await visitor.close();
  }
}

async function answerTo(visitor: Visitor, ask: Ask): Promise<unknown> {
  const seen: unknown[] = [];
  const see = (step: unknown) => {
    // The SDKs may forget about the last one when the result has come in the same piece.
    const { progress, total } = step as { progress: number; total: number };
    if (progress < total) seen.push(step);
  };
  try {
    const result = await visitor.request(ask, ask.progress ? see : undefined);
    return ask.progress ? { result, seen } : result;
  } catch (cause) {
    const { code, message, data } = cause as { code?: number; message: string; data?: unknown };
    return { error: { code, message, data } };
  }
}

function replyTo(method: string, root: string): object {
  if (method === "roots/list") return { roots: [{ uri: root, name: "files" }] };
  if (method === "elicitation/create") return { action: "accept", content: { name: "Ada", check: true, integer: 7 } };
  return { role: "assistant", content: { type: "text", text: "because" }, model: "none", stopReason: "endTurn" };
}

/** Times, and ids that the SDK counts for itself, are others with each visit. */
function timeless(value: unknown): unknown {
  const text = JSON.stringify(value, (key, each: unknown) => {
    if (key === "progressToken") return "…";
    return key === "blob" && typeof each === "string" ? Buffer.from(each, "base64").toString("latin1") : each;
  });
  return JSON.parse(text.replace(/\d{1,2}:\d\d:\d\d(?:\s?[AP]M)?/g, "…")) as unknown;
}
