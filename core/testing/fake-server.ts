/** A server that plugins are tested against: it records what reaches it and answers as it is told. */
import { type AnyBody, StreamBody, collect, empty, fromResponse, json, sse } from "../body/body.ts";
import { isRecord } from "../body/message.ts";
import { toOutgoing } from "../front/http.ts";
import { createHttpServer } from "../front/http1/server.ts";
import { createPublicOrigin } from "../public-url.ts";
import type { Answer, Awaitable, Frame, Json, Message } from "../types.ts";
import type { Driver } from "../upstream/wire.ts";

/** One request as it reached the server. */
export interface Recorded {
  /** Name of the server in the configuration, or `fake` where it listens. */
  server: string;
  method: string;
  headers: Headers;
  /** What was posted, parsed; `undefined` for GET and DELETE. */
  message: Message | undefined;
  /** The same as text. */
  text: string;
  /** Aborts when the proxy gives the request up. */
  signal: AbortSignal;
}

/** What the server says: an answer, the result of the posted request, or frames of a stream; nothing for the default. */
export type Responder = (recorded: Recorded) => Awaitable<Answer | { result: Json } | AsyncIterable<Frame> | void>;

export interface FakeServer {
  /** Everything that reached it, in order. */
  readonly requests: readonly Recorded[];
  /** Speaks to it without a socket. */
  readonly connect: (name: string) => Driver;
  /** Listens on loopback. */
  listen(): Promise<{ url: string; close(): Promise<void> }>;
}

/** Tools of the default server. */
const TOOLS = ["echo", "add", "delete_all"].map((name) => ({
  name,
  description: `Tool ${name}`,
  inputSchema: { type: "object" },
}));

/**
 * Makes a server.
 *
 * @param respond asked first; where it returns nothing, the server behaves like a small MCP server with the tools `echo`,
 * `add` and `delete_all`, sessions, and an event stream that stays silent
 */
export function fakeServer(respond: Responder = () => {}): FakeServer {
  const requests: Recorded[] = [];

  async function answer(recorded: Recorded): Promise<Answer> {
    requests.push(recorded);
    const said = await respond(recorded);
    if (said === undefined) return standardAnswer(recorded);
    if (Symbol.asyncIterator in said) return sse(said);
    if ("result" in said) return json({ jsonrpc: "2.0", id: recorded.message?.id, result: said.result });
    return said;
  }

  return {
    requests,
    connect: (name) => ({
      async send(request, onAbort) {
        const gone = new AbortController();
        onAbort(() => gone.abort());
        const text =
          request.body instanceof Uint8Array
            ? new TextDecoder().decode(request.body)
            : request.body === null
              ? ""
              : JSON.stringify(request.body);
        const made = await answer({
          server: name,
          method: request.method,
          headers: new Headers([...request.headers]),
          message: parse(text),
          text,
          signal: gone.signal,
        });
        return endWith(made, gone);
      },
      async close() {},
    }),
    async listen() {
      const server = createHttpServer({
        origin: createPublicOrigin({}),
        refuse: ({ message, status }) => toOutgoing(json({ message }, status), undefined),
        async handle(inbound) {
          const gone = new AbortController();
          inbound.onClosed = (whole) => whole || gone.abort();
          const text = new TextDecoder().decode(await inbound.read(Number.POSITIVE_INFINITY));
          const { method, headers } = inbound;
          const made = await answer({
            server: "fake",
            method,
            headers: new Headers([...headers]),
            message: parse(text),
            text,
            signal: gone.signal,
          });
          const outgoing = toOutgoing(made, inbound);
          const { onClosed } = inbound;
          inbound.onClosed = (whole) => {
            onClosed(whole);
            if (!whole) gone.abort();
          };
          return outgoing;
        },
      });
      await server.listen({ port: 0, host: "127.0.0.1" });
      return { url: `http://127.0.0.1:${server.port}/mcp`, close: () => server.close() };
    },
  };
}

function standardAnswer({ method, message, signal }: Recorded): Answer {
  if (method === "GET") return sse(silence(signal));
  if (method === "DELETE" || message?.method === undefined || message.id === undefined)
    return empty(method === "DELETE" ? 200 : 202);
  const reply = (result: Json, headers?: Record<string, string>) =>
    json({ jsonrpc: "2.0", id: message.id, result }, 200, headers);
  switch (message.method) {
    case "initialize":
      return reply(
        {
          protocolVersion: message.params?.protocolVersion,
          capabilities: { tools: {} },
          serverInfo: { name: "fake", version: "1.0.0" },
        },
        { "mcp-session-id": crypto.randomUUID() },
      );
    case "tools/list":
      return reply({ tools: TOOLS });
    case "tools/call":
      return reply({ content: [{ type: "text", text: JSON.stringify(message.params?.arguments ?? {}) }] });
    case "ping":
      return reply({});
    default:
      return json({ jsonrpc: "2.0", id: message.id, error: { code: -32601, message: "Method not found" } });
  }
}

// oxlint-disable-next-line require-yield -- silence is what it is for
async function* silence(signal: AbortSignal): AsyncGenerator<Frame> {
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
}

/** Over a socket the end of a stream is seen; here the source's abort stands for it. */
function endWith(answer: Answer, gone: AbortController): Answer {
  const body = answer.body as AnyBody;
  if (body.kind !== "stream") return answer;
  const { source } = body;
  const watched = {
    start: (receiver: Parameters<typeof source.start>[0]) => source.start(receiver),
    pause: () => source.pause(),
    resume: () => source.resume(),
    abort: () => {
      gone.abort();
      source.abort();
    },
  };
  return { ...answer, body: new StreamBody(watched) };
}

function parse(text: string): Message | undefined {
  if (text === "") return undefined;
  const value: unknown = JSON.parse(text);
  return isRecord(value) ? (value as unknown as Message) : undefined;
}

/** Reads an answer that came back, whatever its form. @returns its text */
export async function readText(response: Response): Promise<string> {
  return new TextDecoder().decode(await collect(fromResponse(response)));
}
