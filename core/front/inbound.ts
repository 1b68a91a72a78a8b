/** A request as it came in: what hooks see of it before its body, and what the core reads it by. */
import { HeaderList } from "../headers.ts";
import { type PublicOrigin, isLocal, withoutPrefix } from "../public-url.ts";
import type { Awaitable, RequestHead } from "../types.ts";

/** Nothing is computed before it is asked for. A class, because getters of a literal cost a hidden class each time. */
export abstract class Inbound implements RequestHead {
  abstract readonly method: string;
  /** name, value, name, value … as they came; names in lower case. */
  abstract readonly fields: readonly string[];
  abstract readonly ip: string;
  /** Told once how the client's side of this request ended. `whole`: everything was handed to it. */
  onClosed: ((whole: boolean) => void) | undefined;
  /** It has ended. */
  isOver = false;
  readonly #origin: PublicOrigin;
  #prefix = "";
  #headers: Headers | undefined;
  #url: URL | undefined;

  constructor(origin: PublicOrigin) {
    this.#origin = origin;
  }

  /**
   * The posted body, whole.
   *
   * @param limit in bytes
   * @throws ProxyError `BODY_TOO_LARGE`, `BODY_TIMEOUT`, `INVALID_HTTP` or `CLIENT_GONE`
   */
  abstract read(limit: number): Awaitable<Uint8Array>;
  /** The target as it stands on the request line. */
  protected abstract get line(): string;
  protected abstract get absoluteUrl(): string;

  /** As on the request line, but for the path prefix. */
  get target(): string {
    return this.#prefix === "" ? this.line : withoutPrefix(this.line, this.#prefix);
  }

  /** A copy: what a hook changes is not what is forwarded. */
  get headers(): Headers {
    return (this.#headers ??= new HeaderList([...this.fields]));
  }
  get url(): URL {
    return (this.#url ??= this.#readUrl());
  }
  get local(): boolean {
    return isLocal(this);
  }
  get publicUrl(): string {
    return this.#origin.of(this);
  }

  /** Takes the path prefix of the public URL away, if a proxy in front has left it. Before anybody has asked for the URL. */
  dropPrefix(prefix: string): void {
    if (withoutPrefix(this.line, prefix) !== this.line) this.#prefix = prefix;
  }

  /** The client's side is over. @param whole everything was handed to it */
  closed(whole: boolean): void {
    if (this.isOver) return;
    this.isOver = true;
    this.onClosed?.(whole);
  }

  /** The value of a field; of several the values, joined (RFC 9110 §5.3). */
  field(name: string): string | undefined {
    const { fields } = this;
    let found: string | undefined;
    for (let i = 0; i < fields.length; i += 2)
      if (fields[i] === name) found = found === undefined ? fields[i + 1]! : `${found}, ${fields[i + 1]}`;
    return found;
  }

  #readUrl(): URL {
    const url = new URL(this.absoluteUrl);
    if (this.#prefix !== "") url.pathname = withoutPrefix(url.pathname, this.#prefix);
    return url;
  }
}
