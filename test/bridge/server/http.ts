/** The scripted servers over HTTP: Streamable HTTP of both eras, and HTTP+SSE. */
import { type IncomingMessage, type ServerResponse, createServer } from "node:http";
import type { Socket } from "node:net";
import { listen, stop } from "../../_harness/loopback.ts";
import type { Gates, Ledger } from "../ledger.ts";
import { type LegacySession, LegacyBrain, type Outlet } from "./legacy.ts";
import { META, type Wire, errorText } from "./messages.ts";
import { ModernBrain, type ModernOutlet } from "./modern.ts";
import type { ScriptedServer } from "./index.ts";

type Handle = (request: IncomingMessage, body: string, response: ServerResponse) => void;

const EVENTS = { "content-type": "text/event-stream", "cache-control": "no-cache" };

/** What all of them have in common: a port that stays the same when the server is started again. */
async function host(
  handle: Handle,
  fall: () => void,
): Promise<Pick<ScriptedServer, "connections" | "restart" | "close"> & { port: number }> {
  const sockets = new Set<Socket>();
  const start = () =>
    createServer((request, response) => {
      let body = "";
      request.setEncoding("utf8").on("data", (piece: string) => (body += piece));
      request.on("end", () => handle(request, body, response));
      request.on("error", () => {});
      response.on("error", () => {});
    }).on("connection", (socket) => {
      sockets.add(socket);
      socket.on("close", () => sockets.delete(socket));
    });
  let server = start();
  const port = await listen(server);
  return {
    port,
    connections: () => sockets.size,
    async restart() {
      fall();
      const stopped = stop(server);
      for (const socket of sockets) socket.destroy();
      await stopped;
      server = start();
      await listen(server, port);
    },
    close: () => stop(server),
  };
}

/** JSON when the response comes first, else an event stream. */
function outletOf(response: ServerResponse): Outlet & { respond(message: string, status?: number): void } {
  const isGone = () => response.destroyed || response.writableEnded;
  const event = (message: string) => {
    if (isGone()) return;
    if (!response.headersSent) response.writeHead(200, EVENTS);
    response.write(`event: message\ndata: ${message}\n\n`);
  };
  return {
    send: event,
    respond(message: string, status: number = 200) {
      if (isGone()) return;
      if (response.headersSent) {
        event(message);
        response.end();
      } else response.writeHead(status, { "content-type": "application/json" }).end(message);
    },
    end() {
      if (isGone()) return;
      if (!response.headersSent) response.writeHead(200, EVENTS);
      response.end();
    },
  };
}

export async function legacyHttp(ledger: Ledger, gates: Gates): Promise<ScriptedServer> {
  const brain = new LegacyBrain(ledger, gates);
  const streams = new Map<LegacySession, ServerResponse>();
  const fall = () => {
    for (const session of brain.sessions.values()) brain.end(session, true);
  };
  const served = await host((request, body, response) => {
    const id = request.headers["mcp-session-id"] as string | undefined;
    const known = id === undefined ? undefined : brain.sessions.get(id);
    const refuse = (status: number, message: string) =>
      response.writeHead(status, { "content-type": "application/json" }).end(errorText(null, -32001, message));
    if (request.method === "POST" && (JSON.parse(body) as Wire).method === "initialize") {
      const session = brain.open((message) => {
        const stream = streams.get(session);
        stream?.write(`event: message\ndata: ${message}\n\n`);
        return stream !== undefined;
      });
      response.setHeader("mcp-session-id", session.id);
      return brain.receive(session, body, outletOf(response));
    }
    if (id === undefined) return refuse(400, "Session ID is required");
    if (!known) return refuse(404, "Session not found");
    if (request.method === "DELETE") {
      brain.end(known);
      streams.get(known)?.end();
      return response.writeHead(200).end();
    }
    if (request.method === "GET") {
      if (streams.has(known)) return refuse(409, "There is a stream");
      streams.set(known, response);
      response.writeHead(200, EVENTS).flushHeaders();
      ledger.note("server: a GET stream is open");
      response.on("close", () => streams.delete(known));
      return;
    }
    const message = JSON.parse(body) as Wire;
    if (message.id !== undefined && message.method !== undefined) {
      response.on("close", () => {
        const call = known.calls.get(JSON.stringify(message.id));
        if (call && !response.writableFinished) call.run.closed++;
      });
      return brain.receive(known, body, outletOf(response));
    }
    brain.receive(known, body, { send() {}, respond() {}, end() {} });
    response.writeHead(202).end();
  }, fall);
  return {
    ...served,
    config: { url: `http://127.0.0.1:${served.port}/mcp` },
    changed: (what) => brain.changed(what),
    updated: (uri) => brain.updated(uri),
    ready: (_kind, uri) =>
      uri === undefined
        ? streams.size
        : [...streams.keys()].filter(({ subscriptions }) => subscriptions.has(uri)).length,
    sessions: () => brain.sessions.size,
    busy: () => [...brain.sessions.values()].reduce((sum, { calls }) => sum + calls.size, 0),
  };
}

