/** One token endpoint: where it is, how it wants to be asked, and what it says. */
import {
  type AuthorizationServer,
  allowInsecureRequests,
  customFetch,
  genericTokenEndpointRequest,
} from "oauth4webapi";
import { type GuardedFetch, type Logger, createGuardedFetch, isProxyError } from "../core/index.ts";
import type { Authenticate } from "./_client-auth.ts";
import { issuerMetadata } from "./_issuer-metadata.ts";
import type { ClientAuthMethod, OAuthClientIdentity } from "./_oauth-client-options.ts";
import { type Issued, TokenFailure, readToken } from "./_token-answer.ts";
import { Backoff } from "./_token-source.ts";

/** What an endpoint is made of. */
export interface TokenEndpointOptions {
  identity: OAuthClientIdentity;
  authenticate: Authenticate;
  /** For whose token it is asked: its name stands in errors. */
  server: string;
  /** URL of that server. */
  upstream: string;
  /** In milliseconds, for everything. */
  timeout: number;
  log: Logger;
  /** Aborts when the proxy closes. */
  closing: AbortSignal;
  /** Which issuer the server itself names; asked where the configuration names none. */
  discover(): Promise<string | undefined>;
}

/** Where to ask, and as whom. */
interface Place {
  as: AuthorizationServer;
  method: ClientAuthMethod;
  until: number;
}

/** Metadata are asked for again after so long, in milliseconds, and after a failure. */
const MAX_AGE = 3_600_000;

/** What is sent beside grant type and credential; absent values are left out. */
export type TokenParameters = Readonly<Record<string, string | false | undefined>>;

export class TokenEndpoint {
  readonly #options: TokenEndpointOptions;
  readonly #failure: TokenFailure;
  readonly #fetch: GuardedFetch;
  readonly #backoff: Backoff;
  #place: Promise<Place> | undefined;

  constructor(options: TokenEndpointOptions) {
    this.#options = options;
    this.#failure = new TokenFailure(options.server);
    const { issuer, tokenEndpoint } = options.identity;
    // Provenance: what the operator wrote himself may be in a private network, what a stranger says may not.
    const trusted = [issuer, tokenEndpoint, options.upstream].filter((url) => url !== undefined);
    this.#fetch = createGuardedFetch({ trusted, timeout: options.timeout });
    this.#backoff = new Backoff(this.#failure);
  }

  /** For a report: where tokens come from, as far as the configuration says. */
  get origin(): string | undefined {
    const { issuer, tokenEndpoint } = this.#options.identity;
    const url = tokenEndpoint ?? issuer;
    return url === undefined ? undefined : new URL(url).origin;
  }

  /** As the configuration or the server names it. @throws ProxyError */
  issuer(): Promise<string> {
    return this.#limited(async (signal) => (await this.#locate(signal)).as.issuer);
  }

