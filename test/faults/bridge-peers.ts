/** Servers of four kinds, written byte by byte, that hold a call and note what is done about it; and clients of both eras. */
import { createServer, type Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { type Journal, journal } from "../_harness/journal.ts";
import { type Closeable, closeable, listen, stop } from "../_harness/loopback.ts";
import { type RawClient, type RawConnection, rawClient, rawServer } from "../_harness/peers.ts";
import type { Use } from "../_harness/scope.ts";
import { SSE_HEAD, chunk, jsonAnswer } from "../_harness/wire.ts";

export const UPSTREAMS = ["legacy HTTP", "modern HTTP", "legacy stdio", "modern stdio"] as const;
export type UpstreamKind = (typeof UPSTREAMS)[number];
export type Era = "legacy" | "modern";

export function eraOf(kind: UpstreamKind): Era {
  return kind.startsWith("modern") ? "modern" : "legacy";
}

/** A server with one call under way. */
export interface HoldingServer extends Closeable {
  /** As a configuration has it. */
  readonly config: object;
  /**
   * What reached it, in order: `call 7` with the id it knows, `cancelled 7`, `closed` the connection of the call, `exit` its
   * stdin, `GET`, and every other method.
   */
  readonly saw: Journal<string>;
  /** The call, when it is there: says something that belongs to it, answers it, or lets the server end. */
  held(): Promise<HeldCall>;
}

export interface HeldCall {
  /** JSON text. */
  readonly id: string;
  progress(value: number): void;
  finish(): void;
  /** `ends`: as a server does that stops; `dies`: as one that is killed. */
  down(how: "ends" | "dies"): void;
}

interface Message {
  id?: unknown;
  method?: string;
  params?: { requestId?: unknown; _meta?: { progressToken?: unknown } };
}

const PIPE = fileURLToPath(new URL("../bridge/server/pipe.mjs", import.meta.url));
const SERVER = { name: "raw", version: "1" };
const LEGACY = { protocolVersion: "2025-11-25", capabilities: { tools: {} }, serverInfo: SERVER };
const MODERN = {
  resultType: "complete",
  supportedVersions: ["2026-07-28"],
  capabilities: { tools: {} },
  ttlMs: 0,
  cacheScope: "private",
};

/** @returns what a server says to everything but the call that it holds; `undefined`: nothing */
function answerOf(era: Era, { id, method }: Message): string | undefined {
  if (id === undefined || method === undefined) return undefined;
  const result = (value: object) => text({ id, result: value });
  if (method === "initialize" && era === "legacy") return result(LEGACY);
  if (method === "server/discover" && era === "modern") return result(MODERN);
  const tools = [{ name: "held", inputSchema: { type: "object" } }];
  if (method === "tools/list")
    return result(era === "legacy" ? { tools } : { ...MODERN, tools, supportedVersions: undefined });
  return text({ id, error: { code: -32601, message: "Method not found" } });
}

function text(message: object): string {
  return JSON.stringify({ jsonrpc: "2.0", ...message });
}

function resultOf(era: Era): object {
  return { ...(era === "modern" && { resultType: "complete" }), content: [{ type: "text", text: "ran to its end" }] };
}

/** @returns whether it is the call */
function note(saw: Journal<string>, { id, method, params }: Message): boolean {
  const isCall = method === "tools/call";
  if (isCall) saw.add(`call ${JSON.stringify(id)}`);
  else if (method === "notifications/cancelled") saw.add(`cancelled ${JSON.stringify(params?.requestId)}`);
  else saw.add(method ?? "a response");
  return isCall;
}

export function holdingServer(kind: UpstreamKind): Promise<HoldingServer> {
  return kind.endsWith("HTTP") ? holdingHttp(eraOf(kind)) : holdingStdio(eraOf(kind));
}

async function holdingHttp(era: Era): Promise<HoldingServer> {
  const saw = journal<string>(String);
  const calls = journal<HeldCall>(({ id }) => id);
  const server = await rawServer(
    async (connection) => {
      for await (const request of connection.requests()) {
        if (request.method !== "POST") {
          saw.add(request.method);
          connection.send(jsonAnswer("{}", request.method === "DELETE" ? "200 OK" : "405 Method Not Allowed"));
          continue;
        }
        const message = JSON.parse(request.body) as Message;
        if (note(saw, message)) {
          calls.add(heldOn(connection, message, era));
          void connection.closed.then(() => saw.add("closed"));
          continue;
        }
        const answer = answerOf(era, message);
        const session = message.method === "initialize" ? "mcp-session-id: raw-session\r\n" : "";
        connection.send(
          answer === undefined
            ? "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n"
            : jsonAnswer(answer, "200 OK", session),
        );
      }
    },
    { handshakes: true, discovers: true },
  );
  return closeable({
    config: { url: `${server.url}/mcp`, era },
    saw,
    held: () => calls.find(() => true, "the call"),
    close: () => server.close(),
  });
}

function heldOn(connection: RawConnection, { id, params }: Message, era: Era): HeldCall {
  const event = (message: object) => connection.send(chunk(`event: message\ndata: ${text(message)}\n\n`));
  const progressToken = params?._meta?.progressToken;
  connection.send(SSE_HEAD);
  const progress = (value: number) =>
    void event({ method: "notifications/progress", params: { progressToken, progress: value } });
  progress(1);
  return {
    id: JSON.stringify(id),
    progress,
    finish() {
      event({ id, result: resultOf(era) });
      connection.send(chunk(""));
    },
    down(how) {
      if (how === "dies") return connection.reset();
      connection.send(chunk(""));
      connection.fin();
    },
  };
}

async function holdingStdio(era: Era): Promise<HoldingServer> {
  const saw = journal<string>(String);
  const calls = journal<HeldCall>(({ id }) => id);
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    const write = (line: string) => void (socket.writable && socket.write(`${line}\n`));
    let rest = "";
    socket.setEncoding("utf8").on("data", (piece: string) => {
      const lines = (rest + piece).split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        const message = JSON.parse(line) as Message;
        const answer = note(saw, message) ? undefined : answerOf(era, message);
        if (answer !== undefined) write(answer);
        if (message.method === "tools/call") calls.add(heldBy(socket, write, message, era));
      }
    });
    socket.on("error", () => {});
    socket.on("end", () => saw.add("exit"));
  });
  const port = await listen(server);
  return closeable({
    config: { command: process.execPath, args: [PIPE, String(port)], era },
    saw,
    held: () => calls.find(() => true, "the call"),
    async close() {
      for (const socket of sockets) socket.destroy();
      await stop(server);
    },
  });
}

