/** Sessions that are opened through a proxy and dropped in every way that clients and servers have. */
import { type ClientRequest, type IncomingMessage, request } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { sessions, standard } from "./plugins.ts";
import type { Use } from "./scope.ts";
import { type Intercept, startLegacyServer } from "./servers.ts";
import { vitals } from "./vitals.ts";
import { front } from "./wire.ts";

interface Reply {
  status: number;
  session: string | undefined;
  /** Still open: a stream. */
  message: IncomingMessage;
}

const JSON_HEADERS = { "content-type": "application/json", accept: "application/json, text/event-stream" };
const VERSION = "2025-11-25";
const REFUSED = "is refused";
const HELD = "is never answered";

const initialize = (name: string, protocolVersion = VERSION) => ({
  jsonrpc: "2.0",
  id: 1,
  method: "initialize",
  params: { protocolVersion, capabilities: {}, clientInfo: { name, version: "1.0.0" } },
});

/** A connection of its own, so that nothing of the client stays. */
function open(url: string, method: string, session?: string, body?: object): ClientRequest {
  const headers = {
    ...(body ? JSON_HEADERS : { accept: "text/event-stream" }),
    ...(session && { "mcp-session-id": session, "mcp-protocol-version": VERSION }),
  };
  const sent = request(url, { method, headers, agent: false });
  sent.end(body && JSON.stringify(body));
  return sent;
}

function head(sent: ClientRequest): Promise<Reply> {
  return new Promise((resolve, reject) => {
    sent.once("error", reject);
    sent.once("response", (message) =>
      resolve({
        status: message.statusCode!,
        session: message.headers["mcp-session-id"] as string | undefined,
        message,
      }),
    );
  });
}

async function send(url: string, method: string, session?: string, body?: object): Promise<Reply> {
  const reply = await head(open(url, method, session, body));
  reply.message.resume();
  await new Promise((resolve) => reply.message.once("close", resolve));
  return reply;
}

/** @throws Error unless it was answered with this status */
async function expectStatus(what: string, status: number, sending: Promise<Reply>): Promise<Reply> {
  const reply = await sending;
  if (reply.status !== status) throw new Error(`${what} was answered with HTTP ${reply.status}, not ${status}`);
  return reply;
}

/** Opens a session and uses it once. */
async function begin(url: string): Promise<string> {
  const { session } = await expectStatus("initialize", 200, send(url, "POST", undefined, initialize("drops")));
  if (session === undefined) throw new Error("initialize was answered without a session");
  const initialized = { jsonrpc: "2.0", method: "notifications/initialized" };
  await expectStatus("initialized", 202, send(url, "POST", session, initialized));
  const list = { jsonrpc: "2.0", id: 2, method: "tools/list" };
  await expectStatus("tools/list", 200, send(url, "POST", session, list));
  return session;
}

const WAYS = {
  async "ended by DELETE"(url: string) {
    await expectStatus("DELETE", 200, send(url, "DELETE", await begin(url)));
  },
  async "ended by DELETE twice"(url: string) {
    const session = await begin(url);
    await expectStatus("DELETE", 200, send(url, "DELETE", session));
    await send(url, "DELETE", session);
  },
  async "left with its stream"(url: string) {
    const stream = open(url, "GET", await begin(url));
    const { message } = await head(stream);
    message.on("error", () => {});
    message.socket.resetAndDestroy();
  },
  async "left without a word"(url: string) {
    await begin(url);
  },
  async "with a revision that nobody has"(url: string) {
    // The server offers another one, and the client does not want it.
    await expectStatus("initialize", 200, send(url, "POST", undefined, initialize("drops", "1999-01-01")));
  },
  async "refused with 401"(url: string) {
    const { status } = await send(url, "POST", undefined, initialize(REFUSED));
    if (status < 400) throw new Error(`a refused initialize was answered with HTTP ${status}`);
  },
  async "aborted before its answer"(url: string) {
    const sent = open(url, "POST", undefined, initialize(HELD));
    sent.on("error", () => {});
    await new Promise((resolve) => setTimeout(resolve, 5));
    sent.destroy();
  },
  async "aborted with its answer"(url: string) {
    const reply = await head(open(url, "POST", undefined, initialize("drops")));
    reply.message.on("error", () => {});
    reply.message.socket.resetAndDestroy();
  },
};

/** A session that nothing was heard of for this long is over, and so is a stream that nobody comes back to, in milliseconds. */
const IDLE_MS = 1000;
/** A handshake that its client has left is waited for so long: otherwise a session would stay whose id nobody knows. */
const HEAD_MS = 5000;
const SETTLE_MS = 30_000;

/**
 * Drops sessions with a server over Streamable HTTP in every way, through `standard()` with a short `idleTimeout`, and waits until
 * the proxy is back at its baseline.
 *
 * @returns the sessions that the server still has, and descriptors of the proxy before and after
 */
export async function drops(
  use: Use,
  count: number,
): Promise<{ left: string[]; fds: { before: number; after: number } }> {
  const server = await use(startLegacyServer({ intercept: dropping }));
  const short = sessions({ idleTimeout: IDLE_MS, resume: { ttl: IDLE_MS } });
  const plugins = standard().map((plugin) => ((plugin as { name: string }).name === "sessions" ? short : plugin));
  const { url, ...proxy } = await use(front(server.url, plugins, { timeouts: { headers: HEAD_MS } }));
  const settled = async () => {
    const deadline = performance.now() + SETTLE_MS;
    while (server.sessions.length > 0 && performance.now() < deadline) await pause(50);
  };
  // What the first ones load and keep is no leak.
  await dropSessions(`${url}/mcp`, 4 * Object.keys(WAYS).length);
  await settled();
  const net = await vitals(proxy);
  await dropSessions(`${url}/mcp`, count);
  await settled();
  const { fds } = await net.backToBaseline({ timeout: SETTLE_MS });
  return { left: server.sessions, fds: { before: net.baseline.fds, after: fds } };
}

/** For the server: refuses and holds the handshakes that say so. */
const dropping: Intercept = ({ body }, _request, response) => {
  const name = (body as { params?: { clientInfo?: { name?: string } } } | undefined)?.params?.clientInfo?.name;
  if (name === REFUSED) response.writeHead(401).end();
  return name === REFUSED || name === HELD;
};

/** Opens and drops `count` sessions, each way as often as the others, 16 at a time. */
async function dropSessions(url: string, count: number): Promise<void> {
  const ways = Object.values(WAYS);
  const names = Object.keys(WAYS);
  let next = 0;
  const work = async () => {
    for (let i = next++; i < count; i = next++) {
      await ways[i % ways.length]!(url).catch((cause: unknown) => {
        throw new Error(`a session, ${names[i % ways.length]}: ${(cause as Error).message}`, { cause });
      });
    }
  };
  await Promise.all(Array.from({ length: 16 }, work));
}
