/** Reads one JSON-RPC text on its way down, shows it to the message hooks, and says what goes on instead. */
import { ProxyError } from "../errors.ts";
import type { Awaitable, Kind, Message } from "../types.ts";
import { findIdText } from "./id-text.ts";
import { fold } from "./keys.ts";
import { isRecord, kindOf, writeMessage } from "./message.ts";
import { scan } from "./scan.ts";

/** Shows one message to the hooks. Returns nothing when it may pass as it is. */
export type ShowMessage = (message: Message, kind: Kind) => Awaitable<readonly Message[] | undefined>;

/** Levels that an answer may have: no client is sure to follow further. */
const MAX_DEPTH = 1000;
const ENVELOPE: ReadonlySet<string> = new Set(["jsonrpc", "id", "method", "params", "result", "error"]);

export class MessageReader {
  readonly wants: Readonly<Record<Kind, boolean>>;
  readonly #show: ShowMessage;
  /** Of the text being read: what `JSON.parse` made of each id, and how it stood there. */
  readonly #idTexts = new Map<unknown, string>();
  /** A response went by: the client has what it waited for. */
  responded = false;

  constructor(wants: Readonly<Record<Kind, boolean>>, show: ShowMessage) {
    this.wants = wants;
    this.#show = show;
  }

  /** The id as it stood in the text that was read last, also for a message that a hook made from the one read. */
  idText(message: Message): string | undefined {
    return this.#idTexts.get(message.id);
  }

  /**
   * @param text one JSON-RPC message, or a batch of them (2025-03-26 servers may send one)
   * @returns the messages to write instead; nothing when the bytes may pass
   * @throws ProxyError `UPSTREAM_INVALID` when it could be read as something else than what the hooks see
   */
  read(text: string): Awaitable<readonly Message[] | undefined> {
    const json = parse(text);
    this.#idTexts.clear();
    if (!Array.isArray(json)) return this.#one(json, text);
    // The batch is shown message by message; texts of ids beyond 2^53 are lost with it.
    const results = json.map((element) =>
      isRecord(element) ? this.#one(element, JSON.stringify(element)) : undefined,
    );
    const merge = (all: readonly (readonly Message[] | undefined)[]) =>
      all.every((result) => result === undefined)
        ? undefined
        : all.flatMap((result, i) => result ?? (json[i] as Message));
    return results.some((result) => result instanceof Promise)
      ? Promise.all(results).then(merge)
      : merge(results as (readonly Message[] | undefined)[]);
  }

  #one(json: unknown, text: string): Awaitable<readonly Message[] | undefined> {
    if (!isRecord(json)) return undefined;
    const message = json as unknown as Message;
    for (const key in json) {
      // A client whose parser ignores case would take `Result` for `result`, and no hook has seen it.
      if (!ENVELOPE.has(key) && ENVELOPE.has(fold(key)))
        throw new ProxyError("UPSTREAM_INVALID", { detail: "a key of the envelope in another case" });
    }
    const kind = kindOf(message);
    if (kind === undefined) {
      if (message.method === undefined && message.result === undefined && message.error === undefined) return undefined;
      throw new ProxyError("UPSTREAM_INVALID", { detail: "a message with `method` beside `result` or `error`" });
    }
    if (!this.wants[kind]) {
      if (kind === "response") this.responded = true;
      return undefined;
    }
    const ambiguous = !this.#remember(message, text);
    const conclude = (result: readonly Message[] | undefined) => {
      if (kind === "response") this.responded = true;
      return result ?? (ambiguous ? [message] : undefined);
    };
    const result = this.#show(message, kind);
    return result instanceof Promise ? result.then((later) => conclude(later)) : conclude(result);
  }

  /** @returns false when another parser might read the text otherwise: then what the hooks saw is written anew. */
  #remember(message: Message, text: string): boolean {
    let idText: string | undefined;
    try {
      ({ idText } = scan(Buffer.from(text)));
      return true;
    } catch {
      idText = findIdText(text);
      return false;
    } finally {
      if (idText !== undefined) this.#idTexts.set(message.id, idText);
    }
  }

  /** Writes messages as the body of a JSON answer. */
  write(messages: readonly Message[]): Uint8Array {
    const texts = messages.map((message) => writeMessage(message, this.idText(message)));
    return Buffer.from(texts.length === 1 ? texts[0]! : `[${texts.join(",")}]`);
  }
}

function parse(text: string): unknown {
  if (isTooDeep(text)) throw new ProxyError("UPSTREAM_INVALID", { detail: "a message that is nested too deep" });
  try {
    // Clients strip a byte order mark before they parse; a hook must not miss what they see.
    return JSON.parse(text.charCodeAt(0) === 0xfeff ? text.slice(1) : text);
  } catch {
    throw new ProxyError("UPSTREAM_INVALID", { detail: "a message that is not JSON" });
  }
}

/** Whether brackets stand deeper within each other than `JSON.stringify` can follow; on Bun its failure takes a second. */
function isTooDeep(text: string): boolean {
  // A short text has no room for it.
  if (text.length < 2 * MAX_DEPTH) return false;
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x22) {
      at = stringEnd(text, at);
      if (at === -1) return false;
    } else if (code === 0x5b || code === 0x7b) {
      if (++depth > MAX_DEPTH) return true;
    } else if (code === 0x5d || code === 0x7d) depth--;
  }
  return false;
}

/** The quote that ends a string; -1 when none does. */
function stringEnd(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let escapes = end;
    while (text.charCodeAt(escapes - 1) === 0x5c) escapes--;
    if ((end - escapes) % 2 === 0) return end;
  }
  return -1;
}
