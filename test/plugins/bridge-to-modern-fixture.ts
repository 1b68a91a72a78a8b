/** A scripted modern server, a legacy client that shows every byte, and the plugin between them. */
import { journal } from "../_harness/journal.ts";
import { closeable } from "../_harness/loopback.ts";
import { type ParsedRequest, type RawConnection, rawServer } from "../_harness/peers.ts";
import { bridge } from "../_harness/plugins.ts";
import type { Use } from "../_harness/scope.ts";
import { SSE_HEAD, chunk, front, jsonAnswer } from "../_harness/wire.ts";

/** A JSON-RPC message, as far as tests look at it. */
export interface Rpc {
  id?: any;
  method?: string;
  params?: any;
  result?: any;
  error?: any;
}

/** One request as the server sees it, and how it may be answered. */
export class Asked {
  readonly request: ParsedRequest;
  readonly connection: RawConnection;
  readonly message: Rpc;
  #streams = false;

  constructor(request: ParsedRequest, connection: RawConnection) {
    this.request = request;
    this.connection = connection;
    this.message = JSON.parse(request.body) as Rpc;
  }

  /** `params._meta`, by the last part of its keys. */
  meta(key: string): any {
    const meta = this.message.params?._meta ?? {};
    return meta[key] ?? meta[`io.modelcontextprotocol/${key}`];
  }

  get idText(): string {
    return JSON.stringify(this.message.id);
  }

  /** A whole JSON answer. @param members of the response, as text */
  json(members: string, status = "200 OK", headers = ""): void {
    this.connection.send(jsonAnswer(`{"jsonrpc":"2.0","id":${this.idText},${members}}`, status, headers));
  }

  result(text: string): void {
    this.json(`"result":${text}`);
  }

  error(code: number, status = "200 OK", more = ""): void {
    this.json(`"error":{"code":${code},"message":"no"${more}}`, status);
  }

  /** One event of a stream, which begins with the first one. @param text of a message */
  event(text: string): void {
    if (!this.#streams) this.connection.send(SSE_HEAD);
    this.#streams = true;
    this.connection.send(chunk(`data: ${text}\n\n`));
  }

  progress(progress: number): void {
    const params = { progressToken: this.meta("progressToken"), progress };
    this.event(JSON.stringify({ jsonrpc: "2.0", method: "notifications/progress", params }));
  }

  /** The response as the last event. */
  respond(members: string): void {
    this.event(`{"jsonrpc":"2.0","id":${this.idText},${members}}`);
    this.end();
  }

  end(): void {
    this.connection.send(chunk(""));
  }
}

export type Serve = (asked: Asked) => void | Promise<void>;

/** How the pair is set up. */
export interface PairOptions {
  /** Capabilities that the server tells of. */
  capabilities?: object;
  /** Members of the result of `server/discover`, as text. */
  described?: string;
  /** The result of `tools/list`; where `serve` is to answer that, `null`. */
  tools?: object[] | null;
  plugins?: unknown;
  /** More of the server's configuration. */
  server?: object;
  /** `server/discover` is shown to `serve`. */
  discovers?: boolean;
}

/** A proxy with the plugin `bridge` before a scripted modern server. */
export async function modernPair(use: Use, serve: Serve, options: PairOptions = {}) {
  const { capabilities = { tools: {} }, described = "", tools = [], plugins = [bridge()], discovers = false } = options;
  const asked = journal<Asked>(({ request }) => request.body.slice(0, 200));
  const server = await use(
    rawServer(
      async (connection) => {
        for await (const request of connection.requests()) {
          const one = new Asked(request, connection);
          const { method } = one.message;
          asked.add(one);
          if (method === "server/discover" && !discovers)
            one.result(
              `{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":${JSON.stringify(capabilities)},"ttlMs":0,"cacheScope":"private"${described}}`,
            );
          else if (method === "tools/list" && tools)
            one.result(`{"resultType":"complete","tools":${JSON.stringify(tools)},"ttlMs":0,"cacheScope":"private"}`);
          else await serve(one);
        }
      },
      { handshakes: true },
    ),
  );
  const proxy = await use(front(server.url, plugins, { era: "modern", ...options.server }));
  const url = `${proxy.url}/mcp`;
  return {
    url,
    proxy,
    server,
    /** Every request that has reached the server. */
    asked,
    methods: () => asked.entries.map(({ message }) => message.method),
    /** The first request with this method. */
    seen: (method: string) => asked.find(({ message }) => message.method === method, method),
    open: (begin?: BeginOptions) => LegacyClient.open(use, url, begin),
    visitor: () => new LegacyClient(url),
  };
}

export interface BeginOptions {
  version?: string;
  capabilities?: object;
}

/** A legacy client, written message by message. */
export class LegacyClient {
  readonly url: string;
  session: string | undefined;
  version: string | undefined;
  /** The answer to `initialize`. */
  began: Rpc | undefined;
  readonly #aborts = new Set<AbortController>();