function heldBy(socket: Socket, write: (line: string) => void, { id, params }: Message, era: Era): HeldCall {
  const progressToken = params?._meta?.progressToken;
  const progress = (value: number) =>
    write(text({ method: "notifications/progress", params: { progressToken, progress: value } }));
  progress(1);
  return {
    id: JSON.stringify(id),
    progress,
    finish: () => write(text({ id, result: resultOf(era) })),
    down(how) {
      if (how === "dies") socket.resetAndDestroy();
      else socket.end();
    },
  };
}

/** A client, a connection for each request. */
export interface RawMcpClient {
  /** Posts a call with progress, and reads until the first progress. */
  call(id: number): Promise<RawClient>;
  /** Posts a message. @returns the answer's status */
  post(message: object): Promise<number>;
  /** The stream of a GET behind an event. */
  resume(lastEventId: string): Promise<RawClient>;
}

/** One of 2025-11-25, with a session. */
export async function legacyClient(use: Use, port: number): Promise<RawMcpClient> {
  let session: string[] = [];
  const send = async (method: string, body: string, more: string[] = []) => {
    const client = await use(rawClient(port));
    client.send(requestBytes(method, body, [...session, ...more]));
    return client;
  };
  const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "raw", version: "1" } };
  const post = async (message: object) => {
    const client = await send("POST", text(message));
    const { status, headers } = await client.receiveResponse({ method: "POST" });
    const id = headers["mcp-session-id"];
    if (id !== undefined) session = [`mcp-session-id: ${id}`, "mcp-protocol-version: 2025-11-25"];
    await client.close();
    return status;
  };
  await post({ id: 0, method: "initialize", params });
  await post({ method: "notifications/initialized" });
  return {
    async call(id) {
      const params = { name: "held", arguments: {}, _meta: { progressToken: id } };
      const client = await send("POST", text({ id, method: "tools/call", params }));
      await client.receive(/"progress":1\b[^\n]*\n/);
      return client;
    },
    post,
    resume: (lastEventId) => send("GET", "", [`last-event-id: ${lastEventId}`]),
  };
}

/** One of 2026-07-28. */
export function modernClient(use: Use, port: number): Pick<RawMcpClient, "call"> {
  const meta = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": { name: "raw", version: "1" },
  };
  const mirrors = ["mcp-protocol-version: 2026-07-28", "mcp-method: tools/call", "mcp-name: held"];
  return {
    async call(id) {
      const params = { name: "held", arguments: {}, _meta: { ...meta, progressToken: id } };
      const client = await use(rawClient(port));
      client.send(requestBytes("POST", text({ id, method: "tools/call", params }), mirrors));
      await client.receive(/"progress":1\b[^\n]*\n/);
      return client;
    },
  };
}

function requestBytes(method: string, body: string, fields: readonly string[]): string {
  const lines = [`${method} /mcp HTTP/1.1`, "host: localhost", ...fields];
  if (method === "GET") lines.push("accept: text/event-stream");
  else
    lines.push(
      "accept: application/json, text/event-stream",
      "content-type: application/json",
      `content-length: ${Buffer.byteLength(body)}`,
    );
  return `${lines.join("\r\n")}\r\n\r\n${body}`;
}
