/** A client of 2025-11-25, whatever transport it has. */
import { type Level, type List, ROOTS } from "../plan.ts";
import { type Wire, text } from "../server/messages.ts";
import { type Asked, CLIENT_CAPABILITIES, answerTo, paramsText, questionIn } from "./asked.ts";
import { ScriptedClient, tokenOf } from "./client.ts";
import type { Ledger } from "../ledger.ts";

export interface LegacyTaker {
  /** @param on id of the request whose stream it came on, where there is such a thing */
  hear(raw: string, on?: number): void;
  /** The answer to a request is over. @param how `well`, or what was wrong */
  ended(on: number, how: string): void;
}

export interface LegacyWire {
  open(taker: LegacyTaker): Promise<void>;
  request(raw: string, id: number): void;
  /** A notification or a response. */
  tell(raw: string): Promise<void>;
  /** The handshake is over. */
  listen(): Promise<void>;
  /** Breaks the stream of a request, and opens it again behind what came. @returns whether the client can come back */
  lose?(id: number): Promise<boolean>;
  close(well: boolean): Promise<void>;
}

export class LegacyClient extends ScriptedClient {
  readonly #wire: LegacyWire;
  readonly #waiting = new Map<number, (message: Wire) => void>();
  readonly #byId = new Map<number, Asked>();
  readonly #answered = new Set<number>();
  readonly #questions = new Set<unknown>();
  #lastId = 0;

  constructor(index: number, ledger: Ledger, wire: LegacyWire) {
    super(index, ledger);
    this.#wire = wire;
  }

