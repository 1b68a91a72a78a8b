/** Servers whose lists and resources change when a test says so: what clients subscribe to, on the wire of both eras. */
import { randomUUID } from "node:crypto";
import type { ServerResponse } from "node:http";
import { toNodeHandler } from "@modelcontextprotocol/node";
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { SSEServerTransport } from "@modelcontextprotocol/sdk/server/sse.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import {
  CallToolRequestSchema,
  ListToolsRequestSchema,
  SubscribeRequestSchema,
  UnsubscribeRequestSchema,
  isInitializeRequest,
} from "@modelcontextprotocol/sdk/types.js";
import { InMemoryServerEventBus, McpServer, createMcpHandler } from "@modelcontextprotocol/server";
import { journal } from "../journal.ts";
import { type Closeable, closeable } from "../loopback.ts";
import { type Intercept, type RecordingServer, recordingServer, sendRpcError } from "./http.ts";

export interface ChangingServer extends RecordingServer, Closeable {
  /** Tells everybody who wants to know. @param what `tools`, `prompts`, `resources`, or the URI of a resource */
  change(what: string): Promise<void>;
  /** Waits until so many listen, all who ever did counted. */
  listening(count: number): Promise<void>;
  /** Waits until this resource is subscribed to (`+`), or no longer is (`-`), so many times since the start. */
  subscribed(how: "+" | "-", uri: string, count?: number): Promise<void>;
  /** Cuts every event stream that is open. */
  dropStreams(): void;
  /** Ends as a server does that is stopped: sessions are lost, listen streams get their result. */
  restart(): Promise<void>;
}

const CAPABILITIES = {
  tools: { listChanged: true },
  prompts: { listChanged: true },
  resources: { listChanged: true, subscribe: true },
};

/** A legacy server, over Streamable HTTP or HTTP+SSE; each client has a session. @param intercept answers in place of the SDK */
export async function startChangingLegacy(
  over: "http" | "sse" = "http",
  intercept?: Intercept,
): Promise<ChangingServer> {
  const sessions = new Map<string, Session>();
  const log = watched();
  async function open(transport: SSEServerTransport | StreamableHTTPServerTransport): Promise<Session> {
    const uris = new Set<string>();
    const server = legacyServer(uris, log);
    const session = { server, transport, uris };
    transport.onclose = () => transport.sessionId !== undefined && sessions.delete(transport.sessionId);
    await server.connect(transport);
    return session;
  }
  const http = await recordingServer(
    async ({ method, target, headers, body }, request, response) => {
      if (over === "sse" && method === "GET") {
        const transport = new SSEServerTransport("/messages", response);
        log.opened(response);
        sessions.set(transport.sessionId, await open(transport));
        return;
      }
      const id =
        over === "sse" ? new URLSearchParams(target.split("?")[1]).get("sessionId") : headers["mcp-session-id"];
      let session = typeof id === "string" ? sessions.get(id) : undefined;
      if (!session && id !== undefined && id !== null) return sendRpcError(response, 404, -32_001, "Session not found");
      if (over === "sse") return (session!.transport as SSEServerTransport).handlePostMessage(request, response, body);
      if (!session) {
        if (!isInitializeRequest(body)) return sendRpcError(response, 400, -32_000, "no session");
        const made: StreamableHTTPServerTransport = new StreamableHTTPServerTransport({
          sessionIdGenerator: randomUUID,
          onsessioninitialized: (named) => void sessions.set(named, session!),
        });
        session = await open(made);
      }
      const serving = (session.transport as StreamableHTTPServerTransport).handleRequest(request, response, body);
      // The stream is there as soon as this is called: what is told then waits in it.
      if (method === "GET") log.opened(response);
      await serving;
    },
    intercept,
    over === "sse" ? ["/sse", "/messages"] : ["/mcp"],
  );
  const lose = () => Promise.all([...sessions.values()].map(({ server }) => server.close()));
  return closeable({
    ...http,
    ...log,
    async change(what: string) {
      for (const { server, uris } of sessions.values()) {
        if (what === "tools") await server.sendToolListChanged();
        else if (what === "prompts") await server.sendPromptListChanged();
        else if (what === "resources") await server.sendResourceListChanged();
        else if (uris.has(what)) await server.sendResourceUpdated({ uri: what });
      }
    },
    async restart() {
      await lose();
    },
    async close() {
      await lose();
      await http.stop();
    },
  });
}

