/** A client of 2026-07-28, whatever transport it has. */
import type { Ledger } from "../ledger.ts";
import type { Level, List } from "../plan.ts";
import { META, MODERN_VERSION, type Wire } from "../server/messages.ts";
import { type Asked, CLIENT_CAPABILITIES, answerTo, paramsText, questionIn } from "./asked.ts";
import { ScriptedClient, tokenOf } from "./client.ts";

export interface ModernWire {
  open?(): Promise<void>;
  /** @param hear takes each message of its answer @param ended how it ended @returns a function that cancels it */
  request(raw: string, hear: (raw: string) => void, ended: (how: string) => void): () => void;
  close(well: boolean): Promise<void>;
  /** What names no request. */
  onStray?: (raw: string) => void;
}

export class ModernClient extends ScriptedClient {
  readonly #wire: ModernWire;
  readonly #cancels = new Map<Asked, () => void>();
  readonly #listens = new Map<string, () => void>();
  #lastId = 0;

  constructor(index: number, ledger: Ledger, wire: ModernWire) {
    super(index, ledger);
    this.#wire = wire;
    wire.onStray = (raw) => !this.gone && this.notified(this.read(raw), raw, undefined);
  }

  async open(): Promise<void> {
    await this.#wire.open?.();
    const { result, error } = await this.#ask("server/discover", "");
    if (!(result?.supportedVersions as string[] | undefined)?.includes(MODERN_VERSION))
      throw new Error(`server/discover was answered ${JSON.stringify(error ?? result)}`);
    if (this.wantsChanges)
      await this.#listen("lists", { toolsListChanged: true, promptsListChanged: true, resourcesListChanged: true });
    this.note("is there");
  }

  start(asked: Asked): void {
    asked.level = this.level;
    this.calls.set(asked.call.nonce, asked);
    this.note(`calls ${asked.call.nonce}`);
    this.#round(asked, "");
  }

  cancel(asked: Asked): void {
    asked.cancelled = true;
    this.note(`cancels ${asked.call.nonce}`);
    this.#cancels.get(asked)?.();
  }

  async lose(): Promise<boolean> {
    return false;
  }

  async list(method: List): Promise<void> {
    const { result, error } = await this.#ask(method, "");
    const [, kind] = /^(\w+)\//.exec(method)!;
    if (!Array.isArray(result?.[kind!]) || result.resultType !== "complete")
      return this.violation(`${method} was answered ${JSON.stringify(error ?? result)}`);
    if (typeof result.ttlMs !== "number" || typeof result.cacheScope !== "string")
      this.violation(`${method} without caching hints: ${JSON.stringify(result)}`);
  }

  async setLevel(level: Level): Promise<void> {
    this.level = level;
  }

  async subscribe(uri: string): Promise<void> {
    if (this.#listens.has(uri)) return;
    await this.#listen(uri, { resourceSubscriptions: [uri] });
    this.subscribed.add(uri);
    this.everSubscribed.add(uri);
  }

  async unsubscribe(uri: string): Promise<void> {
    this.#listens.get(uri)?.();
    this.#listens.delete(uri);
    this.subscribed.delete(uri);
  }

  async leave(well: boolean): Promise<void> {
    this.note("leaves");
    this.gone = true;
    for (const asked of this.calls.values()) if (asked.finals.length === 0) asked.left = true;
    await this.#wire.close(well);
  }

  /** @param more members that a retry has beside those of the request */
  #round(asked: Asked, more: string): void {
    const id = ++this.#lastId;
    asked.ids.push(id);
    const meta = {
      ...(asked.call.progress && { progressToken: tokenOf(id) }),
      ...(this.level && { [`${META}logLevel`]: this.level }),
    };
    let over = false;
    const hear = (raw: string) => {
      if (this.gone) return;
      const message = this.read(raw);
      if (message.method !== undefined) {
        if (over) this.violation(`${message.method} after the response of ${asked.call.nonce}`);
        if (message.id !== undefined) return this.violation(`a request on a modern stream: ${raw}`);
        return this.notified(message, raw, asked);
      }
      if (message.id !== id)
        this.violation(`${asked.call.nonce}: the response of ${String(message.id)} in place of ${id}`);
      if (over) return this.violation(`a second response: ${raw}`);
      over = true;
      if (message.result?.resultType === "input_required") this.#inputRequired(asked, message);
      else {
        if (message.result && message.result.resultType !== "complete") this.violation(`no resultType: ${raw}`);
        this.finished(asked, raw, message);
      }
    };
    const ended = (how: string) => {
      if (over || this.gone || asked.cancelled) return;
      asked.cut = how;
      this.note(`the answer to ${asked.call.nonce} ended: ${how}`);
    };
    this.#cancels.set(asked, this.#send(id, asked.call.method, paramsText(asked.call) + more, meta, hear, ended));
  }

