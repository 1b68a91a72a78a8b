/**
 * Modern clients of a legacy server: towards the hooks around the bridge a server of 2026-07-28, towards the server a client with
 * sessions (MCP 2025-11-25 and before).
 */
import {
  type Answer,
  type Exchange,
  type Json,
  JsonObject,
  MODERN,
  type Message,
  type Next,
  ProxyError,
  type UpstreamRequest,
  checkMirrors,
  decideEra,
  empty,
} from "../../../core/index.ts";
import type { BridgeHost } from "../host.ts";
import { callerOf, legacyFields } from "./caller.ts";
import { discovered } from "./discover.ts";
import { errorAnswer } from "./errors.ts";
import { HandshakeRefused } from "./handshake.ts";
import { Leases } from "./leases.ts";

/** MCP 2026-07-28, Changelog: methods that are no more; what is left of tasks is an extension. */
const GONE = /^(?:initialize|ping|logging\/setLevel|resources\/(?:un)?subscribe|tasks\/.*)$/;

/** A request of a client, checked. */
export interface ModernRequest {
  exchange: Exchange;
  request: UpstreamRequest;
  message: Message;
  /** The same, member by member. */
  object: JsonObject;
  /** Its id, as it was posted. */
  idText: string;
}

export class ModernClients {
  readonly leases: Leases;
  readonly #host: BridgeHost;

  constructor(host: BridgeHost) {
    this.#host = host;
    this.leases = new Leases(host);
  }

  /** @throws ProxyError */
  async forward(exchange: Exchange, request: UpstreamRequest, _next: Next): Promise<Answer> {
    const { body } = request;
    const message = body instanceof Uint8Array ? exchange.message! : body!;
    // No server of that era looks at what this revision demands.
    const { refusal, version } = decideEra("POST", request.headers, message);
    if (refusal) throw refusal;
    const object = JsonObject.read(body instanceof Uint8Array ? body : Buffer.from(JSON.stringify(body)))!;
    const idText = object.text("id")?.toString();
    if (version !== MODERN && idText !== undefined)
      return errorAnswer(idText, 400, {
        code: -32022,
        message: `Server '${this.#host.mount.server}' is reached here with ${MODERN}.`,
        data: { supported: [MODERN], requested: version },
      });
    checkMirrors([...request.headers].flat(), message, "modern");
    // There is nothing that a client of this revision could tell a server over HTTP: the end of a stream cancels.
    if (idText === undefined) return empty(202);
    try {
      return await this.#serve({ exchange, request, message, object, idText });
    } catch (cause) {
      if (cause instanceof HandshakeRefused) return cause.answer(idText);
      throw cause;
    }
  }

  async #serve({ exchange, request, message, idText }: ModernRequest): Promise<Answer> {
    const { method } = message;
    if (GONE.test(method!))
      return errorAnswer(idText, 404, { code: -32601, message: `${method} is no method of MCP ${MODERN}.` });
    const caller = callerOf(exchange, request);
    const fields = legacyFields(request);
    if (method === "server/discover") return discovered(idText, (await this.leases.get(caller, fields)).result);
    throw new ProxyError("INTERNAL", { server: this.#host.mount.server });
  }

  /** Called now and then: ends what is idle or too old. */
  look(): void {
    this.leases.look();
  }

  report(): Json {
    return { sessions: this.leases.size };
  }

  close(): Promise<void> {
    return this.leases.close();
  }
}
