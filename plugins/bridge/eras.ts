/**
 * Which way a request goes: as it is, or through one of the two directions of the bridge (MCP 2026-07-28, Versioning, "Era
 * detection").
 *
 * A legacy request is sent as it is until the server refuses one as only a modern server does. A modern one waits until the server
 * was asked what it is: a legacy server may run it under other rules.
 */
import {
  type Answer,
  type Call,
  type Era,
  type Exchange,
  MODERN,
  type Next,
  type Probe,
  ProxyError,
  type UpstreamRequest,
  copyHeaders,
  fromResponse,
} from "../../core/index.ts";
import { type Discovery, readDiscovery } from "./era-discovery.ts";
import {
  isModernError,
  isOrdinary,
  isPlainlyLegacy,
  mayBeModernRefusal,
  namesModernOnly,
  readRefusal,
  sentBy,
} from "./era-evidence.ts";
import { eraKey } from "./era-key.ts";
import type { BridgeHost } from "./host.ts";
import { checkModernRequest } from "./modern-request.ts";
import { ParamMirrors } from "./param-mirrors.ts";
import { RequestStates } from "./request-state.ts";
import type { ModernClients } from "./to-legacy/modern-clients.ts";
import type { LegacyClients } from "./to-modern/legacy-clients.ts";

/** A process that is asked before it was ever used has this long to answer, in milliseconds: silence is an answer too. */
const STDIO_PATIENCE = 10_000;

/** The era of what is sent: a hook around the bridge may have something of its own to say. */
export function eraOfRequest(exchange: Exchange, request: UpstreamRequest): Era {
  if (request.method !== "POST") return "legacy";
  return exchange.client.era;
}

/** How a server of another era refuses a request, among other reasons. */
const REFUSED: ReadonlySet<number> = new Set([400, 404, 405]);

/** One request on its way. */
interface Going {
  readonly exchange: Exchange;
  readonly request: UpstreamRequest;
  readonly next: Next;
  /** Of the credential that it carries. */
  readonly key: string;
}

/** A client's own question is as good as the proxy's, unless the server must refuse it for what is wrong with it. */
function isGoodQuestion(exchange: Exchange, request: UpstreamRequest): boolean {
  if (sentBy(exchange, request).method !== "server/discover") return false;
  const { version, envelope, mirrors } = checkModernRequest(exchange, request);
  return version === MODERN && !envelope && !mirrors;
}

/** Decides for all requests of one mount. */
export class EraRouter {
  readonly #host: BridgeHost;
  readonly #toModern: LegacyClients;
  readonly #toLegacy: ModernClients;
  readonly #mirrors: ParamMirrors;
  readonly #states: RequestStates;

  constructor(host: BridgeHost, toModern: LegacyClients, toLegacy: ModernClients) {
    this.#host = host;
    this.#toModern = toModern;
    this.#toLegacy = toLegacy;
    this.#mirrors = new ParamMirrors(host);
    this.#states = new RequestStates(host);
  }

  /** @throws ProxyError */
  forward(exchange: Exchange, request: UpstreamRequest, next: Next): Promise<Answer> {
    const key = eraKey(this.#host.mount, exchange.principal, request.headers);
    if (typeof key === "string") return this.#route({ exchange, request, next, key });
    return key.then((key) => this.#route({ exchange, request, next, key }));
  }

  #route(going: Going): Promise<Answer> {
    const { eras } = this.#host;
    const { exchange, request, next } = going;
    if (exchange.origin === "probe") return this.#overhear(going);
    const era = eraOfRequest(exchange, request);
    const speaks = eras.speaks(era, going.key);
    if (eras.isFixed) return speaks ? this.#relay(era, going) : this.#bridge(era, going);
    if (eras.isOld(going.key)) eras.refresh(this.#callOf(exchange, request), going.key);
    if (speaks === false) return this.#bridge(era, going);
    if (era === "modern") return speaks ? this.#relayModern(going) : this.#askFirst(going);
    return next(request).then((answer) =>
      isOrdinary(answer, exchange, request) ? answer : this.#judge(going, answer),
    );
  }

  /** To a server of the same era. */
  async #relay(era: Era, { exchange, request, next }: Going): Promise<Answer> {
    if (era === "legacy") return next(request);
    // A server that speaks over its standard input sees no header field: here they are looked at, or nowhere.
    if (this.#host.mount.transport === "stdio" && !exchange.request.stdio) {
      const { envelope, mirrors, message } = checkModernRequest(exchange, request);
      const refusal = envelope ?? mirrors;
      if (refusal) throw refusal;
      if (message.method === "tools/call") await this.#mirrors.check(exchange, request, next);
    }
    const mirroring: Next = (sent) => this.#mirrors.send(exchange, sent, next);
    return this.#states.relay(exchange, request, this.#mirrors.isFor(exchange, request) ? mirroring : next);
  }

  #bridge(era: Era, going: Going): Promise<Answer> {
    const { exchange, request, next } = going;
    return era === "legacy"
      ? this.#toModern.forward(exchange, request, (sent) =>
          next(sent).then((answer) => this.#doubt(going, sent, answer)),
        )
      : this.#toLegacy.forward(exchange, request, next);
  }

  /**
   * A modern request that was made of a legacy one is refused in words that no modern server uses: the server may be another one by
   * now. This request is lost; it is asked before the next ones.
   */
  async #doubt({ exchange, request, key }: Going, sent: UpstreamRequest, answer: Answer): Promise<Answer> {
    const { eras } = this.#host;
    if (!REFUSED.has(answer.status) || !eras.mayDoubt(key)) return answer;
    const refusal = await readRefusal(answer, { ...sentBy(exchange, request), isRequest: true });
    if (!refusal || isModernError(refusal)) return refusal?.answer ?? answer;
    void eras.probe("legacy", this.#callOf(exchange, sent), key);
    return refusal.answer;
  }

