import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { type EventStore, StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { isInitializeRequest } from "@modelcontextprotocol/sdk/types.js";
import { journal } from "../journal.ts";
import { type Closeable, closeable } from "../loopback.ts";
import type { WaitOptions } from "../wait.ts";
import { type NamedGates, namedGates } from "./gates.ts";
import { type Intercept, type RecordedRequest, type RecordingServer, recordingServer, sendRpcError } from "./http.ts";
import { legacyMcpServer } from "./v1-tools.ts";

/** How a legacy server behaves. */
export interface LegacyServerOptions {
  /**
   * `true` (default): a session per `initialize`, with GET stream and DELETE. `false`: every POST stands alone, GET and DELETE
   * are refused with 405, and the tools that ask the client cannot get an answer.
   */
  sessions?: boolean;
  /**
   * Events get ids and are kept, so that streams can be resumed; clients are told to wait this long, in milliseconds.
   *
   * @default no ids
   */
  retry?: number;
  /** Answers chosen requests in place of the SDK: a refused GET, a lost session, a fault. */
  intercept?: Intercept;
  /** Where it listens: the port of one that it takes the place of. @default a free one */
  port?: number;
}

/** A running server of the 2024-11-05 to 2025-11-25 revisions. */
export interface LegacyServer extends RecordingServer, NamedGates, Closeable {
  /** The ids of the sessions that are alive. */
  readonly sessions: string[];
  /** Waits until a GET stream is open (`count` of them since the start). */
  pushStream(count?: number, options?: WaitOptions): Promise<void>;
  /** Sends `notifications/tools/list_changed` on the GET stream of every session, once there is at least one stream. */
  notifyToolsChanged(options?: WaitOptions): Promise<void>;
  /** Forgets every session, as a restart would: their ids are answered with 404 from then on. */
  loseSessions(): Promise<void>;
}

interface Session {
  mcp: McpServer;
  transport: StreamableHTTPServerTransport;
}

/** Starts a legacy server on the v1 SDK. */
export async function startLegacyServer({
  sessions = true,
  retry,
  intercept,
  port,
}: LegacyServerOptions = {}): Promise<LegacyServer> {
  const gates = namedGates();
  const live = new Map<string, Session>();
  // An instance is here from its creation on, also one that has no session id yet.
  const instances = new Set<Session>();
  const streams = journal<number>((count) => `${count} GET streams`);

  async function create(sessionIdGenerator: (() => string) | undefined): Promise<Session> {
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator,
      onsessioninitialized: (id) => void live.set(id, session),
      ...(retry !== undefined && { eventStore: eventStore(), retryInterval: retry }),
    });
    const session: Session = { mcp: legacyMcpServer(gates, retry !== undefined), transport };
    instances.add(session);
    transport.onclose = () => {
      instances.delete(session);
      if (transport.sessionId) live.delete(transport.sessionId);
    };
    await session.mcp.connect(transport);
    return session;
  }

  async function stateless(
    { method, body }: RecordedRequest,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    if (method !== "POST") {
      response.setHeader("allow", "POST");
      return sendRpcError(response, 405, -32_000, "Method not allowed.");
    }
    const { mcp, transport } = await create(undefined);
    response.on("close", () => void mcp.close());
    await transport.handleRequest(request, response, body);
  }

  async function stateful(
    { method, headers, body }: RecordedRequest,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const id = headers["mcp-session-id"];
    let session = typeof id === "string" ? live.get(id) : undefined;
    if (id !== undefined && !session) return sendRpcError(response, 404, -32_001, "Session not found");
    if (!session) {
      session = await create(randomUUID);
      // Without `initialize` the SDK answers 400 and the instance is of no further use.
      const { mcp } = session;
      if (!isInitializeRequest(body)) response.on("close", () => void mcp.close());
    }
    if (method === "GET") onStreamOpen(response, () => streams.add(streams.entries.length + 1));
    await session.transport.handleRequest(request, response, body);
  }

  const http = await recordingServer(sessions ? stateful : stateless, intercept, undefined, port);
  const closeAll = () => Promise.all([...instances].map(({ mcp }) => mcp.close()));
  return closeable({
    ...http,
    ...gates,
    get sessions() {
      return [...live.keys()];
    },
    async pushStream(count = 1, options?: WaitOptions) {
      await streams.find((opened) => opened >= count, `${count} open GET stream(s)`, options);
    },
    async notifyToolsChanged(options?: WaitOptions) {
      await this.pushStream(1, options);
      for (const { mcp } of live.values()) await mcp.server.sendToolListChanged();
    },
    async loseSessions() {
      await closeAll();
    },
    async close() {
      gates.release();
      await closeAll();
      await http.stop();
    },
  });
}

/** The SDK reports no opened stream, and a notification before that is dropped: the head is the only sign. */
function onStreamOpen(response: ServerResponse, opened: () => void): void {
  const writeHead = response.writeHead;
  response.writeHead = function (this: ServerResponse, ...args: Parameters<typeof writeHead>) {
    const result = Reflect.apply(writeHead, this, args) as ServerResponse;
    if (this.statusCode === 200) opened();
    return result;
  } as typeof writeHead;
}

/** Keeps events in order. The SDK's example sorts them by time and chance, and loses one of two within a millisecond. */
function eventStore(): EventStore {
  const events: { stream: string; message: Parameters<EventStore["storeEvent"]>[1] }[] = [];
  const streamOf = (id: string) => events[Number(id)]!.stream;
  return {
    storeEvent: async (stream, message) => String(events.push({ stream, message }) - 1),
    getStreamIdForEventId: async (id) => streamOf(id),
    async replayEventsAfter(id, { send }) {
      for (let at = Number(id) + 1; at < events.length; at++) {
        const { stream, message } = events[at]!;
        if (stream === streamOf(id)) await send(String(at), message);
      }
      return streamOf(id);
    },
  };
}
