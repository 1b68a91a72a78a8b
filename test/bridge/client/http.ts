/** Clients over HTTP: Streamable HTTP of both eras, and HTTP+SSE. */
import { Agent, type IncomingMessage, request } from "node:http";
import type { Wire } from "../server/messages.ts";
import type { LegacyTaker, LegacyWire } from "./legacy.ts";
import type { ModernWire } from "./modern.ts";

export interface Endpoint {
  /** Of the mount. */
  url: string;
  /** With which the proxy knows its caller. */
  key: string;
}

class Http {
  readonly #endpoint: Endpoint;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #open = new Set<{ destroy(): void }>();
  closed = false;

  constructor(endpoint: Endpoint) {
    this.#endpoint = endpoint;
  }

  /** @param whose takes the request, which can be destroyed */
  send(
    method: string,
    body: string | undefined,
    fields: object = {},
    whose?: (request: { destroy(): void }) => void,
    url: string = this.#endpoint.url,
  ): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const headers = {
        accept: method === "GET" ? "text/event-stream" : "application/json, text/event-stream",
        "x-api-key": this.#endpoint.key,
        ...(body !== undefined && { "content-type": "application/json", "content-length": Buffer.byteLength(body) }),
        ...fields,
      };
      const sent = request(url, { method, headers, agent: this.#agent }, resolve);
      this.#open.add(sent);
      sent.on("close", () => this.#open.delete(sent));
      sent.on("error", reject);
      whose?.(sent);
      sent.end(body);
    });
  }

  close(): void {
    this.closed = true;
    for (const each of this.#open) each.destroy();
    this.#agent.destroy();
  }
}

/** Messages of an answer, as they come. @returns how it ended */
async function readMessages(
  answer: IncomingMessage,
  hear: (raw: string) => void,
  event: (name: string, data: string, id: string | undefined) => void = () => {},
): Promise<string> {
  answer.setEncoding("utf8");
  const isStream = String(answer.headers["content-type"]).startsWith("text/event-stream");
  let rest = "";
  try {
    for await (const piece of answer) {
      rest += String(piece);
      if (!isStream) continue;
      const events = rest.split("\n\n");
      rest = events.pop()!;
      for (const one of events) {
        const field = (name: string) => new RegExp(`(?:^|\\n)${name}: ?([^\\n]*)`).exec(one)?.[1];
        const data = field("data");
        event(field("event") ?? "message", data ?? "", field("id"));
        if (data && (field("event") ?? "message") === "message") hear(data);
      }
    }
  } catch (cause) {
    return `cut (${String(cause)})`;
  }
  if (isStream) return "well";
  if (/^\s*\{.*"id"\s*:\s*[^n]/s.test(rest)) hear(rest);
  return `HTTP ${answer.statusCode} ${rest.slice(0, 200)}`;
}

export class LegacyHttp implements LegacyWire {
  readonly #http: Http;
  readonly #sent = new Map<number, { destroy(): void; lastId?: string | undefined }>();
  #taker!: LegacyTaker;
  #session: string | undefined;

  constructor(endpoint: Endpoint) {
    this.#http = new Http(endpoint);
  }

  async open(taker: LegacyTaker): Promise<void> {
    this.#taker = taker;
  }

  request(raw: string, id: number): void {
    const of = (sent: { destroy(): void }) => this.#sent.set(id, { destroy: () => sent.destroy() });
    this.#http.send("POST", raw, this.#fields(), of).then(
      (answer) => {
        this.#session ??= answer.headers["mcp-session-id"] as string | undefined;
        return this.#read(answer, id);
      },
      (cause: unknown) => this.#taker.ended(id, String(cause)),
    );
  }

  async tell(raw: string): Promise<void> {
    const answer = await this.#http.send("POST", raw, this.#fields());
    const how = await readMessages(answer, () => {});
    if (answer.statusCode !== 202) throw new Error(`not accepted: ${how}`);
  }

  async listen(): Promise<void> {
    await this.#get(undefined);
  }

  async lose(id: number): Promise<boolean> {
    const { lastId, destroy } = this.#sent.get(id)!;
    destroy();
    if (lastId === undefined) return false;
    const answer = await this.#http.send("GET", undefined, { ...this.#fields(), "last-event-id": lastId });
    void this.#read(answer, id);
    return true;
  }

  async close(): Promise<void> {
    const ended = this.#http.send("DELETE", undefined, this.#fields()).then((answer) => readMessages(answer, () => {}));
    await ended.catch(() => {});
    this.#http.close();
  }

  async #read(answer: IncomingMessage, id: number): Promise<void> {
    const sent = this.#sent.get(id)!;
    const how = await readMessages(
      answer,
      (raw) => this.#taker.hear(raw, id),
      (_name, _data, eventId) => (sent.lastId = eventId ?? sent.lastId),
    );
    this.#taker.ended(id, how);
  }