  #inputRequired(asked: Asked, { result }: Wire): void {
    const requests = (result!.inputRequests ?? {}) as Record<string, { method: string; params?: object }>;
    const state = result!.requestState === undefined ? "" : `,"requestState":${JSON.stringify(result!.requestState)}`;
    const responses: Record<string, object> = {};
    let held = false;
    for (const [key, { method, params }] of Object.entries(requests)) {
      const question = questionIn(asked, method, params);
      if (!question) {
        this.violation(`${asked.call.nonce} does not ask ${method} ${JSON.stringify(params)}`);
        continue;
      }
      if (JSON.stringify(params ?? {}).includes("elicitationId"))
        this.violation("an elicitationId on a modern connection");
      this.note(`is asked ${asked.call.nonce} ${question.key}`);
      asked.questions.set(question.key, (asked.questions.get(question.key) ?? 0) + 1);
      const answer = answerTo(asked, question);
      if (answer && "result" in answer) responses[key] = answer.result;
      else held = true;
    }
    this.ledger.note("");
    if (held || asked.cancelled || this.gone) return;
    this.#round(asked, `,"inputResponses":${JSON.stringify(responses)}${state}`);
  }

  async #ask(method: string, params: string): Promise<Wire> {
    let answer: Wire | undefined;
    const id = ++this.#lastId;
    this.note(`asks ${method}`);
    const hear = (raw: string) => {
      const message = this.read(raw);
      if (message.method === undefined) answer = message;
      this.ledger.note("");
    };
    this.#send(id, method, params, {}, hear, (how) => {
      answer ??= { jsonrpc: "2.0", error: { code: 0, message: how } };
      this.ledger.note("");
    });
    if (!(await this.ledger.until(() => answer !== undefined))) throw new Error(`no response to ${method}`);
    return answer!;
  }

  async #listen(name: string, filter: object): Promise<void> {
    const id = ++this.#lastId;
    let acknowledged = false;
    const hear = (raw: string) => {
      if (this.gone) return;
      const message = this.read(raw);
      if (message.method === undefined) return this.note(`its listen stream ended with ${raw}`);
      if (message.params?._meta?.[`${META}subscriptionId`] !== id) this.violation(`no subscription id: ${raw}`);
      if (message.method === "notifications/subscriptions/acknowledged") acknowledged = true;
      else if (!acknowledged) this.violation(`before the acknowledgement: ${raw}`);
      else this.notified(message, raw, undefined);
      this.ledger.note("");
    };
    const params = `"notifications":${JSON.stringify(filter)}`;
    const ended = (how: string) => this.note(`its listen stream ended: ${how}`);
    this.#listens.set(name, this.#send(id, "subscriptions/listen", params, {}, hear, ended));
    await this.ledger.expect(() => acknowledged, `the acknowledgement of a listen stream of client ${this.index}`);
  }

  #send(
    id: number,
    method: string,
    params: string,
    own: object,
    hear: (raw: string) => void,
    ended: (how: string) => void,
  ): () => void {
    const meta = {
      [`${META}protocolVersion`]: MODERN_VERSION,
      [`${META}clientCapabilities`]: CLIENT_CAPABILITIES,
      [`${META}clientInfo`]: { name: `client-${this.index}`, version: "1" },
      ...own,
    };
    const all = `${params}${params === "" ? "" : ","}"_meta":${JSON.stringify(meta)}`;
    return this.#wire.request(`{"jsonrpc":"2.0","id":${id},"method":"${method}","params":{${all}}}`, hear, ended);
  }
}