export async function sse(ledger: Ledger, gates: Gates): Promise<ScriptedServer> {
  const brain = new LegacyBrain(ledger, gates);
  const fall = () => {
    for (const session of brain.sessions.values()) brain.end(session, true);
  };
  const channels = new Map<string, Outlet>();
  const served = await host((request, body, response) => {
    const url = new URL(request.url!, "http://localhost");
    if (request.method === "GET") {
      const event = (message: string) => {
        response.write(`event: message\ndata: ${message}\n\n`);
        return true;
      };
      const session = brain.open(event);
      channels.set(session.id, { send: event, respond: event, end() {} });
      response.writeHead(200, EVENTS).write(`event: endpoint\ndata: /messages?sessionId=${session.id}\n\n`);
      response.on("close", () => {
        channels.delete(session.id);
        brain.end(session);
      });
      return;
    }
    const id = url.searchParams.get("sessionId")!;
    const session = brain.sessions.get(id);
    if (!session) return response.writeHead(404).end("no such session");
    response.writeHead(202).end("Accepted");
    brain.receive(session, body, channels.get(id)!);
  }, fall);
  return {
    ...served,
    config: { url: `http://127.0.0.1:${served.port}/sse`, transport: "sse" },
    changed: (what) => brain.changed(what),
    updated: (uri) => brain.updated(uri),
    ready: (_kind, uri) => countReady(brain, uri),
    sessions: () => brain.sessions.size,
    busy: () => [...brain.sessions.values()].reduce((sum, { calls }) => sum + calls.size, 0),
  };
}

export function countReady(brain: LegacyBrain, uri: string | undefined): number {
  return [...brain.sessions.values()].filter(
    ({ ready, subscriptions }) => ready && (uri === undefined || subscriptions.has(uri)),
  ).length;
}

export async function modernHttp(ledger: Ledger, gates: Gates): Promise<ScriptedServer> {
  const brain = new ModernBrain(ledger, gates);
  const served = await host(
    (request, body, response) => {
      if (request.method !== "POST") {
        ledger.violation(`a modern server got a ${request.method}`);
        return response.writeHead(405, { allow: "POST" }).end();
      }
      const message = JSON.parse(body) as Wire;
      if (message.id === undefined) return response.writeHead(202).end();
      const wrong = message.method === "initialize" ? undefined : badMirror(request, message);
      // Without the arguments of a tool nobody can know its mirrors: that is legal, and refused.
      if (wrong !== undefined && !wrong.startsWith("Mcp-Param")) ledger.violation(`${message.method}: ${wrong}`);
      if (wrong !== undefined) {
        response.writeHead(400, { "content-type": "application/json" });
        return response.end(errorText(message.id, -32020, wrong));
      }
      const gone = new AbortController();
      response.on("close", () => !response.writableFinished && gone.abort());
      const outlet: ModernOutlet = { ...outletOf(response), gone: gone.signal };
      brain.receive(body, outlet);
    },
    () => brain.fall(),
  );
  return {
    ...served,
    config: { url: `http://127.0.0.1:${served.port}/mcp` },
    changed: (what) => brain.changed(what),
    updated: (uri) => brain.updated(uri),
    ready: (kind, uri) => brain.listeners(kind, uri),
    sessions: () => 0,
    busy: () => brain.open.size + brain.listening.size,
  };
}

/** MCP 2026-07-28, Standard Headers. @returns what is wrong with them */
function badMirror({ headers }: IncomingMessage, { method, params = {} }: Wire): string | undefined {
  const meta = params._meta ?? {};
  const args = (params.arguments ?? {}) as Record<string, unknown>;
  const expected: Record<string, unknown> = {
    "MCP-Protocol-Version": meta[`${META}protocolVersion`],
    "Mcp-Method": method,
    ...((method === "tools/call" || method === "prompts/get") && { "Mcp-Name": params.name }),
    ...(method === "resources/read" && { "Mcp-Name": params.uri }),
    ...(method === "tools/call" && { "Mcp-Param-Region": args.region }),
  };
  for (const [name, value] of Object.entries(expected)) {
    const found = headers[name.toLowerCase()] as string | undefined;
    const base64 = found === undefined ? undefined : /^=\?base64\?(.*)\?=$/.exec(found)?.[1];
    const decoded = base64 === undefined ? found : Buffer.from(base64, "base64").toString();
    if (decoded !== value) return `${name} is ${String(decoded)}, and should be ${String(value)}`;
  }
  if ("mcp-session-id" in headers) return "there is an Mcp-Session-Id";
  return undefined;
}