  /**
   * One request for a token.
   *
   * @param secrets among the parameters
   * @param expectedType what must be issued, where that is no token that is sent to a server
   * @throws ProxyError
   */
  request(
    grant: string,
    parameters: TokenParameters,
    secrets: readonly string[] = [],
    expectedType?: string,
  ): Promise<Issued> {
    return this.#backoff.run(
      (error) => error.code === "UPSTREAM_TOKEN_UNAVAILABLE",
      () => this.#limited((signal) => this.#ask(grant, parameters, secrets, expectedType, signal)),
    );
  }

  async #ask(
    grant: string,
    parameters: TokenParameters,
    secrets: readonly string[],
    expectedType: string | undefined,
    signal: AbortSignal,
  ): Promise<Issued> {
    const { identity, authenticate } = this.#options;
    const given = Object.entries(parameters).filter((pair): pair is [string, string] => typeof pair[1] === "string");
    const { as, method } = await this.#locate(signal);
    try {
      const response = await genericTokenEndpointRequest(
        as,
        { client_id: identity.clientId },
        authenticate(method),
        grant,
        new URLSearchParams(given),
        // `http:` is for hosts of this machine that the configuration names: the fetch sees to it.
        { [customFetch]: (url, init) => this.#fetch(url, init as object), [allowInsecureRequests]: true, signal },
      );
      const own = identity.clientSecret === undefined ? [] : [identity.clientSecret];
      return await readToken(response, this.#failure, [...own, ...secrets], expectedType);
    } catch (cause) {
      // Endpoints move: the next attempt looks again.
      this.#place = undefined;
      throw cause;
    }
  }

  /** What is not a `ProxyError` about a token becomes one. */
  async #limited<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { timeout, closing } = this.#options;
    const limit = new AbortController();
    const end = () => limit.abort();
    const timer = setTimeout(end, timeout);
    closing.addEventListener("abort", end, { once: true });
    if (closing.aborted) end();
    try {
      return await work(limit.signal);
    } catch (cause) {
      if (isProxyError(cause) && cause.code.startsWith("UPSTREAM_TOKEN_")) throw cause;
      throw this.#failure.outbound(cause, timeout, limit.signal.aborted);
    } finally {
      clearTimeout(timer);
      closing.removeEventListener("abort", end);
    }
  }

  async #locate(signal: AbortSignal): Promise<Place> {
    const known = await this.#place?.catch(() => undefined);
    if (known && performance.now() < known.until) return known;
    const found = this.#find(signal);
    this.#place = found;
    found.catch(() => (this.#place = undefined));
    return found;
  }

  async #find(signal: AbortSignal): Promise<Place> {
    const { identity, server, log } = this.#options;
    const { tokenEndpoint } = identity;
    const issuer = identity.issuer ?? (tokenEndpoint === undefined ? await this.#discovered() : undefined);
    if (tokenEndpoint !== undefined) {
      const as = { issuer: issuer ?? tokenEndpoint, token_endpoint: tokenEndpoint };
      return { as, method: this.#method(undefined), until: Number.POSITIVE_INFINITY };
    }
    const as = await issuerMetadata(this.#fetch, issuer!, signal).catch((cause: unknown) => {
      if (isProxyError(cause) || signal.aborted) throw cause;
      const detail = cause instanceof Error ? cause.message : String(cause);
      throw this.#failure.refused("The metadata of its authorization server cannot be used: see the log.", detail);
    });
    if (typeof as.token_endpoint !== "string" || !URL.canParse(as.token_endpoint))
      throw this.#failure.refused("The metadata of its authorization server name no token endpoint.");
    log.debug(() => `${server}: tokens come from ${new URL(as.token_endpoint!).origin}`);
    return {
      as: { issuer: as.issuer, token_endpoint: as.token_endpoint },
      method: this.#method(as.token_endpoint_auth_methods_supported),
      until: performance.now() + MAX_AGE,
    };
  }

  /**
   * A secret goes to whom the operator gave it for, and to the server's own origin; a signature is good for nobody but the issuer
   * that it names, so that the server may say where to go.
   */
  async #discovered(): Promise<string> {
    const { identity, upstream, discover } = this.#options;
    const issuer = await discover();
    if (issuer === undefined)
      throw this.#failure.refused(
        "It does not say which authorization server is its own: set issuer or tokenEndpoint of the plugin oauth-client.",
      );
    if (identity.clientSecret !== undefined && new URL(issuer).origin !== new URL(upstream).origin)
      throw this.#failure.refused(
        "It names an authorization server elsewhere, and a client secret goes to none that the configuration does not name: set issuer of the plugin oauth-client.",
        `it names ${issuer}`,
      );
    return issuer;
  }

  #method(supported: readonly string[] | undefined): ClientAuthMethod {
    const { authMethod, privateKey } = this.#options.identity;
    if (authMethod !== undefined) return authMethod;
    if (privateKey !== undefined) return "private_key_jwt";
    const isPostOnly = supported?.includes("client_secret_post") && !supported.includes("client_secret_basic");
    return isPostOnly ? "client_secret_post" : "client_secret_basic";
  }
}
