// What is sent and what is answered. The upstream, the load script and the correctness check all read it here,
// so that "the right bytes" has one definition.

const id = 1;
const progressToken = "bench-1";

/** Protocol revision that the bench speaks: the last one with sessions, so that a session-keeping proxy does its work. */
export const protocolVersion = "2025-11-25";
/** The one without: works that translate between the two speak both. */
export const modernVersion = "2026-07-28";

/** The tools/call that every workload posts (about 290 bytes). */
export const requestBody = JSON.stringify({
  jsonrpc: "2.0",
  id,
  method: "tools/call",
  params: {
    name: "search_documents",
    arguments: {
      query: "pressure loss in a long penstock with three bends",
      limit: 10,
      filter: { kind: "report", language: "en", after: "2024-01-01" },
      order: "relevance",
    },
    _meta: { progressToken },
  },
});

/**
 * Headers of that request, as a client sends them after `initialize`.
 * @param {string} session value of Mcp-Session-Id
 */
export function requestHeaders(session) {
  return {
    Accept: "application/json, text/event-stream",
    "Content-Type": "application/json",
    "Mcp-Session-Id": session,
    "MCP-Protocol-Version": protocolVersion,
  };
}

function response(text) {
  return JSON.stringify({
    jsonrpc: "2.0",
    id,
    result: { content: [{ type: "text", text }], isError: false },
  });
}

function sseEvent(json) {
  return `event: message\ndata: ${json}\n\n`;
}

/** The answer of W1. */
export const smallJson = response(
  "Found 3 reports. The head loss is 4.2 m at 12 m3/s; see sections 2, 5 and 7 of the second report.",
);

/** Events of W3, the last one is the response. */
function manyEvents() {
  const events = [];
  for (let progress = 1; progress < 1000; progress++) {
    const params = { progressToken, progress, total: 1000 };
    events.push(sseEvent(JSON.stringify({ jsonrpc: "2.0", method: "notifications/progress", params })));
  }
  events.push(sseEvent(smallJson));
  return events;
}

const json = "application/json";
const sse = "text/event-stream";

/**
 * What the upstream answers, by kind. `chunks` are HTTP chunks (answer without a length); otherwise the answer has a
 * content-length, also for the one-event SSE of W2.
 * @type {Record<string, { type: string, body: Buffer, chunks?: string[] }>}
 */
export const answers = {
  w1: { type: json, body: Buffer.from(smallJson) },
  w2: { type: sse, body: Buffer.from(sseEvent(smallJson)) },
  get w3() {
    const chunks = manyEvents();
    return { type: sse, body: Buffer.from(chunks.join("")), chunks };
  },
  get w5() {
    return answers.w1;
  },
  get w4() {
    return {
      type: json,
      body: Buffer.from(response("0123456789abcdef".repeat((5 * 1024 * 1024) / 16))),
    };
  },
};

/**
 * What is measured. `group` says how: `relay` is the main table, where `load` is `wrk` or `paced` (half of the target's own
 * rate), `latency` ones are compared by their p50 and `close` ones send one request per connection. `mcp`, `bridge`, `idle`, `sessions`
 * and `plugins` have tables of their own. `kind` is which answer the upstream gives.
 * @type {{ name: string, group: string, kind: string, connections: number, title: string, load?: string, latency?: boolean, close?: boolean }[]}
 */
export const workloads = [
  { name: "W1", group: "relay", kind: "w1", connections: 64, title: "small JSON, requests/s" },
  { name: "W2", group: "relay", kind: "w2", connections: 64, title: "one SSE event, requests/s" },
  { name: "W3", group: "relay", kind: "w3", connections: 16, title: "1,000 SSE events, streams/s" },
  { name: "W4", group: "relay", kind: "w4", connections: 8, title: "5 MB JSON, bodies/s" },
  { name: "W6", group: "relay", kind: "w1", connections: 64, close: true, title: "a connection per call, requests/s" },
  { name: "latency", group: "relay", kind: "w1", connections: 1, latency: true, title: "W1 on 1 connection, p50 µs" },
  {
    name: "half",
    group: "relay",
    kind: "w1",
    connections: 64,
    load: "paced",
    latency: true,
    title: "W1 at half of the target's own rate, p50 µs",
  },
  { name: "W5", group: "idle", kind: "w5", connections: 64, title: "5,000 idle SSE streams" },
  { name: "mcp", group: "mcp", kind: "mcp", connections: 32, load: "mcp", title: "tools/call in a session, calls/s" },
  {
    name: "stdio",
    group: "mcp",
    kind: "mcp",
    connections: 32,
    load: "mcp",
    title: "tools/call, a stdio server behind, calls/s",
  },
  { name: "bridge", group: "bridge", kind: "bridge", connections: 32, load: "mcp", title: "between eras, calls/s" },
  { name: "bridge-1", group: "bridge", kind: "bridge", connections: 1, load: "mcp", title: "between eras, p50 µs" },
  { name: "sessions", group: "sessions", kind: "mcp", connections: 20, title: "sessions with a stdio server" },
  { name: "plugins", group: "plugins", kind: "w1", connections: 64, title: "what plugins cost, W1" },
];
