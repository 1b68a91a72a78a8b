/** A legacy server of Streamable HTTP that says what a test tells it to, byte by byte, and a modern client that shows what it is told. */
import { type Journal, journal } from "../_harness/journal.ts";
import { type Closeable, closeable } from "../_harness/loopback.ts";
import { type ParsedRequest, type RawConnection, rawServer } from "../_harness/peers.ts";
import { SSE_HEAD, chunk, jsonAnswer } from "../_harness/wire.ts";

/** A message as it came. */
export interface Posted {
  /** `POST tools/call`, `POST response`, `GET`, `DELETE`. */
  what: string;
  body: string;
  message: { id?: number | string; method?: string; params?: any; result?: any; error?: any };
  headers: ParsedRequest["headers"];
}

/** The answer to one request. */
export interface Wire {
  readonly connection: RawConnection;
  json(body: string, status?: string, headers?: string): void;
  /** A response with this result. @param result JSON text */
  result(result: string): void;
  error(code: number, data?: unknown): void;
  accepted(): void;
  /** The head of an event stream. */
  open(): Wire;
  /** @param fields whole lines, e.g. `id: 7\n` */
  event(data: string, fields?: string): Wire;
  end(): void;
}

export interface LegacyPeer extends Closeable {
  readonly url: string;
  readonly seen: Journal<Posted>;
  /** The next one from here on, or the first so far, that is called so. */
  got(what: string, nth?: number): Promise<Posted>;
  /** GET streams, as they were opened. */
  readonly streams: Journal<Wire>;
}

export interface LegacyPeerOptions {
  /** The result of `initialize`, beside version and server info; without `tools` it is not asked for their schemas. */
  capabilities?: object;
  /** @default a stream that stays open */
  get?: (posted: Posted, wire: Wire) => void;
  /** @default every response and notification is accepted */
  aside?: (posted: Posted, wire: Wire) => boolean;
}

/** @param answer to requests other than `initialize` and `ping` */
export async function legacyPeer(
  answer: (posted: Posted, wire: Wire) => void | Promise<void>,
  { capabilities = {}, get, aside }: LegacyPeerOptions = {},
): Promise<LegacyPeer> {
  const seen = journal<Posted>(({ what, body }) => `${what} ${body}`);
  const streams = journal<Wire>(() => "a GET stream");
  let sessions = 0;
  const server = await rawServer(
    async (connection) => {
      for await (const request of connection.requests()) {
        const message = request.body ? (JSON.parse(request.body) as Posted["message"]) : {};
        const what = request.method === "POST" ? `POST ${message.method ?? "response"}` : request.method;
        const posted: Posted = { what, body: request.body, message, headers: request.headers };
        const wire = wireOf(connection, message.id);
        seen.add(posted);
        if (request.method === "DELETE") wire.json("", "200 OK");
        else if (request.method === "GET") {
          if (get) get(posted, wire);
          else streams.add(wire.open());
        } else if (message.method === "initialize") {
          const serverInfo = { name: "old", version: "1.0.0" };
          const result = { protocolVersion: "2025-11-25", capabilities, serverInfo, instructions: "Be kind." };
          const body = JSON.stringify({ jsonrpc: "2.0", id: message.id, result });
          wire.json(body, "200 OK", `mcp-session-id: s${++sessions}\r\n`);
        } else if (message.id === undefined || message.method === undefined) {
          if (!aside?.(posted, wire)) wire.accepted();
        } else await answer(posted, wire);
      }
    },
    { handshakes: true },
  );
  return closeable({
    url: server.url,
    seen,
    streams,
    got: (what: string, nth = 1) => {
      let count = 0;
      return seen.find((posted) => posted.what === what && ++count >= nth, what);
    },
    close: () => server.close(),
  });
}

function wireOf(connection: RawConnection, id: unknown): Wire {
  const idText = JSON.stringify(id);
  const wire: Wire = {
    connection,
    json: (body, status, headers) => void connection.send(jsonAnswer(body, status, headers)),
    result: (result) => wire.json(`{"jsonrpc":"2.0","id":${idText},"result":${result}}`),
    error: (code, data) =>
      wire.json(JSON.stringify({ jsonrpc: "2.0", id, error: { code, message: `error ${code}`, data } })),
    accepted: () => void connection.send("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n"),
    open() {
      connection.send(SSE_HEAD);
      return wire;
    },
    event(data, fields = "") {
      connection.send(chunk(`${fields}data: ${data}\n\n`));
      return wire;
    },
    end: () => void connection.send(chunk("")),
  };
  return wire;
}

/** What a modern client is answered. */
export interface Told {
  status: number;
  headers: Headers;
  text: string;
  /** Every message of it; the last is the response. */
  messages: any[];
  response: any;
}

export interface AskOptions {
  id?: string;
  capabilities?: object;
  meta?: object;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** One request of a modern client. @param params JSON text of what it has beside `_meta` */
export function modernPost(
  method: string,
  params = "{}",
  { id = "1", capabilities = {}, meta = {}, headers = {} }: AskOptions = {},
) {
  const envelope = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": capabilities,
    "io.modelcontextprotocol/clientInfo": { name: "new", version: "2.0.0" },
    ...meta,
  };
  const inner = params.slice(1, -1);
  const body = `{"jsonrpc":"2.0","id":${id},"method":"${method}","params":{${inner}${inner ? "," : ""}"_meta":${JSON.stringify(envelope)}}}`;
  const { name, uri } = JSON.parse(params) as { name?: string; uri?: string };
  return {
    method: "POST",
    body,
    headers: {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      "mcp-protocol-version": "2026-07-28",
      "mcp-method": method,
      ...((name ?? uri) !== undefined && { "mcp-name": (name ?? uri)! }),
      ...headers,
    },
  };
}

/** Posts it, and waits for all of the answer. */
export async function ask(url: string, method: string, params = "{}", options: AskOptions = {}): Promise<Told> {
  const response = await fetch(url, { ...modernPost(method, params, options), signal: options.signal });
  const text = await response.text();
  const isStream = response.headers.get("content-type")?.startsWith("text/event-stream");
  const texts = isStream ? [...text.matchAll(/^data: (.+)$/gm)].map(([, data]) => data!) : text === "" ? [] : [text];
  const messages = texts.map((each) => JSON.parse(each) as unknown);
  return { status: response.status, headers: response.headers, text, messages, response: messages.at(-1) };
}
