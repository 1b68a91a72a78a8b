/** Whether a server keeps sessions. */
import { type Principal, isProxyError } from "../core/index.ts";
import type { Pool } from "./_session-pool.ts";

/** That a server needs no session is taken for granted this long, in milliseconds. */
const HORIZON = 600_000;
/** What could not be found out is not asked again for this long, in milliseconds. */
const PAUSE = 1000;
/** Answers that say nothing about sessions (RFC 9110 §15.5, RFC 8470, RFC 6585): log in first, or come back later. */
const INCONCLUSIVE: ReadonlySet<number> = new Set([401, 403, 408, 425, 429]);

export class Need {
  readonly #pool: Pool;
  #found: "unknown" | "none" | "required";
  #foundAt = 0;
  #pausedUntil = 0;
  #asking: Promise<void> | undefined;

  /** @param required known from the start */
  constructor(pool: Pool, required: boolean) {
    this.#pool = pool;
    this.#found = required ? "required" : "unknown";
  }

  get isKnown(): boolean {
    return this.#found !== "unknown";
  }
  /** As far as that is known. */
  get isRequired(): boolean {
    return this.#found === "required";
  }

  /** What an answer showed. */
  learn(required: boolean): void {
    if (this.isKnown) return;
    this.#found = required ? "required" : "none";
    this.#foundAt = performance.now();
  }

  /** A server without sessions refused something: it may be because there was none. */
  doubt(): void {
    if (this.#found === "none" && performance.now() - this.#foundAt > PAUSE) this.#found = "unknown";
  }

  /** Called now and then. */
  look(): void {
    if (this.#found === "none" && performance.now() - this.#foundAt > HORIZON) this.#found = "unknown";
  }

  /**
   * Finds out with a handshake, once for all who want to know. Where the server does not answer it stays unknown.
   *
   * @param fields of a client's request
   * @throws ProxyError when there is no answer in time, or no room for a session
   */
  ask(principal: Principal, fields: Headers): Promise<void> {
    if (this.isKnown || performance.now() < this.#pausedUntil) return Promise.resolve();
    return (this.#asking ??= this.#ask(principal, fields).finally(() => (this.#asking = undefined)));
  }

  async #ask(principal: Principal, fields: Headers): Promise<void> {
    try {
      const found = await this.#pool.lease(principal, fields);
      if (typeof found === "object") this.#pool.left(found);
      if (typeof found !== "number") return this.learn(found !== undefined);
      // Any other refusal comes from a server that knows no `initialize`.
      if (found < 500 && !INCONCLUSIVE.has(found)) return this.learn(false);
    } catch (cause) {
      // Otherwise the request finds out by itself.
      if (!isProxyError(cause) || !cause.code.startsWith("UPSTREAM_") || cause.code === "UPSTREAM_TIMEOUT") throw cause;
    }
    this.#pausedUntil = performance.now() + PAUSE;
  }
}
