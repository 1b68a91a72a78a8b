/** What all clients have in common, whichever era they are of. */
import type { Ledger } from "../ledger.ts";
import type { Level, List } from "../plan.ts";
import { NONCE } from "../plan.ts";
import type { Wire } from "../server/messages.ts";
import type { Asked } from "./asked.ts";

export abstract class ScriptedClient {
  readonly index: number;
  readonly ledger: Ledger;
  readonly calls = new Map<string, Asked>();
  /** Notifications that belong to no request: their method, and what resource. */
  readonly news: string[] = [];
  /** URIs that it is told about, and all that it ever was. */
  readonly subscribed = new Set<string>();
  readonly everSubscribed = new Set<string>();
  /** Least level of log messages that it wants. */
  level: Level | undefined;
  gone = false;
  /** It listens for changes of lists, where its era makes that a choice. */
  wantsChanges = false;

  constructor(index: number, ledger: Ledger) {
    this.index = index;
    this.ledger = ledger;
  }

  abstract open(): Promise<void>;
  abstract start(asked: Asked): void;
  abstract cancel(asked: Asked): void;
  /** @returns false where this kind of client cannot */
  abstract lose(asked: Asked): Promise<boolean>;
  abstract list(method: List): Promise<void>;
  abstract setLevel(level: Level): Promise<void>;
  abstract subscribe(uri: string): Promise<void>;
  abstract unsubscribe(uri: string): Promise<void>;
  /** @param well what is under way may come to its end */
  abstract leave(well: boolean): Promise<void>;

  note(text: string): void {
    this.ledger.note(`client ${this.index}: ${text}`);
  }

  violation(text: string): void {
    this.ledger.violation(`client ${this.index}: ${text}`);
  }

  /** Nothing of another client may come here. */
  protected read(raw: string): Wire {
    for (const [, owner] of raw.matchAll(NONCE))
      if (Number(owner) !== this.index) this.violation(`got what belongs to client ${owner}: ${raw.slice(0, 300)}`);
    return JSON.parse(raw) as Wire;
  }

  /** A notification. @param own the call whose stream it came on, where there is such a thing */
  protected notified({ method, params = {} }: Wire, raw: string, own: Asked | undefined): void {
    if (method === "notifications/progress") return this.#progress(params, own);
    if (method === "notifications/message") {
      const nonce = /call\dx\d+/.exec(raw)?.[0];
      const asked = nonce === undefined ? undefined : this.calls.get(nonce);
      if (!asked) return this.violation(`a log message of nothing: ${raw}`);
      asked.logs.push(String(params.level));
      if (asked.finals.length > 0 && own && !asked.cancelled)
        this.violation(`a log message after the response of ${nonce}`);
      return;
    }
    if (method === "notifications/resources/updated") this.news.push(`${method} ${String(params.uri)}`);
    else if (/^notifications\/(?:tools|prompts|resources)\/list_changed$/.test(method!)) this.news.push(method!);
    else if (method !== "notifications/cancelled") this.violation(`an unknown notification: ${raw}`);
    this.note(`heard ${method} ${String(params.uri ?? "")}`);
  }

  #progress({ progressToken, progress }: Record<string, unknown>, own: Asked | undefined): void {
    const asked = [...this.calls.values()].find(({ ids }) => ids.some((id) => tokenOf(id) === progressToken));
    if (!asked) return this.violation(`progress of nothing: ${String(progressToken)}`);
    const { nonce } = asked.call;
    if (own && own !== asked) this.violation(`progress of ${nonce} came on the stream of ${own.call.nonce}`);
    if (!asked.call.progress) this.violation(`progress of ${nonce}, which wanted none`);
    if (asked.finals.length > 0 && !asked.cancelled) this.violation(`progress after the response of ${nonce}`);
    if ((progress as number) <= (asked.progress.at(-1) ?? -1)) this.violation(`progress of ${nonce} does not increase`);
    asked.progress.push(progress as number);
  }

  /** The one response of a call. */
  protected finished(asked: Asked, raw: string, message: Wire): void {
    const { nonce } = asked.call;
    if (asked.finals.length > 0) this.violation(`a second response of ${nonce}: ${raw.slice(0, 300)}`);
    if (asked.cut !== undefined) this.violation(`a response of ${nonce} after its end`);
    asked.finals.push({ raw, message });
    this.note(`${nonce} is answered ${raw.slice(0, 160)}`);
  }
}

/** SDKs use the id of a request as its token. */
export function tokenOf(id: unknown): unknown {
  return id;
}
