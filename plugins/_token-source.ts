/** One token: fetched once for all who want it, kept until shortly before its end, and asked for no more often than is of use. */
import { type ProxyError, isProxyError } from "../core/index.ts";
import type { TokenLife } from "./_oauth-client-options.ts";
import type { Issued, TokenFailure } from "./_token-answer.ts";

/** Times in milliseconds of `performance.now()`. */
interface Held {
  token: string;
  /** Another one is fetched from here on. */
  until: number;
  /** It is no longer valid. */
  end: number;
}

/** One failure may be chance: the second in a row is followed by a pause. */
const FREE_FAILURES = 1;
const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 30_000;
/** Of what a provider asks for. */
const LONGEST_WISH = 60_000;
/** New tokens because the server refused one: three at once, then one in so many milliseconds. */
const RENEWALS = 3;
const RENEWAL_EVERY = 10_000;

/** Leaves a provider in trouble alone for a while, which gets longer. Failures themselves are not kept: after the pause it is asked. */
export class Backoff {
  readonly #failure: TokenFailure;
  #failures = 0;
  #until = 0;
  #last: ProxyError | undefined;

  constructor(failure: TokenFailure) {
    this.#failure = failure;
  }

  /**
   * @param counts which failures do
   * @throws ProxyError as `work` does; during a pause the last failure, with the time to wait
   */
  async run<T>(counts: (error: ProxyError) => boolean, work: () => Promise<T>): Promise<T> {
    const startedAt = performance.now();
    if (this.#last && startedAt < this.#until) throw this.#failure.again(this.#last, (this.#until - startedAt) / 1000);
    try {
      const found = await work();
      this.#failures = 0;
      return found;
    } catch (cause) {
      if (isProxyError(cause) && counts(cause)) this.#note(cause, startedAt);
      throw cause;
    }
  }

  /** Attempts that ran at the same time count as one. */
  #note(error: ProxyError, startedAt: number): void {
    if (startedAt < this.#until) return;
    this.#last = error;
    const wish = Math.min(Number(error.details.headers?.["retry-after"] ?? 0) * 1000, LONGEST_WISH);
    const step = this.#failures++ - FREE_FAILURES;
    const pause = step < 0 ? 0 : Math.min(FIRST_PAUSE * 2 ** step, LONGEST_PAUSE);
    this.#until = performance.now() + Math.max(wish, pause);
  }
}

export class TokenSource {
  readonly #life: TokenLife;
  readonly #fetch: () => Promise<Issued>;
  readonly #backoff: Backoff;
  #held: Held | undefined;
  #fetching: Promise<string> | undefined;
  #renewals = RENEWALS;
  #renewedAt = 0;

  /** @param fetch gets one; it has a limit in time of its own, and knows no caller */
  constructor(life: TokenLife, failure: TokenFailure, fetch: () => Promise<Issued>) {
    this.#life = life;
    this.#fetch = fetch;
    this.#backoff = new Backoff(failure);
  }

  /** A token that is good for a while. A caller that leaves ends nothing for the others. @throws ProxyError */
  get(): Promise<string> {
    const held = this.#held;
    if (held && performance.now() < held.until) return Promise.resolve(held.token);
    this.#fetching ??= this.#refresh().finally(() => (this.#fetching = undefined));
    return this.#fetching;
  }

  /**
   * The server has refused a token.
   *
   * @returns another one; nothing where a new one was had so often that it would be refused as well
   * @throws ProxyError
   */
  async renew(used: string): Promise<string | undefined> {
    if (this.#held?.token === used) {
      if (!this.#mayRenew()) return undefined;
      this.#held = undefined;
    } else if (this.#held === undefined && this.#fetching === undefined && !this.#mayRenew()) return undefined;
    return this.get();
  }

  async #refresh(): Promise<string> {
    // What a provider says counts from when it was asked, at the latest.
    const askedAt = performance.now();
    try {
      const { token, lifetime = this.#life.lifetime } = await this.#backoff.run(
        () => true,
        () => this.#fetch(),
      );
      const { margin, floor } = this.#life;
      const use = Math.min(lifetime, Math.max(lifetime - margin, floor));
      this.#held = lifetime > 0 ? { token, until: askedAt + use, end: askedAt + lifetime } : undefined;
      return token;
    } catch (cause) {
      const held = this.#held;
      // The margin is there for this: a provider that is down for a moment takes no server with it.
      if (held && performance.now() < held.end) return held.token;
      throw cause;
    }
  }

  #mayRenew(): boolean {
    const now = performance.now();
    const earned = Math.floor((now - this.#renewedAt) / RENEWAL_EVERY);
    if (earned > 0) {
      this.#renewals = Math.min(RENEWALS, this.#renewals + earned);
      this.#renewedAt = now;
    }
    if (this.#renewals === 0) return false;
    this.#renewals--;
    return true;
  }
}
