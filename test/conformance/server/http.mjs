/** The servers over Streamable HTTP, with sessions and resumable streams or of 2026-07-28 or both, and over HTTP+SSE. */
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import { SSEServerTransport } from "@modelcontextprotocol/sdk/server/sse.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { toNodeHandler, toWebRequest } from "@modelcontextprotocol/node";
import { isLegacyRequest } from "@modelcontextprotocol/server";
import { everythingServer } from "./everything.mjs";
import { modernHandler } from "./modern.mjs";

/** What a client waits before it comes back to a stream that was closed under it. */
const RETRY_MS = 100;
const LOCAL = /^(?:localhost|127\.0\.0\.1|\[::1\])(?::\d+)?$/;

/** Keeps the events of one session, so that a client can come back for what it missed. */
function eventStore() {
  const events = [];
  return {
    async storeEvent(streamId, message) {
      return String(events.push({ streamId, message }));
    },
    async getStreamIdForEventId(id) {
      return events[Number(id) - 1]?.streamId;
    },
    async replayEventsAfter(lastId, { send }) {
      const { streamId } = events[Number(lastId) - 1];
      for (const [index, event] of events.entries())
        if (index >= Number(lastId) && event.streamId === streamId) await send(String(index + 1), event.message);
      return streamId;
    },
  };
}

function refuse(response, status, message) {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify({ jsonrpc: "2.0", error: { code: -32_000, message }, id: null }));
}

function streamable() {
  const sessions = new Map();
  return async (request, response, body) => {
    const id = request.headers["mcp-session-id"];
    if (id !== undefined && !sessions.has(id)) return refuse(response, 404, "Session not found");
    let transport = sessions.get(id);
    if (!transport) {
      transport = new StreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID,
        eventStore: eventStore(),
        retryInterval: RETRY_MS,
        onsessioninitialized: (made) => void sessions.set(made, transport),
      });
      transport.onclose = () => sessions.delete(transport.sessionId);
      await everythingServer().connect(transport);
    }
    await transport.handleRequest(request, response, body);
  };
}

/** Every request stands alone. */
function stateless() {
  return async (request, response) => {
    if (request.method !== "POST") return refuse(response, 405, "Method not allowed");
    const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
    const server = everythingServer();
    response.on("close", () => void server.close());
    await server.connect(transport);
    await transport.handleRequest(request, response);
  };
}

function sse() {
  const sessions = new Map();
  return async (request, response) => {
    if (request.method === "GET") {
      const transport = new SSEServerTransport("/messages", response);
      sessions.set(transport.sessionId, transport);
      response.on("close", () => sessions.delete(transport.sessionId));
      return everythingServer().connect(transport);
    }
    const session = sessions.get(new URL(request.url, "http://localhost").searchParams.get("sessionId"));
    return session ? session.handlePostMessage(request, response) : refuse(response, 404, "Session not found");
  };
}

/** Each request goes to the server of its era. */
function dual() {
  const [legacy, modern] = [streamable(), toNodeHandler(modernHandler("reject"))];
  return async (request, response) => {
    if (request.method !== "POST") return legacy(request, response);
    const body = JSON.parse(await text(request));
    const isLegacy = await isLegacyRequest(await toWebRequest(request, body), body);
    return (isLegacy ? legacy : modern)(request, response, body);
  };
}

const HANDLERS = {
  http: streamable,
  stateless,
  sse,
  dual,
  "dual-stateless": () => toNodeHandler(modernHandler("stateless")),
  modern: () => toNodeHandler(modernHandler("reject")),
};

/** @param transport one of the names above; `sse` is at `/sse`, all others at `/mcp` @param then is told the URL */
export function listen(transport, then) {
  const handle = HANDLERS[transport]();
  const server = createServer((request, response) => {
    // DNS rebinding: a page of another origin must not reach it.
    if (!LOCAL.test(request.headers.host ?? "")) return refuse(response, 403, "Invalid Host");
    handle(request, response).catch((error) => response.destroy(error));
  });
  server.listen(0, "127.0.0.1", () =>
    then(`http://127.0.0.1:${server.address().port}/${transport === "sse" ? "sse" : "mcp"}`),
  );
}
