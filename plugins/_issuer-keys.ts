/** The public keys of an authorization server (RFC 7517), kept, and fetched again in moderation. */
import { type JWTVerifyGetKey, createLocalJWKSet, errors } from "jose";
import { type GuardedFetch, type Logger, ProxyError, isProxyError } from "../core/index.ts";
import { issuerMetadata } from "./_issuer-metadata.ts";

/** After this long they are fetched again, while the old ones go on serving: a key that was taken back must go. In milliseconds. */
const MAX_AGE = 600_000;
/** The longest that old ones serve while there are no new ones. */
const MAX_STALE = 86_400_000;
/** Between two fetches for a key that is not among them: anybody can make up the name of one. */
const COOL_DOWN = 60_000;
/** Between two fetches where the last one failed. */
const RETRY = 5000;
const TIMEOUT = 10_000;

type KeySet = ReturnType<typeof createLocalJWKSet>;

/** What is said while tokens cannot be checked. Not 401: a client would log in again, and again. */
export function issuerUnavailable(): ProxyError {
  return new ProxyError("ISSUER_UNAVAILABLE", {
    headers: { "retry-after": String(RETRY / 1000), "cache-control": "no-store" },
  });
}

export class IssuerKeys {
  readonly #fetch: GuardedFetch;
  readonly #issuer: string;
  readonly #configured: string | undefined;
  readonly #log: Logger;
  #keys: KeySet | undefined;
  #fetchedAt = Number.NEGATIVE_INFINITY;
  #failedAt = Number.NEGATIVE_INFINITY;
  /** When they were last fetched for a key that was not among them. */
  #renewedAt = Number.NEGATIVE_INFINITY;
  #flight: Promise<boolean> | undefined;

  /** @param jwksUri where they are @default what the issuer's metadata say */
  constructor(fetch: GuardedFetch, issuer: string, jwksUri: string | undefined, log: Logger) {
    this.#fetch = fetch;
    this.#issuer = issuer;
    this.#configured = jwksUri;
    this.#log = log;
  }

  /**
   * The key of a token.
   *
   * @throws ProxyError `ISSUER_UNAVAILABLE` where there are no keys, or it is not known whether there is a new one; an error of jose
   */
  readonly find: JWTVerifyGetKey = async (header, token) => {
    const age = performance.now() - this.#fetchedAt;
    if (!this.#keys || age > MAX_STALE) await this.#refreshNow();
    else if (age > MAX_AGE) this.#refreshAside();
    try {
      return await this.#keys!(header, token);
    } catch (cause) {
      if (!(cause instanceof errors.JWKSNoMatchingKey)) throw cause;
      if (performance.now() - this.#renewedAt < COOL_DOWN) throw cause;
      await this.#refreshNow();
      this.#renewedAt = performance.now();
      return this.#keys!(header, token);
    }
  };

  /** One fetch for all who wait. */
  async #refreshNow(): Promise<void> {
    if (this.#mayTry() && (await this.#refresh())) return;
    throw issuerUnavailable();
  }

  #refreshAside(): void {
    if (this.#mayTry()) void this.#refresh();
  }

  #mayTry(): boolean {
    return this.#flight !== undefined || performance.now() - this.#failedAt > RETRY;
  }

  #refresh(): Promise<boolean> {
    return (this.#flight ??= this.#load().finally(() => (this.#flight = undefined)));
  }

  /** @returns whether there are new keys; never rejects */
  async #load(): Promise<boolean> {
    try {
      const signal = AbortSignal.timeout(TIMEOUT);
      const uri = this.#configured ?? (await issuerMetadata(this.#fetch, this.#issuer, signal)).jwks_uri;
      if (uri === undefined) throw new Error("its metadata name no jwks_uri");
      const response = await this.#fetch(uri, { signal });
      if (response.status !== 200) throw new Error(`its keys were answered with HTTP ${response.status}`);
      this.#keys = createLocalJWKSet(await response.json());
      this.#fetchedAt = performance.now();
      return true;
    } catch (cause) {
      this.#failedAt = performance.now();
      const why = isProxyError(cause) ? cause.toLog() : (cause as Error).message;
      const meanwhile = this.#keys ? "those that are known are used" : "its tokens are answered with 503";
      this.#log.warn(() => `bearer-auth: no keys of ${this.#issuer}, ${meanwhile}: ${why}`);
      return false;
    }
  }
}