  constructor(url: string) {
    this.url = url;
  }

  static async open(use: Use, url: string, { version = "2025-11-25", capabilities = {} }: BeginOptions = {}) {
    const client = await use(closeable(new LegacyClient(url)));
    const params = { protocolVersion: version, capabilities, clientInfo: { name: "old", version: "1" } };
    const answer = await client.post({ id: 0, method: "initialize", params });
    client.began = answer.message;
    client.session = answer.headers.get("mcp-session-id") ?? undefined;
    client.version = answer.message?.result?.protocolVersion;
    return client;
  }

  /** Posts a message, and reads its answer to the end. @param message an object, or its text */
  async post(message: object | string, headers: Record<string, string> = {}) {
    const answer = await this.#send("POST", message, headers);
    const text = await answer.text();
    const isStream = answer.headers.get("content-type")?.startsWith("text/event-stream") ?? false;
    const texts = isStream ? [...text.matchAll(/^data: ?(\S.*)$/gm)].map(([, data]) => data!) : text ? [text] : [];
    const messages = texts.map((one) => JSON.parse(one) as Rpc);
    return { status: answer.status, headers: answer.headers, text, messages, message: messages.at(-1) };
  }

  /** Posts a message, and reads its event stream as it comes. */
  async stream(message: object | string) {
    const controller = new AbortController();
    this.#aborts.add(controller);
    const { status, body } = await this.#send("POST", message, {}, controller.signal);
    const got = journal<Rpc>((one) => JSON.stringify(one));
    const ended = (async () => {
      let rest = "";
      const decoder = new TextDecoder();
      for await (const piece of body!) {
        const events = (rest + decoder.decode(piece, { stream: true })).split("\n\n");
        rest = events.pop()!;
        for (const event of events) {
          const data = /^data: ?(\S.*)$/m.exec(event)?.[1];
          if (data) got.add(JSON.parse(data) as Rpc);
        }
      }
      return "well" as const;
    })().catch(() => "cut" as const);
    return {
      status,
      messages: got.entries,
      ended,
      /** The first message with this method. */
      heard: (method: string) => got.find((one) => one.method === method, method),
      response: () => got.find((one) => one.method === undefined, "the response"),
      leave: () => controller.abort(),
    };
  }

  /** Without a body. */
  plain(method: string, headers: Record<string, string> = {}) {
    return this.#send(method, undefined, headers);
  }

  async close(): Promise<void> {
    for (const one of this.#aborts) one.abort();
  }

  #send(method: string, message: object | string | undefined, more: Record<string, string>, signal?: AbortSignal) {
    const body = typeof message === "object" ? JSON.stringify({ jsonrpc: "2.0", ...message }) : message;
    const headers = {
      accept: "application/json, text/event-stream",
      ...(body !== undefined && { "content-type": "application/json" }),
      ...(this.session !== undefined && { "mcp-session-id": this.session }),
      ...(this.version !== undefined && { "mcp-protocol-version": this.version }),
      ...more,
    };
    return fetch(this.url, { method, headers, body, signal });
  }
}

/** A `tools/call`. */
export function toolCall(id: unknown, name: string, args: object = {}, meta?: object) {
  return { id, method: "tools/call", params: { name, arguments: args, ...(meta && { _meta: meta }) } };
}

/** An `input_required` result. */
export function inputRequired(inputRequests: object | undefined, requestState?: string): string {
  return `"result":${JSON.stringify({ resultType: "input_required", inputRequests, requestState })}`;
}