interface Session {
  server: Server;
  transport: SSEServerTransport | StreamableHTTPServerTransport;
  uris: Set<string>;
}

function legacyServer(uris: Set<string>, log: ReturnType<typeof watched>): Server {
  const server = new Server({ name: "changing", version: "1" }, { capabilities: CAPABILITIES });
  server.setRequestHandler(ListToolsRequestSchema, () => ({
    tools: [{ name: "say", inputSchema: { type: "object" } }],
  }));
  // On the stream that answers the call.
  server.setRequestHandler(CallToolRequestSchema, async (_request, { sendNotification }) => {
    await sendNotification({ method: "notifications/tools/list_changed" });
    return { content: [] };
  });
  server.setRequestHandler(SubscribeRequestSchema, ({ params: { uri } }) => {
    if (uri.includes("missing")) throw new Error("no such resource");
    uris.add(uri);
    log.note("+", uri);
    return {};
  });
  server.setRequestHandler(UnsubscribeRequestSchema, ({ params: { uri } }) => {
    uris.delete(uri);
    log.note("-", uri);
    return {};
  });
  return server;
}

/** A modern server. @param capabilities what it declares @default everything that can change */
export async function startChangingModern(
  capabilities: object = CAPABILITIES,
  intercept?: Intercept,
): Promise<ChangingServer> {
  const log = watched();
  const make = () => {
    const bus = new Bus(log);
    const info = { name: "changing", version: "1" };
    return createMcpHandler(() => new McpServer(info, { capabilities }), { legacy: "reject", bus });
  };
  let handler = make();
  const http = await recordingServer(({ body }, request, response) => {
    if ((body as { method?: string }).method === "subscriptions/listen") log.streams.add(response);
    return toNodeHandler(handler)(request, response, body);
  }, intercept);
  return closeable({
    ...http,
    ...log,
    async change(what: string) {
      const { notify } = handler;
      if (what === "tools") notify.toolsChanged();
      else if (what === "prompts") notify.promptsChanged();
      else if (what === "resources") notify.resourcesChanged();
      else notify.resourceUpdated(what);
    },
    async restart() {
      const before = handler;
      handler = make();
      await before.close();
    },
    async close() {
      await handler.close();
      await http.stop();
    },
  });
}

class Bus extends InMemoryServerEventBus {
  readonly #log: ReturnType<typeof watched>;

  constructor(log: ReturnType<typeof watched>) {
    super();
    this.#log = log;
  }

  override subscribe(...args: Parameters<InMemoryServerEventBus["subscribe"]>) {
    const end = super.subscribe(...args);
    this.#log.listens();
    return end;
  }
}

/** Who listens, and to what. */
function watched() {
  const streams = new Set<ServerResponse>();
  const counts = journal<number>(String);
  const notes = journal<string>(String);
  return {
    streams,
    listens: () => counts.add(counts.entries.length + 1),
    opened(response: ServerResponse) {
      streams.add(response);
      this.listens();
    },
    note: (how: "+" | "-", uri: string) => {
      const same = notes.entries.filter((one) => one.startsWith(`${how} ${uri} `)).length;
      notes.add(`${how} ${uri} ${same + 1}`);
    },
    async listening(count: number) {
      await counts.find((one) => one >= count, `${count} that listen`);
    },
    async subscribed(how: "+" | "-", uri: string, count = 1) {
      const wanted = `${how} ${uri} ${count}`;
      await notes.find((one) => one === wanted, wanted);
    },
    dropStreams() {
      for (const stream of streams) stream.destroy();
      streams.clear();
    },
  };
}
