/** Tokens that only their authorization server can read: it is asked (RFC 7662), and its word counts for a moment. */
import {
  ClientSecretBasic,
  ClientSecretPost,
  allowInsecureRequests,
  customFetch,
  introspectionRequest,
  processIntrospectionResponse,
} from "oauth4webapi";
import { type GuardedFetch, type Json, type Logger, digest, isProxyError } from "../core/index.ts";
import type { IntrospectionSettings } from "./_bearer-options.ts";
import { issuerUnavailable } from "./_issuer-keys.ts";
import { issuerMetadata } from "./_issuer-metadata.ts";

/** How long "not active" counts, in milliseconds: a client that repeats itself costs one request. */
const NEGATIVE_AGE = 2000;
const MAX_ENTRIES = 5000;
/** At a time. Strangers decide how many tokens there are. */
const MAX_FLIGHTS = 64;
const TIMEOUT = 10_000;
/** After a failure, in milliseconds: callers must not wait for one that is down, one after the other. */
const RETRY = 1000;

interface Entry {
  claims: Json;
  until: number;
}

export class Introspection {
  readonly #fetch: GuardedFetch;
  readonly #issuer: string;
  readonly #settings: IntrospectionSettings;
  readonly #log: Logger;
  /** By digest: no token stands in a heap dump. The oldest is first. */
  readonly #known = new Map<string, Entry>();
  readonly #flights = new Map<string, Promise<Json>>();
  #endpoint: string | undefined;
  #failedAt = Number.NEGATIVE_INFINITY;

  constructor(fetch: GuardedFetch, issuer: string, settings: IntrospectionSettings, log: Logger) {
    this.#fetch = fetch;
    this.#issuer = issuer;
    this.#settings = settings;
    this.#log = log;
    this.#endpoint = settings.endpoint;
  }

  /**
   * What the authorization server says of a token. Whoever uses it checks `active`, `exp` and the rest.
   *
   * @throws ProxyError `ISSUER_UNAVAILABLE`
   */
  async ask(token: string): Promise<Json> {
    const key = await digest(token);
    const known = this.#known.get(key);
    if (known && Date.now() < known.until) return known.claims;
    const flight = this.#flights.get(key);
    if (flight) return flight;
    if (this.#flights.size >= MAX_FLIGHTS || performance.now() - this.#failedAt < RETRY) throw issuerUnavailable();
    const asked = this.#request(token).finally(() => this.#flights.delete(key));
    this.#flights.set(key, asked);
    const claims = await asked;
    this.#remember(key, claims);
    return claims;
  }

  async #request(token: string): Promise<Json> {
    const { clientId, clientSecret, authMethod } = this.#settings;
    const signal = AbortSignal.timeout(TIMEOUT);
    try {
      const server = { issuer: this.#issuer, introspection_endpoint: await this.#find(signal) };
      const client = { client_id: clientId };
      const auth = authMethod === "post" ? ClientSecretPost(clientSecret) : ClientSecretBasic(clientSecret);
      const response = await introspectionRequest(server, client, auth, token, {
        additionalParameters: { token_type_hint: "access_token" },
        signal,
        // What may be `http:` is the guarded fetch's to decide.
        [allowInsecureRequests]: true,
        [customFetch]: this.#fetch,
      });
      return { ...(await processIntrospectionResponse(server, client, response)) };
    } catch (cause) {
      this.#failedAt = performance.now();
      const why = isProxyError(cause) ? cause.toLog() : (cause as Error).message;
      this.#log.warn(
        () => `bearer-auth: ${this.#issuer} does not tell about tokens, which are answered with 503: ${why}`,
      );
      throw issuerUnavailable();
    }
  }

  async #find(signal: AbortSignal): Promise<string> {
    const found = this.#endpoint ?? (await issuerMetadata(this.#fetch, this.#issuer, signal)).introspection_endpoint;
    if (found === undefined) throw new Error("its metadata name no introspection_endpoint");
    return (this.#endpoint = found);
  }

  #remember(key: string, claims: Json): void {
    const { active, exp } = claims;
    const now = Date.now();
    const age = active === true ? this.#settings.maxAge : Math.min(NEGATIVE_AGE, this.#settings.maxAge);
    const until = Math.min(now + age, typeof exp === "number" ? exp * 1000 : Number.POSITIVE_INFINITY);
    if (until <= now) return;
    this.#known.delete(key);
    this.#known.set(key, { claims, until });
    if (this.#known.size > MAX_ENTRIES) this.#known.delete(this.#known.keys().next().value!);
  }
}
