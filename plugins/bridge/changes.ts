/**
 * Which changes a client wants to be told about, as `subscriptions/listen` names them (MCP 2026-07-28, Subscriptions). The
 * notifications themselves are the same in both eras; in the later one each names the subscription that it belongs to.
 */
import { type Json, JsonObject, META, isRecord } from "../../core/index.ts";
import type { ServerMessage } from "./messages.ts";

export const SUBSCRIPTION_ID: string = `${META}subscriptionId`;
export const ACKNOWLEDGED = "notifications/subscriptions/acknowledged";
export const UPDATED = "notifications/resources/updated";

/** By the name of its wish: the capability that a server declares, and what it says then. */
const LISTS = {
  toolsListChanged: { capability: "tools", method: "notifications/tools/list_changed" },
  promptsListChanged: { capability: "prompts", method: "notifications/prompts/list_changed" },
  resourcesListChanged: { capability: "resources", method: "notifications/resources/list_changed" },
} as const;
type List = keyof typeof LISTS;
const NAMES = Object.keys(LISTS) as List[];

export class ChangeFilter {
  readonly lists: readonly List[];
  readonly uris: readonly string[];

  constructor(lists: readonly List[], uris: readonly string[]) {
    this.lists = lists;
    this.uris = uris;
  }

  /** All lists that a server tells about. */
  static ofServer(capabilities: Json): ChangeFilter {
    return new ChangeFilter(
      NAMES.filter((name) => declares(capabilities, LISTS[name].capability, "listChanged")),
      [],
    );
  }

  /** @param value of `notifications`, as a client or a server wrote it @returns nothing where it is none */
  static read(value: unknown): ChangeFilter | undefined {
    if (!isRecord(value)) return undefined;
    const { resourceSubscriptions: uris = [] } = value;
    if (!Array.isArray(uris) || !uris.every((uri) => typeof uri === "string")) return undefined;
    if (NAMES.some((name) => !["boolean", "undefined"].includes(typeof value[name]))) return undefined;
    return new ChangeFilter(
      NAMES.filter((name) => value[name] === true),
      [...new Set(uris as string[])],
    );
  }

  get isEmpty(): boolean {
    return this.lists.length === 0 && this.uris.length === 0;
  }

  /** What is left of it with a server that can do no more than it declares. */
  within(capabilities: Json): ChangeFilter {
    const { lists } = ChangeFilter.ofServer(capabilities);
    return new ChangeFilter(
      this.lists.filter((name) => lists.includes(name)),
      takesSubscriptions(capabilities) ? this.uris : [],
    );
  }

  with(uris: readonly string[]): ChangeFilter {
    return new ChangeFilter(this.lists, uris);
  }

  asks(other: ChangeFilter): boolean {
    return this.uris.length === other.uris.length && other.uris.every((uri) => this.uris.includes(uri));
  }

  /** Whether a list's change is asked for. @param method of the notification */
  hasList(method: string): boolean {
    return this.lists.some((name) => LISTS[name].method === method);
  }

  /** "The URI may be a sub-resource of the one that was subscribed to" (MCP 2026-07-28, Subscriptions). */
  hasUri(uri: string): boolean {
    return this.uris.some(
      (own) => uri === own || (uri.startsWith(own) && /[/?#]/.test(`${own.at(-1)}${uri[own.length]}`)),
    );
  }

  /** One notification for each thing: what happened while nobody listened is not known. */
  all(): Buffer[] {
    return [
      ...this.lists.map((name) => ({ method: LISTS[name].method })),
      ...this.uris.map((uri) => ({ method: UPDATED, params: { uri } })),
    ].map((message) => Buffer.from(JSON.stringify({ jsonrpc: "2.0", ...message })));
  }

  toJSON(): Json {
    return {
      ...Object.fromEntries(this.lists.map((name) => [name, true])),
      ...(this.uris.length > 0 && { resourceSubscriptions: this.uris }),
    };
  }
}

/** Whether a server has `resources/subscribe`. */
export function takesSubscriptions(capabilities: Json): boolean {
  return declares(capabilities, "resources", "subscribe");
}

function declares(capabilities: Json, name: string, feature: string): boolean {
  const own = capabilities[name];
  return isRecord(own) && own[feature] === true;
}

/** A notification of a server that tells about a change. */
export function isChange({ kind, method }: ServerMessage): boolean {
  return kind === "notification" && (method === UPDATED || NAMES.some((name) => LISTS[name].method === method));
}

/** What a change is about: of two notifications about the same thing the later one says all. */
export function subjectOf({ method, message }: ServerMessage): string {
  const uri = message.params?.uri;
  return typeof uri === "string" ? `${method!} ${uri}` : method!;
}

/** The same notification for a subscription. @param idText of the request that opened it, as the client wrote it */
export function stamp(text: Buffer, idText: string): Buffer {
  const message = JsonObject.read(text)!;
  const params = message.object("params") ?? JsonObject.empty();
  const meta = params.object("_meta") ?? JsonObject.empty();
  return message.set("params", params.set("_meta", meta.set(SUBSCRIPTION_ID, idText))).toBytes();
}

/** The same notification for a client that knows nothing of subscriptions. */
export function unstamp(text: Buffer): Buffer {
  const message = JsonObject.read(text)!;
  const params = message.object("params");
  const meta = params?.object("_meta");
  if (!params || !meta?.has(SUBSCRIPTION_ID)) return text;
  if (meta.delete(SUBSCRIPTION_ID).keys.length > 0) params.set("_meta", meta);
  else params.delete("_meta");
  return (params.keys.length > 0 ? message.set("params", params) : message.delete("params")).toBytes();
}
