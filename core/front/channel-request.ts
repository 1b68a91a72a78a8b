/** What an exchange of a channel looks like from inside: the request of a Streamable HTTP client. */
import type { Incoming } from "../exchange-state.ts";
import { HeaderList } from "../headers.ts";
import type { Awaitable, RequestHead } from "../types.ts";

/** A request line and header fields, of whichever message told them last. */
export type ChannelHead = Pick<Incoming, "url" | "fields" | "ip" | "local" | "publicUrl" | "stdio">;

/** What this proxy says in place of the client. */
const OWN: ReadonlySet<string> = new Set(["accept", "mcp-session-id", "last-event-id", "content-length"]);
/** What belongs to one posted message, and to no request after it. */
const OF_A_BODY: ReadonlySet<string> = new Set([
  "content-type",
  "content-encoding",
  "expect",
  "mcp-method",
  "mcp-name",
  "transfer-encoding",
  "x-request-id",
]);

export class ChannelRequest implements Incoming, RequestHead {
  readonly method: string;
  readonly fields: readonly string[];
  readonly ip: string;
  readonly #head: ChannelHead;
  readonly #read: ((limit: number) => Awaitable<Uint8Array>) | undefined;
  #headers: Headers | undefined;
  #url: URL | undefined;

  /**
   * @param own fields in place of the client's: name, value, name, value … in lower case
   * @param read the posted body; without one there is none
   */
  constructor(method: string, head: ChannelHead, own: readonly string[], read?: Incoming["read"]) {
    this.method = method;
    this.ip = head.ip;
    this.#head = head;
    this.#read = read;
    const fields: string[] = [];
    const given = new Set(own.filter((_, i) => i % 2 === 0));
    for (let i = 0; i < head.fields.length; i += 2) {
      const name = head.fields[i]!;
      if (OWN.has(name) || given.has(name) || (!read && OF_A_BODY.has(name))) continue;
      fields.push(name, head.fields[i + 1]!);
    }
    this.fields = [...fields, ...own];
  }

  get headers(): Headers {
    return (this.#headers ??= new HeaderList([...this.fields]));
  }
  /** Without its query, where the id of the channel stands. */
  get url(): URL {
    if (!this.#url) {
      this.#url = new URL(this.#head.url);
      this.#url.search = "";
    }
    return this.#url;
  }
  get local(): boolean {
    return this.#head.local;
  }
  get publicUrl(): string {
    return this.#head.publicUrl;
  }
  get stdio(): boolean | undefined {
    return this.#head.stdio;
  }
  read(limit: number): Awaitable<Uint8Array> {
    return this.#read ? this.#read(limit) : new Uint8Array();
  }
}