  /** The answer to a legacy request may say that the server is of another era. Then it has done nothing with it. */
  async #judge(going: Going, answer: Answer): Promise<Answer> {
    const { eras } = this.#host;
    const { exchange, request, key } = going;
    const refusal = await readRefusal(answer, sentBy(exchange, request));
    if (!refusal) return answer;
    if (answer.status < 400 && !refusal.error) {
      eras.learn("legacy", true, key);
      return refusal.answer;
    }
    if (namesModernOnly(refusal) && isPlainlyLegacy(exchange, request)) {
      eras.learn("legacy", false, key);
      eras.learn("modern", true, key);
    } else if (mayBeModernRefusal(refusal, eras.speaks("legacy", key)) && eras.mayDoubt(key))
      await eras.probe("legacy", this.#callOf(exchange, request), key);
    return eras.speaks("legacy", key) === false ? this.#bridge("legacy", going) : refusal.answer;
  }

  /** A server that was modern may have become another one: it refuses then, in words that no modern server uses. */
  #relayModern(going: Going): Promise<Answer> {
    const { exchange, request, key } = going;
    return this.#relay("modern", going).then(async (answer) => {
      if (!REFUSED.has(answer.status)) return answer;
      const refusal = await readRefusal(answer, sentBy(exchange, request));
      if (!refusal || isModernError(refusal) || !this.#host.eras.mayDoubt(key)) return refusal?.answer ?? answer;
      const { verdict } = await this.#host.eras.probe("modern", this.#callOf(exchange, request), key);
      return verdict === "legacy" ? this.#bridge("modern", going) : refusal.answer;
    });
  }

  /** No modern request goes to a server that was not asked what it is. */
  async #askFirst(going: Going): Promise<Answer> {
    const { eras } = this.#host;
    const { exchange, request, key } = going;
    let isGone = false;
    exchange.whenLeft(request, () => (isGone = true));
    const running = eras.asking("modern", key);
    // Its client may leave, and then the question was not answered for others.
    let probe = await running;
    if (!running && isGoodQuestion(exchange, request)) {
      const { answer, probe } = await this.#discover(going);
      return probe.verdict === "legacy" ? this.#bridge("modern", going) : answer;
    }
    if (probe === undefined || (probe.verdict === "down" && probe.reason === undefined))
      probe = await eras.probe("modern", this.#callOf(exchange, request), key);
    if (isGone) throw new ProxyError("CLIENT_GONE");
    const speaks = eras.speaks("modern", key);
    if (speaks === undefined) return this.#unanswered(going, probe);
    return speaks ? this.#relay("modern", going) : this.#bridge("modern", going);
  }

  /** The client's own question is the probe: the server is asked once. */
  #discover(going: Going): Promise<Discovery> {
    const { request, next, key } = going;
    const { transport } = this.#host.mount;
    const limited = transport === "stdio" ? { ...request, timeouts: { headers: STDIO_PATIENCE } } : request;
    const found = next(limited).then((answer) => readDiscovery(answer, transport));
    this.#host.eras.lend(
      found.then(({ probe }) => probe),
      key,
    );
    return found;
  }

  /** What others ask to find out what the server is need not be asked again. */
  #overhear(going: Going): Promise<Answer> {
    const { exchange, request, next, key } = going;
    const { eras } = this.#host;
    if (eras.isFixed || eras.asking("modern", key) || sentBy(exchange, request).method !== "server/discover")
      return next(request);
    return this.#discover(going).then(({ answer }) => answer);
  }

  /** There is no answer to "which era": the client gets what the server said to that, or why it said nothing. */
  async #unanswered({ exchange, request }: Going, { verdict, reason, refusal, error: cause }: Probe): Promise<Answer> {
    const { server } = this.#host.mount;
    if (cause) throw cause;
    if (!refusal) throw new ProxyError("UPSTREAM_UNREACHABLE", { server, detail: reason });
    const { status, headers } = refusal;
    // What the server said to another question is no MCP answer to this one; a page with 200 is none at all.
    if (status < 400) throw new ProxyError("UPSTREAM_INVALID", { server, detail: reason });
    const kept = ["www-authenticate", "retry-after"].flatMap((name) => {
      const value = headers.get(name);
      return value === null ? [] : [[name, value] as [string, string]];
    });
    const message = `Server '${server}' answered with HTTP ${status} when it was asked which protocol revision it speaks${verdict === "busy" ? ": try again later" : ""}.`;
    const { posted, message: sent } = exchange;
    // The text keeps numbers beyond 2^53.
    const id = sentBy(exchange, request).isRequest ? (posted?.idText ?? JSON.stringify(sent?.id)) : "null";
    const error = JSON.stringify({ code: -32603, message });
    const text = `{"jsonrpc":"2.0","id":${id},"error":${error}}`;
    return fromResponse(new Response(text, { status, headers: [["content-type", "application/json"], ...kept] }));
  }

  /** A question of the proxy's own on behalf of the caller, with the same credential. */
  #callOf({ principal }: Exchange, request: UpstreamRequest): Call {
    const { app, mount } = this.#host;
    const authorization = mount.auth === "passthrough" ? request.headers.get("authorization") : null;
    const timeouts = mount.transport === "stdio" ? { headers: STDIO_PATIENCE } : undefined;
    return (asked) => {
      const headers = copyHeaders(asked.headers);
      if (authorization !== null) headers.set("authorization", authorization);
      return app.call(mount, { ...asked, headers, timeouts }, { principal, reason: "which era", probe: true });
    };
  }
}