  async #get(lastId: string | undefined): Promise<void> {
    const resumed = lastId !== undefined && { "last-event-id": lastId };
    const answer = await this.#http.send("GET", undefined, { ...this.#fields(), ...resumed });
    let last = lastId;
    void readMessages(
      answer,
      (raw) => this.#taker.hear(raw),
      (_name, _data, id) => (last = id ?? last),
    ).then(() => {
      if (this.#http.closed || answer.statusCode !== 200) return;
      setTimeout(() => void this.#get(last).catch(() => {}), 20);
    });
  }

  #fields(): object {
    return this.#session === undefined ? {} : { "mcp-session-id": this.#session, "mcp-protocol-version": "2025-11-25" };
  }
}

export class LegacySse implements LegacyWire {
  readonly #http: Http;
  readonly #url: string;
  #endpoint = "";

  /** @param endpoint with the URL of its event stream */
  constructor(endpoint: Endpoint) {
    this.#http = new Http(endpoint);
    this.#url = endpoint.url;
  }

  async open(taker: LegacyTaker): Promise<void> {
    const answer = await this.#http.send("GET", undefined);
    await new Promise<void>((resolve, reject) => {
      const event = (name: string, data: string) => {
        if (name !== "endpoint") return;
        this.#endpoint = new URL(data, this.#url).href;
        resolve();
      };
      void readMessages(answer, (raw) => taker.hear(raw), event).then((how) => reject(new Error(how)));
    });
  }

  request(raw: string): void {
    this.tell(raw).catch(() => {});
  }

  async tell(raw: string): Promise<void> {
    const answer = await this.#http.send("POST", raw, {}, undefined, this.#endpoint);
    const how = await readMessages(answer, () => {});
    if (answer.statusCode !== 202) throw new Error(`not accepted: ${how}`);
  }

  async listen(): Promise<void> {}

  async close(): Promise<void> {
    this.#http.close();
  }
}

export class ModernHttp implements ModernWire {
  readonly #http: Http;

  constructor(endpoint: Endpoint) {
    this.#http = new Http(endpoint);
  }

  request(raw: string, hear: (raw: string) => void, ended: (how: string) => void): () => void {
    const { method, params = {} } = JSON.parse(raw) as Wire;
    const name = method === "resources/read" ? params.uri : params.name;
    const { region } = (params.arguments ?? {}) as { region?: string };
    const fields = {
      "mcp-protocol-version": "2026-07-28",
      "mcp-method": method,
      ...(name !== undefined && { "mcp-name": mirror(String(name)) }),
      ...(region !== undefined && { "mcp-param-region": mirror(region) }),
    };
    let sent: { destroy(): void } | undefined;
    const answered = this.#http.send("POST", raw, fields, (one) => (sent = one));
    answered.then((answer) => readMessages(answer, hear)).then(ended, (cause: unknown) => ended(String(cause)));
    return () => sent?.destroy();
  }

  async close(): Promise<void> {
    this.#http.close();
  }
}

/** MCP 2026-07-28, Standard Headers. */
function mirror(value: string): string {
  return /^(?!=\?base64\?)[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(value)
    ? value
    : `=?base64?${Buffer.from(value).toString("base64")}?=`;
}
