/** What the proxy remembers of a legacy client, since its modern server remembers nothing: version, capabilities, log level, what is under way. */
import {
  type Answer,
  JsonObject,
  type JsonText,
  LATEST_LEGACY,
  type Principal,
  type UpstreamRequest,
} from "../../../core/index.ts";
import type { BridgeHost } from "../host.ts";
import { ClientAbilities } from "./abilities.ts";
import type { LegacyCall } from "./call.ts";
import type { Description } from "./discover.ts";
import { type Envelope, modernHeaders, modernParams, requestText } from "./envelope.ts";
import { Listening } from "./listening.ts";
import { OpenQuestions } from "./questions.ts";
import type { Services } from "./services.ts";

/** MCP 2025-11-25, Lifecycle, Version Negotiation. */
const VERSIONS: ReadonlySet<string> = new Set(["2024-11-05", "2025-03-26", "2025-06-18", LATEST_LEGACY]);

/** Whether a revision is one that opens with `initialize`. */
export function isLegacyVersion(version: string | null): boolean {
  return version !== null && VERSIONS.has(version);
}

/** What a session begins with. */
export interface SessionStart {
  principal: Principal;
  /** The revision that was agreed on. */
  version: string;
  /** `params` of `initialize`; nothing of who begins without. */
  params?: JsonObject;
}

export class LegacySession {
  readonly id: string = crypto.randomUUID();
  readonly services: Services;
  readonly principal: Principal;
  readonly version: string;
  /** What the server said of itself when the session began. */
  server: Description | undefined;
  readonly abilities: ClientAbilities;
  /** Asked of the client, and not answered yet. */
  readonly questions: OpenQuestions = new OpenQuestions();
  readonly listening: Listening;
  readonly #clientInfo: JsonText | undefined;
  /** Under way, by the text of the client's id. */
  readonly #calls = new Map<string, LegacyCall>();
  /** Of `logging/setLevel`. */
  level: string | undefined;
  /** Of the last request: what the proxy asks by itself bears the same credentials. */
  fields: Headers | undefined;
  /** `performance.now()` */
  usedAt: number = performance.now();
  ended = false;

  constructor(services: Services, { principal, version, params }: SessionStart) {
    this.services = services;
    this.principal = principal;
    this.version = version;
    this.abilities = new ClientAbilities(params?.object("capabilities"), version);
    this.#clientInfo = params?.object("clientInfo")?.toBytes();
    this.listening = new Listening(this);
  }

  get host(): BridgeHost {
    return this.services.host;
  }

  /** Something is under way: it is not idle. */
  get isBusy(): boolean {
    return this.#calls.size > 0 || this.listening.active;
  }

  get calls(): number {
    return this.#calls.size;
  }

  /** What each request of this client says of it. */
  get envelope(): Envelope {
    const logs = this.server?.capabilities.logging !== undefined;
    return {
      clientInfo: this.#clientInfo,
      capabilities: this.abilities.text,
      logLevel: logs ? this.level : undefined,
    };
  }

  /** A request of the proxy's own on behalf of this client, as a modern server wants it. @param params without an envelope */
  request(method: string, params: JsonObject, id: string): Partial<UpstreamRequest> {
    const complete = modernParams(JsonObject.empty().set("params", params), this.envelope);
    const headers = modernHeaders(this.fields, method, complete);
    return { method: "POST", headers, body: requestText(JSON.stringify(id), method, complete) };
  }

  /** Calls the server outside of an exchange: for what outlives one. @throws ProxyError */
  send(request: Partial<UpstreamRequest>, reason: string): Promise<Answer> {
    const { app, mount } = this.host;
    return app.call(mount, request, { principal: this.principal, reason });
  }

  /** @param idText of the client's request */
  begin(idText: string, call: LegacyCall): void {
    this.#calls.set(idText, call);
  }

  over(idText: string, call: LegacyCall): void {
    if (this.#calls.get(idText) === call) this.#calls.delete(idText);
    this.usedAt = performance.now();
  }

  /** `notifications/cancelled`. */
  cancel(idText: string): void {
    this.#calls.get(idText)?.cancel();
  }

  end(): void {
    this.ended = true;
    for (const call of this.#calls.values()) call.cancel();
    this.listening.end();
  }
}
