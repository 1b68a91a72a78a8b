/** A small client that shows every message of every stream: SDK clients drop what they did not wait for. */
import { Agent, type IncomingMessage, request } from "node:http";
import { type Closeable, closeable } from "../_harness/loopback.ts";

/** A JSON-RPC message as it came. */
export interface Came {
  id?: unknown;
  method?: string;
  params?: Record<string, unknown>;
  result?: unknown;
  error?: { code: number; message: string };
}

export interface SseClient extends Closeable {
  /** The session's id, as the proxy gave it. */
  session: string | undefined;
  /** Opens a session. @param name of the client */
  begin(name: string): Promise<void>;
  /** Posts a message. @returns what its answer holds, in order */
  post(message: object): Promise<Came[]>;
  /** Opens the stream of a GET. */
  listen(heard: (message: Came) => void): Promise<void>;
}

const VERSION = "2025-11-25";

/** @param url of the endpoint */
export async function sseClient(url: string): Promise<SseClient> {
  const agent = new Agent({ keepAlive: true });
  let stream: IncomingMessage | undefined;
  const send = (method: string, body?: string) =>
    new Promise<IncomingMessage>((resolve, reject) => {
      const headers = {
        accept: "application/json, text/event-stream",
        ...(body !== undefined && { "content-type": "application/json", "content-length": Buffer.byteLength(body) }),
        ...(client.session !== undefined && { "mcp-session-id": client.session, "mcp-protocol-version": VERSION }),
      };
      request(url, { method, headers, agent }, resolve).on("error", reject).end(body);
    });
  const client: SseClient = closeable<Omit<SseClient, typeof Symbol.asyncDispose>>({
    session: undefined,
    async begin(name: string) {
      const params = { protocolVersion: VERSION, capabilities: {}, clientInfo: { name, version: "1" } };
      const answer = await send("POST", JSON.stringify({ jsonrpc: "2.0", id: 0, method: "initialize", params }));
      await read(answer);
      client.session = String(answer.headers["mcp-session-id"]);
      await client.post({ method: "notifications/initialized" });
    },
    async post(message: object) {
      const answer = await send("POST", JSON.stringify({ jsonrpc: "2.0", ...message }));
      return messagesOf(await read(answer), String(answer.headers["content-type"]));
    },
    async listen(heard: (message: Came) => void) {
      stream = await send("GET");
      let rest = "";
      stream.setEncoding("utf8").on("data", (piece: string) => {
        const events = (rest + piece).split("\n\n");
        rest = events.pop()!;
        for (const event of events)
          for (const message of messagesOf(`${event}\n\n`, "text/event-stream")) heard(message);
      });
      stream.on("error", () => {});
    },
    async close() {
      stream?.destroy();
      agent.destroy();
    },
  });
  return client;
}

async function read(answer: IncomingMessage): Promise<string> {
  let text = "";
  for await (const piece of answer.setEncoding("utf8")) text += String(piece);
  return text;
}

function messagesOf(text: string, type: string): Came[] {
  if (text === "") return [];
  if (!type.startsWith("text/event-stream")) return [JSON.parse(text) as Came];
  return text.split("\n\n").flatMap((event) => {
    const data = /(?:^|\n)data: ?(\S[^\n]*)/.exec(event)?.[1];
    return data ? [JSON.parse(data) as Came] : [];
  });
}
