/** What hooks see of a request before its body; nothing is computed before it is asked for. */
import type { ServerRequest } from "srvx";
import { type PublicOrigin, isLocal } from "../public-url.ts";
import type { RequestHead } from "../types.ts";

/** A class, because getters of a literal cost a hidden class each time. */
export class Head implements RequestHead {
  readonly #request: ServerRequest;
  readonly #origin: PublicOrigin;
  #url: URL | undefined;

  constructor(request: ServerRequest, origin: PublicOrigin) {
    this.#request = request;
    this.#origin = origin;
  }
  get method(): string {
    return this.#request.method;
  }
  get headers(): Headers {
    return this.#request.headers;
  }
  get url(): URL {
    return (this.#url ??= new URL(this.#request.url));
  }
  get ip(): string {
    return this.#request.ip ?? "";
  }
  get local(): boolean {
    return isLocal(this);
  }
  get publicUrl(): string {
    return this.#origin.of(this);
  }
}
