/** What is sent over a session with a legacy server, by clients and by the proxy itself. */
import {
  type Answer,
  type Call,
  type Json,
  type Message,
  type Next,
  type Outline,
  ProxyError,
  type RequestTimeouts,
  type UpstreamRequest,
  ask,
  discard,
  isRecord,
} from "../../../core/index.ts";
import { VERSION_FIELD, ownFields } from "../../_session-handshake.ts";
import { Lease } from "../../_session-lease.ts";
import type { Leases } from "./leases.ts";
import { LEVELS } from "./requests.ts";

/** A client's request on its way. */
export interface Sent {
  body: Buffer;
  method: string;
  id: number;
  /** Of the client's request, as far as they go on. */
  fields: Headers;
  timeouts: RequestTimeouts;
  /** The way to the server. */
  next: Next;
}

/** What the proxy says by itself has this long, in milliseconds. */
const ASIDE_MS = 30_000;
const POSTED = { "content-type": "application/json", accept: "application/json, text/event-stream" };

export abstract class LeaseWire extends Lease<Leases> {
  /** The result of `initialize`. */
  abstract result: Json;
  #lastId = 0;
  /** What its server was told: an index of {@link LEVELS}. */
  #level: number = LEVELS.length;
  #leveled: Promise<unknown> = Promise.resolve();

  /** What the server declared. */
  get capabilities(): Json {
    return isRecord(this.result.capabilities) ? this.result.capabilities : {};
  }

  /** An id that no other request of this session has. */
  nextId(): number {
    return ++this.#lastId;
  }

  /**
   * A request of the proxy's own.
   *
   * @param limit of the answer, in bytes @returns the response, errors included @throws ProxyError where there is none
   */
  async request(method: string, params?: Json, limit?: number): Promise<Message> {
    const message: Message = { jsonrpc: "2.0", id: this.nextId(), method, ...(params && { params }) };
    const outline: Outline = { kind: "request", method, idText: String(message.id) };
    const send: Call = ({ body = null, signal }) => this.#post(body, signal!, outline);
    const { response, status } = await ask(send, {
      message,
      signal: AbortSignal.timeout(ASIDE_MS),
      ...(limit && { limit }),
    });
    if (response) return response;
    const { server } = this.sessions.mount;
    throw new ProxyError("UPSTREAM_INVALID", { server, detail: `HTTP ${status} without a response to ${method}` });
  }

  /** Sends a notification or a response. @throws ProxyError when it did not arrive */
  async post(body: Buffer | Message, kind: "notification" | "response", method?: string): Promise<void> {
    const signal = AbortSignal.timeout(ASIDE_MS);
    const outline: Outline = { kind, method, idText: undefined };
    const answer = await this.#post(body, signal, outline);
    discard(answer);
    if (answer.status < 300) return;
    const { server } = this.sessions.mount;
    throw new ProxyError("UPSTREAM_INVALID", { server, detail: `a ${kind} was answered with HTTP ${answer.status}` });
  }

  /** Sends a client's request. @throws ProxyError */
  sendCall({ body, method, id, fields, timeouts, next }: Sent, signal: AbortSignal): Promise<Answer> {
    const request: UpstreamRequest = { method: "POST", headers: ownFields(fields, POSTED), body, signal, timeouts };
    return this.send(request, this.#by(next), { kind: "request", method, idText: String(id) });
  }

  /** Opens a stream, or goes on with one. @throws ProxyError */
  openStream(lastEventId: string | undefined, signal: AbortSignal): Promise<Answer> {
    const headers = ownFields(this.fields, { "last-event-id": lastEventId, accept: "text/event-stream" });
    return this.send({ method: "GET", headers, body: null, signal }, this.#by(this.call), undefined);
  }

  /** Makes the server send log messages of this level, if it sends any. @param level as in RFC 5424 */
  async wantLevel(level: string): Promise<void> {
    const wanted = LEVELS.indexOf(level);
    if (!isRecord(this.capabilities.logging) || wanted === -1) return;
    if (wanted < this.#level) {
      this.#level = wanted;
      // Without it there are fewer lines, or none: the call is more than they are.
      this.#leveled = this.request("logging/setLevel", { level }).catch(() => {});
    }
    await this.#leveled;
  }

  /** Answers a question. Nobody waits for it to arrive. */
  answer(response: Buffer): void {
    const { log, mount } = this.sessions;
    this.post(response, "response").catch((cause: unknown) =>
      log.debug(() => `${mount.server}: an answer to its question did not arrive (${String(cause)})`),
    );
  }

  protected forgetLevel(): void {
    this.#level = LEVELS.length;
  }

  /** @param way the client's own, or that of the proxy's calls; the version may be another one when a request is sent again */
  #by(way: Next): Next {
    return (request) => {
      request.headers.set(VERSION_FIELD, this.client.version);
      return way(request);
    };
  }

  #post(body: UpstreamRequest["body"], signal: AbortSignal, outline: Outline): Promise<Answer> {
    return this.send(
      { method: "POST", headers: ownFields(this.fields, POSTED), body, signal },
      this.#by(this.call),
      outline,
    );
  }
}
