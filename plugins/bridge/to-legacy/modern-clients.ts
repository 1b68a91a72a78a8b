/**
 * Modern clients of a legacy server: towards the hooks around the bridge a server of 2026-07-28, towards the server a client with
 * sessions (MCP 2025-11-25 and before).
 */
import {
  type Answer,
  type Exchange,
  type Json,
  JsonObject,
  META,
  MODERN,
  type Message,
  type Next,
  type UpstreamRequest,
  empty,
} from "../../../core/index.ts";
import type { BridgeHost } from "../host.ts";
import { checkModernRequest } from "../modern-request.ts";
import { MAY_ASK } from "./asking.ts";
import { BridgedCall, type CallContext } from "./call.ts";
import { type Caller, callerOf, legacyFields } from "./caller.ts";
import { ClientSide } from "./client-side.ts";
import { discovered } from "./discover.ts";
import { errorAnswer } from "./errors.ts";
import { HandshakeRefused } from "./handshake.ts";
import type { ServerLease } from "./lease.ts";
import { Leases } from "./leases.ts";
import { Listening } from "./listening.ts";
import { ParkedCalls, bindingOf } from "./parked-calls.ts";
import { legacyRequest } from "./requests.ts";
import { ToolParams } from "./tool-params.ts";

/** MCP 2026-07-28, Changelog: methods that are no more; what is left of tasks is an extension. */
const GONE = /^(?:initialize|ping|logging\/setLevel|resources\/(?:un)?subscribe|tasks\/.*)$/;

/** A request of a client, checked. */
export interface ModernRequest {
  exchange: Exchange;
  request: UpstreamRequest;
  next: Next;
  message: Message;
  /** The same, member by member. */
  object: JsonObject;
  /** Its id, as it was posted. */
  idText: string;
}

export class ModernClients {
  readonly leases: Leases;
  readonly #host: BridgeHost;
  readonly #context: CallContext;
  readonly #listening: Listening;
  readonly #toolParams: ToolParams;

  constructor(host: BridgeHost) {
    this.#host = host;
    this.leases = new Leases(host);
    this.#listening = new Listening(host.mount.server);
    this.#toolParams = new ToolParams(host.app.log);
    this.#context = { ...host, log: host.app.log, parked: new ParkedCalls(host) };
  }

  /** @throws ProxyError */
  async forward(exchange: Exchange, request: UpstreamRequest, next: Next): Promise<Answer> {
    const { body } = request;
    // No server of that era looks at what this revision demands.
    const { message, version, envelope, mirrors } = checkModernRequest(exchange, request);
    if (envelope) throw envelope;
    const object = JsonObject.read(body instanceof Uint8Array ? body : Buffer.from(JSON.stringify(body)))!;
    // A number beyond 2^53 that was parsed for a hook is another one.
    const idText = body instanceof Uint8Array ? object.text("id")?.toString() : exchange.posted?.idText;
    if (version !== MODERN && idText !== undefined)
      return errorAnswer(idText, 400, {
        code: -32022,
        message: `Server '${this.#host.mount.server}' is reached here with ${MODERN}.`,
        data: { supported: [MODERN], requested: version },
      });
    if (mirrors) throw mirrors;
    // There is nothing that a client of this revision could tell a server over HTTP: the end of a stream cancels.
    if (idText === undefined) return empty(202);
    try {
      return await this.#serve({ exchange, request, next, message, object, idText });
    } catch (cause) {
      if (cause instanceof HandshakeRefused) return cause.answer(idText);
      throw cause;
    }
  }

  async #serve(asked: ModernRequest): Promise<Answer> {
    const { exchange, request, message, idText } = asked;
    const method = message.method!;
    if (GONE.test(method))
      return errorAnswer(idText, 404, { code: -32601, message: `${method} is no method of MCP ${MODERN}.` });
    const caller = callerOf(exchange, request);
    if (method === "server/discover")
      return discovered(idText, (await this.leases.get(caller, legacyFields(request))).result);
    if (method === "subscriptions/listen")
      return this.#listening.listen(idText, message.params?.notifications, () =>
        this.leases.get(caller, legacyFields(request)),
      );
    const state = message.params?.requestState;
    if (!MAY_ASK.has(method) || state === undefined) return this.#call(asked, caller);
    const parked = this.#context.parked.take(state, bindingOf(caller, this.#host.mount.server, message));
    const client = new ClientSide(this.#host, asked);
    void parked.retry(client, asked.object.object("params")?.object("inputResponses"));
    return client.answer;
  }

  async #call(asked: ModernRequest, caller: Caller): Promise<Answer> {
    const { exchange, request, next, message, object } = asked;
    const method = message.method!;
    const mayAsk = MAY_ASK.has(method);
    const fields = legacyFields(request);
    const level = object.object("params")?.object("_meta")?.value(`${META}logLevel`);
    const hears = typeof level === "string";
    const lease = mayAsk
      ? await this.leases.take(caller, fields, hears, (run) => exchange.whenLeft(request, run))
      : await this.leases.get(caller, fields);
    try {
      if (method === "tools/call") await this.#checkParams(lease, asked);
    } catch (cause) {
      lease.left();
      throw cause;
    }
    if (hears) await lease.wantLevel(level);
    const client = new ClientSide(this.#host, asked);
    const call = new BridgedCall(this.#context, lease, message);
    // The limit for all of it is the client's; a call that waits for answers begins anew with each of them.
    const { total: _total, ...timeouts } = request.timeouts ?? {};
    call.start({ body: legacyRequest(object, call.id, mayAsk), fields, timeouts, next }, client);
    return client.answer;
  }

  /** A client that has no header fields of its own mirrors nothing in them. */
  async #checkParams(lease: ServerLease, { exchange, request: { headers }, message, object }: ModernRequest) {
    if (exchange.request.stdio) return;
    const args = object.object("params")?.object("arguments");
    await this.#toolParams.check(lease, { name: message.params?.name, args, headers });
  }

  /** Called now and then: ends what is idle or too old. */
  look(): void {
    this.#context.parked.look();
    this.leases.look();
  }

  report(): Json {
    return {
      sessions: this.leases.size,
      renewed: this.leases.healed,
      parked: this.#context.parked.size,
      listening: this.#listening.size,
    };
  }

  close(): Promise<void> {
    this.#context.parked.close();
    this.#listening.close();
    return this.leases.close();
  }
}
