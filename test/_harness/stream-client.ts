/** A small client that shows every message of every stream: SDK clients drop what they did not wait for. */
import { Agent, type IncomingMessage, request } from "node:http";
import { type Closeable, closeable } from "./loopback.ts";

/** A JSON-RPC message as it came. */
export interface Came {
  id?: unknown;
  method?: string;
  params?: Record<string, unknown>;
  result?: unknown;
  error?: { code: number; message: string };
}

/** An event stream that is being read. */
export interface Reading {
  readonly status: number;
  /** Messages so far. */
  readonly messages: Came[];
  /** Event ids so far. */
  readonly ids: string[];
  /** The stream is over: well, or cut. */
  readonly end: "well" | "cut" | undefined;
  /** The connection breaks. */
  drop(): void;
}

export interface StreamClient extends Closeable {
  /** The session's id, as the proxy gave it. */
  session: string | undefined;
  /** Opens a session. @param name of the client */
  begin(name: string): Promise<void>;
  /** Posts a message. @returns what its answer holds, in order */
  post(message: object): Promise<Came[]>;
  /** Posts a message, or opens the stream of a GET, and reads what comes over a connection of its own. */
  open(message?: object, lastEventId?: string): Promise<Reading>;
  /** Ends the session. @returns the HTTP status */
  end(): Promise<number>;
}

const VERSION = "2025-11-25";

/** @param url of the endpoint */
export async function streamClient(url: string): Promise<StreamClient> {
  const agent = new Agent({ keepAlive: true });
  const readings: Reading[] = [];
  const send = (method: string, body?: string, more: object = {}, by: Agent | false = agent) =>
    new Promise<IncomingMessage>((resolve, reject) => {
      const headers = {
        accept: "application/json, text/event-stream",
        ...(body !== undefined && { "content-type": "application/json", "content-length": Buffer.byteLength(body) }),
        ...(client.session !== undefined && { "mcp-session-id": client.session, "mcp-protocol-version": VERSION }),
        ...more,
      };
      request(url, { method, headers, agent: by }, resolve).on("error", reject).end(body);
    });
  const textOf = (message: object) => JSON.stringify({ jsonrpc: "2.0", ...message });
  const client: StreamClient = closeable<Omit<StreamClient, typeof Symbol.asyncDispose>>({
    session: undefined,
    async begin(name: string) {
      const params = { protocolVersion: VERSION, capabilities: {}, clientInfo: { name, version: "1" } };
      const answer = await send("POST", textOf({ id: 0, method: "initialize", params }));
      await read(answer);
      client.session = String(answer.headers["mcp-session-id"]);
      await client.post({ method: "notifications/initialized" });
    },
    async post(message: object) {
      const answer = await send("POST", textOf(message));
      return messagesOf(await read(answer), String(answer.headers["content-type"]));
    },
    async open(message?: object, lastEventId?: string) {
      const more = lastEventId === undefined ? {} : { "last-event-id": lastEventId };
      const answer = message
        ? await send("POST", textOf(message), {}, false)
        : await send("GET", undefined, more, false);
      const reading = follow(answer);
      readings.push(reading);
      return reading;
    },
    async end() {
      const answer = await send("DELETE");
      await read(answer);
      return answer.statusCode!;
    },
    async close() {
      for (const reading of readings) reading.drop();
      agent.destroy();
    },
  });
  return client;
}

function follow(answer: IncomingMessage): Reading {
  const state = { end: undefined as Reading["end"] };
  const messages: Came[] = [];
  const ids: string[] = [];
  const type = String(answer.headers["content-type"]);
  let rest = "";
  answer.setEncoding("utf8");
  answer.on("data", (piece: string) => {
    const events = (rest + piece).split("\n\n");
    rest = events.pop()!;
    for (const event of events) {
      const id = /(?:^|\n)id: ([^\n]*)/.exec(event)?.[1];
      if (id !== undefined) ids.push(id);
      messages.push(...messagesOf(`${event}\n\n`, type));
    }
  });
  answer.on("end", () => {
    messages.push(...messagesOf(type.startsWith("application/json") ? rest : "", type));
    state.end ??= "well";
  });
  answer.on("error", () => (state.end ??= "cut"));
  return {
    status: answer.statusCode!,
    messages,
    ids,
    get end() {
      return state.end;
    },
    drop: () => void answer.destroy(),
  };
}

async function read(answer: IncomingMessage): Promise<string> {
  let text = "";
  for await (const piece of answer.setEncoding("utf8")) text += String(piece);
  return text;
}

function messagesOf(text: string, type: string): Came[] {
  if (text === "") return [];
  if (!type.startsWith("text/event-stream"))
    return type.startsWith("application/json") ? [JSON.parse(text) as Came] : [];
  return text.split("\n\n").flatMap((event) => {
    const data = /(?:^|\n)data: ?(\S[^\n]*)/.exec(event)?.[1];
    return data ? [JSON.parse(data) as Came] : [];
  });
}