  async open(): Promise<void> {
    await this.#wire.open({
      hear: (raw, on) => this.#hear(raw, on),
      ended: (on, how) => this.#ended(on, how),
    });
    const clientInfo = { name: `client-${this.index}`, version: "1" };
    const params = { protocolVersion: "2025-11-25", capabilities: CLIENT_CAPABILITIES, clientInfo };
    const { result, error } = await this.#request("initialize", JSON.stringify(params).slice(1, -1));
    if (!result || !("serverInfo" in result) || !("protocolVersion" in result))
      throw new Error(`initialize was answered ${JSON.stringify(error ?? result)}`);
    await this.#wire.tell(text({ method: "notifications/initialized" }));
    await this.#wire.listen();
    this.note("is there");
  }

  start(asked: Asked): void {
    asked.level = this.level;
    this.calls.set(asked.call.nonce, asked);
    const id = ++this.#lastId;
    asked.ids.push(id);
    this.#byId.set(id, asked);
    const meta = asked.call.progress ? `,"_meta":{"progressToken":${JSON.stringify(tokenOf(id))}}` : "";
    this.note(`calls ${asked.call.nonce}`);
    this.#wire.request(requestText(id, asked.call.method, paramsText(asked.call) + meta), id);
  }

  cancel(asked: Asked): void {
    asked.cancelled = true;
    this.note(`cancels ${asked.call.nonce}`);
    const params = { requestId: asked.ids[0], reason: "changed its mind" };
    this.#wire.tell(text({ method: "notifications/cancelled", params })).catch((cause: unknown) => {
      if (!this.gone) this.violation(`its cancellation was refused: ${String(cause)}`);
    });
  }

  async lose(asked: Asked): Promise<boolean> {
    if (!this.#wire.lose) return false;
    this.note(`loses the stream of ${asked.call.nonce}`);
    asked.lost = "and back";
    if (!(await this.#wire.lose(asked.ids[0] as number))) asked.lost = "for good";
    return true;
  }

  async list(method: List): Promise<void> {
    const { result, error } = await this.#request(method, "");
    if (!result) return this.violation(`${method} was answered ${JSON.stringify(error)}`);
    const [, kind] = /^(\w+)\//.exec(method)!;
    if (!Array.isArray(result[kind!])) this.violation(`${method} was answered ${JSON.stringify(result)}`);
  }

  async setLevel(level: Level): Promise<void> {
    await this.#empty("logging/setLevel", { level });
    this.level = level;
  }

  async subscribe(uri: string): Promise<void> {
    await this.#empty("resources/subscribe", { uri });
    this.subscribed.add(uri);
    this.everSubscribed.add(uri);
  }

  async unsubscribe(uri: string): Promise<void> {
    await this.#empty("resources/unsubscribe", { uri });
    this.subscribed.delete(uri);
  }

  async leave(well: boolean): Promise<void> {
    this.note("leaves");
    this.gone = true;
    for (const asked of this.calls.values()) if (asked.finals.length === 0) asked.left = true;
    await this.#wire.close(well);
  }

  /** Clients of SDK v1 take nothing but `_meta` in an empty result. */
  async #empty(method: string, params: object): Promise<void> {
    const { result, error } = await this.#request(method, JSON.stringify(params).slice(1, -1));
    const keys = Object.keys(result ?? {}).filter((key) => key !== "_meta");
    if (!result || keys.length > 0) this.violation(`${method} was answered ${JSON.stringify(error ?? result)}`);
  }

  async #request(method: string, params: string): Promise<Wire> {
    const id = ++this.#lastId;
    const answer = new Promise<Wire>((resolve) => this.#waiting.set(id, resolve));
    this.note(`asks ${method}`);
    this.#wire.request(requestText(id, method, params), id);
    await this.ledger.until(() => this.#answered.has(id));
    if (!this.#answered.has(id)) throw new Error(`no response to ${method}`);
    return answer;
  }

  #hear(raw: string, on: number | undefined): void {
    if (this.gone) return;
    const message = this.read(raw);
    if (message.method !== undefined && message.id !== undefined) return this.#asked(message, raw);
    if (message.method !== undefined)
      return this.notified(message, raw, on === undefined ? undefined : this.#byId.get(on));
    const id = message.id as number;
    if (on !== undefined && on !== id) this.violation(`the response of ${id} came on the stream of ${on}`);
    const isKnown = this.#waiting.has(id) || this.#byId.has(id);
    if (!isKnown) return this.violation(`a response to nothing: ${raw}`);
    if (message.result && "resultType" in message.result) this.violation(`a result of another era: ${raw}`);
    if (this.#answered.has(id) && this.#waiting.has(id)) this.violation(`a second response: ${raw}`);
    this.#answered.add(id);
    this.#waiting.get(id)?.(message);
    const asked = this.#byId.get(id);
    if (asked) this.finished(asked, raw, message);
    this.ledger.note("");
  }

  #ended(on: number, how: string): void {
    if (this.gone || this.#answered.has(on)) return;
    const asked = this.#byId.get(on);
    if (asked) {
      if (asked.lost) return;
      asked.cut = how;
      this.note(`the answer to ${asked.call.nonce} ended: ${how}`);
    } else {
      this.#answered.add(on);
      this.#waiting.get(on)?.({ jsonrpc: "2.0", error: { code: 0, message: how } });
      this.ledger.note("");
    }
  }

  #asked({ id, method, params }: Wire, raw: string): void {
    if (method === "ping") return void this.#wire.tell(text({ id, result: {} })).catch(() => {});
    if (this.#questions.has(id)) return this.violation(`a question came twice: ${raw}`);
    this.#questions.add(id);
    // Roots name no call, and are the same for all.
    if (method === "roots/list") {
      const result = { roots: [{ uri: ROOTS(this.index) }] };
      return void this.#wire
        .tell(text({ id, result }))
        .catch((cause: unknown) => this.note(`its roots were refused: ${String(cause)}`));
    }
    const found = this.#whose(method!, params, raw);
    if (!found) return this.violation(`a question that no call of this client asks: ${raw}`);
    const { asked, question } = found;
    this.note(`is asked ${asked.call.nonce} ${question.key}`);
    asked.questions.set(question.key, (asked.questions.get(question.key) ?? 0) + 1);
    const answer = answerTo(asked, question);
    this.ledger.note("");
    if (answer && !asked.cancelled)
      this.#wire.tell(text({ id, ...answer })).catch((cause: unknown) => {
        if (!asked.disturbed && !this.gone)
          this.violation(`the answer to ${asked.call.nonce} ${question.key} was refused: ${String(cause)}`);
      });
  }

  #whose(method: string, params: unknown, raw: string) {
    const asked = this.calls.get(/call\dx\d+/.exec(raw)?.[0] ?? "");
    const question = asked && questionIn(asked, method, params);
    return question && { asked, question };
  }
}

function requestText(id: number, method: string, params: string): string {
  return `{"jsonrpc":"2.0","id":${id},"method":"${method}","params":{${params.replace(/^,/, "")}}}`;
}
