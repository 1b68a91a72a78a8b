/** What a client has told its server besides the handshake, and a session that is opened anew does not know. */
import type { Message } from "../core/index.ts";

/** Resources of one session whose subscriptions are said again, and how long their URIs may be: of more the oldest go. */
const MAX_URIS = 100;
const MAX_LENGTH = 2048;
const TOLD: ReadonlySet<string | undefined> = new Set([
  "logging/setLevel",
  "resources/subscribe",
  "resources/unsubscribe",
]);

/** Whether a request is about such a wish. */
export function isWish(method: string | undefined): boolean {
  return TOLD.has(method);
}

export class Wishes {
  #level: string | undefined;
  readonly #uris = new Set<string>();

  /** The server has taken this. */
  told({ method, params }: Message): void {
    if (method === "logging/setLevel") {
      if (typeof params?.level === "string" && params.level.length <= MAX_LENGTH) this.#level = params.level;
      return;
    }
    const uri = params?.uri;
    if (typeof uri !== "string" || uri.length > MAX_LENGTH) return;
    this.#uris.delete(uri);
    if (method !== "resources/subscribe") return;
    this.#uris.add(uri);
    if (this.#uris.size > MAX_URIS) this.#uris.delete(this.#uris.values().next().value!);
  }

  /** The same again, for another session. */
  messages(): Message[] {
    const level = this.#level === undefined ? [] : [{ method: "logging/setLevel", params: { level: this.#level } }];
    const subscriptions = [...this.#uris].map((uri) => ({ method: "resources/subscribe", params: { uri } }));
    return [...level, ...subscriptions].map((wish, i) => ({ jsonrpc: "2.0", id: `penstock-again-${i}`, ...wish }));
  }
}
