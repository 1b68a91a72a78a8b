// A load generator that is an MCP client, `node mcp-load.mjs '{"url":…,"transport":"http"|"modern"|"sse","connections":32,"seconds":2}'`:
// one session, opened as clients do, or a client of 2026-07-28, then tools/call with an id of its own for each, one at a time on every connection.
import { setTimeout as sleep } from "node:timers/promises";
import { HttpSse, ModernHttp, StreamableHttp } from "./mcp-client.mjs";
import { print } from "./percentiles.mjs";
import { modernVersion, protocolVersion, requestBody, smallJson } from "../workloads.mjs";

const { url, transport, connections, seconds } = JSON.parse(process.argv[2]);
const { params } = JSON.parse(requestBody);
const { text: expected } = JSON.parse(smallJson).result.content[0];
const clients = { sse: HttpSse, modern: ModernHttp };
const client = new (clients[transport] ?? StreamableHttp)(url, connections);
const clientInfo = { name: "bench", version: "1.0.0" };
/** What a request of 2026-07-28 says about its client. */
const envelope = {
  "io.modelcontextprotocol/protocolVersion": modernVersion,
  "io.modelcontextprotocol/clientInfo": clientInfo,
  "io.modelcontextprotocol/clientCapabilities": {},
};
const meta = transport === "modern" ? { _meta: envelope } : {};
let lastId = 0;

async function request(method, params) {
  const id = ++lastId;
  return client.call(0, id, JSON.stringify({ jsonrpc: "2.0", id, method, params: { ...params, ...meta } }));
}

/** Opens the session and returns the tool's name: an aggregator puts the server's name in front of it. */
async function open() {
  if (transport === "modern") await request("server/discover", {});
  else {
    await request("initialize", { protocolVersion, capabilities: {}, clientInfo });
    await client.call(0, undefined, JSON.stringify({ jsonrpc: "2.0", method: "notifications/initialized" }));
  }
  // Some proxies listen before the server behind them is known.
  for (const end = Date.now() + 10_000; Date.now() < end; await sleep(100)) {
    const list = await request("tools/list", {});
    const name = new RegExp(`"name":"([^"]*${params.name})"`).exec(list)?.[1];
    if (name) return name;
  }
  throw new Error(`no tool ${params.name} after 10 s`);
}

async function main() {
  const name = await open();
  const { arguments: input } = params; // No progress token: a token needs an id of its own for each call, too.
  const [before, after] = JSON.stringify({
    jsonrpc: "2.0",
    id: "*",
    method: "tools/call",
    params: { name, arguments: input, ...meta },
  }).split('"*"');
  const latencies = [];
  const start = performance.now();
  const end = start + seconds * 1000;
  const slot = async (_, index) => {
    for (let now = performance.now(); now < end;) {
      const id = ++lastId;
      const text = await client.call(index, id, `${before}${id}${after}`);
      if (!text.includes(expected) || !text.includes(`"id":${id}`))
        throw new Error(`wrong answer: ${text.slice(0, 120)}`);
      const done = performance.now();
      latencies.push(done - now);
      now = done;
    }
  };
  await Promise.all(Array.from({ length: connections }, slot));
  const took = (performance.now() - start) / 1000;
  await client.close();
  print({ latencies, seconds: took });
}

main().catch((error) => print({ latencies: [], seconds: 1, error: error.message }));
