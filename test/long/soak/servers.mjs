/**
 * The servers of the soak, a process of their own: one for each mount. They count what they execute, and restart in turn:
 * every connection is cut, nothing listens for a while, then the same port again.
 *
 * Parent → `{ restartEvery }` begins with the restarts, `{ report: true }` ends them. It is sent `{ ports }`, then `{ report }`.
 */
import { createServer } from "node:http";

const MOUNTS = ["a", "b", "c"];
/** How long a server is away, in milliseconds. */
const AWAY = 500;

/** How often each call was executed, by its number. */
const executions = new Map();
/** When which server was away. */
const windows = [];
let stopped = false;

const message = (value) => JSON.stringify({ jsonrpc: "2.0", ...value });
const event = (value) => `data: ${message(value)}\n\n`;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function serve(mount, request, response) {
  if (request.method === "GET") return push(request, response);
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const { id, method, params } = JSON.parse(Buffer.concat(chunks).toString());
  if (id === undefined) return response.writeHead(202).end();
  const json = (result) => response.writeHead(200, { "content-type": "application/json" }).end(message({ id, result }));
  if (method === "tools/list") return json({ tools: [{ name: "json" }, { name: "hidden_a" }], mount });
  if (method !== "tools/call") return json({});
  const { n } = params.arguments;
  executions.set(n, (executions.get(n) ?? 0) + 1);
  const result = { n, mount, content: [] };
  if (params.name === "json") return json(result);
  if (params.name === "wait") return void setTimeout(() => json(result), 200);
  response.writeHead(200, { "content-type": "text/event-stream" });
  const [count, text, gap] = params.name === "big" ? [40, "x".repeat(8192), 1] : [3, "", 5];
  for (let progress = 1; progress <= count && !response.destroyed; progress++) {
    response.write(event({ method: "notifications/progress", params: { progressToken: n, progress, message: text } }));
    await pause(gap);
  }
  response.end(event({ id, result }));
}

/** One numbered event a second, until the client leaves. */
function push(request, response) {
  const stream = request.headers["x-stream"];
  let seq = 0;
  response.writeHead(200, { "content-type": "text/event-stream" });
  const next = () => response.write(event({ method: "notifications/message", params: { stream, seq: ++seq } }));
  next();
  const timer = setInterval(next, 1000);
  response.on("close", () => clearInterval(timer));
}

async function start(mount) {
  const make = (port) =>
    new Promise((resolve, reject) => {
      const server = createServer((request, response) => {
        serve(mount, request, response).catch(() => response.destroy());
      });
      server.keepAliveTimeout = 5000;
      server.once("error", reject);
      server.listen(port, "127.0.0.1", () => resolve(server));
    });
  let server = await make(0);
  const { port } = server.address();
  return {
    port,
    async restart() {
      const window = { mount, from: Date.now(), to: Number.POSITIVE_INFINITY };
      windows.push(window);
      server.close();
      server.closeAllConnections();
      await pause(AWAY);
      server = await make(port);
      window.to = Date.now();
    },
  };
}

const servers = await Promise.all(MOUNTS.map(start));

async function restartInTurn(every) {
  // oxlint-disable-next-line no-unmodified-loop-condition -- the parent ends it
  for (let i = 0; !stopped; i++) {
    await pause(every);
    if (!stopped) await servers[i % servers.length].restart();
  }
}

process.on("message", ({ restartEvery, report }) => {
  if (restartEvery) void restartInTurn(restartEvery);
  if (!report) return;
  stopped = true;
  const twice = [...executions].filter(([, times]) => times > 1).map(([n]) => n);
  process.send({ report: { executed: executions.size, twice, windows } });
});
process.on("disconnect", () => process.exit());
process.send({ ports: Object.fromEntries(MOUNTS.map((mount, i) => [mount, servers[i].port])) });
