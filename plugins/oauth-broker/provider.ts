/** The provider: where users log in, and whose tokens the server wants. The protocol work is that of oauth4webapi. */
import * as oauth from "oauth4webapi";
import { type GuardedFetch, type Logger, type Mount, createGuardedFetch, isProxyError } from "../../core/index.ts";
import { type Settings, isProviderUrl } from "./options.ts";
import { clientAuthOf } from "./provider-auth.ts";
import { plainAnswers } from "./provider-answers.ts";
import { sha256 } from "./random.ts";
import type { Flow, ProviderTokens } from "./sealed.ts";

/** How long the provider's metadata is kept, in milliseconds. */
const MAX_AGE = 10 * 60_000;
const MAX_SUBJECT = 512;
/** RFC 6749 §5.2 and its like in answers of providers of old: the grant is over, and asking again is of no use. */
const OVER = new Set(["invalid_grant", "bad_refresh_token", "bad_verification_code", "incorrect_refresh_token"]);

/** Something at the provider did not go well. */
export class ProviderError extends Error {
  override readonly name = "ProviderError";
  /** The provider says that the code or the refresh token is not, or no longer, good. */
  readonly isOver: boolean;

  constructor(message: string, isOver: boolean, cause?: unknown) {
    super(message, { cause });
    this.isOver = isOver;
  }
}

/** What a login at the provider gave. */
export interface LoggedIn {
  tokens: ProviderTokens;
  /** The user, within the provider's issuer. Absent where the provider does not tell. */
  principal: string | undefined;
  /** What it granted, where it tells. */
  scopes: readonly string[] | undefined;
}

/** One provider, as one mount uses it. */
export class Provider {
  readonly #settings: Settings;
  readonly #mount: Mount;
  readonly #log: Logger;
  readonly #fetch: GuardedFetch;
  readonly #client: oauth.Client;
  #metadata: { found: Promise<oauth.AuthorizationServer>; until: number } | undefined;

  constructor(settings: Settings, mount: Mount, log: Logger) {
    const { issuer, endpoints, revocationEndpoint, userinfoEndpoint, clientId } = settings;
    this.#settings = settings;
    this.#mount = mount;
    this.#log = log;
    const named = [issuer, endpoints?.authorization, endpoints?.token, revocationEndpoint, userinfoEndpoint];
    const trusted = named.filter((url) => url !== undefined).map((url) => new URL(url).origin);
    this.#fetch = plainAnswers(settings.fetch ?? createGuardedFetch({ trusted }));
    this.#client = { client_id: clientId };
  }

  /** @throws ProviderError */
  metadata(): Promise<oauth.AuthorizationServer> {
    if (this.#metadata && performance.now() < this.#metadata.until) return this.#metadata.found;
    const entry = { found: this.#discover(), until: performance.now() + MAX_AGE };
    this.#metadata = entry;
    // What failed is asked for again by whoever comes next.
    entry.found.catch(() => (entry.until = 0));
    return entry.found;
  }

  /** Where a browser is sent. @throws ProviderError */
  async loginUrl(flow: Flow, state: string): Promise<string> {
    const as = await this.metadata();
    const url = new URL(as.authorization_endpoint as string);
    const scopes = [...new Set([...this.#settings.providerScopes, ...flow.scopes])];
    const params = {
      response_type: "code",
      client_id: this.#client.client_id,
      redirect_uri: flow.callback,
      state,
      code_challenge: await sha256(flow.verifier),
      code_challenge_method: "S256",
      ...(scopes.length > 0 && { scope: scopes.join(" ") }),
      ...(scopes.includes("openid") && { nonce: flow.nonce }),
      ...this.#resource(),
    };
    for (const [name, value] of Object.entries(params)) url.searchParams.set(name, value);
    return url.href;
  }

  /**
   * The code in the provider's answer, whose `iss` must be the provider's (RFC 9207).
   *
   * @returns the code, or the error that the provider answers with
   * @throws ProviderError when it is not the provider's answer
   */
  async readAnswer(params: URLSearchParams): Promise<{ code: string } | { error: string }> {
    const as = await this.metadata();
    const checked = new URLSearchParams(params);
    // An issuer that nobody configured cannot be compared with anything.
    if (this.#settings.issuer === undefined) checked.delete("iss");
    try {
      const code = oauth.validateAuthResponse(as, this.#client, checked, oauth.skipStateCheck).get("code");
      if (code) return { code };
    } catch (cause) {
      if (cause instanceof oauth.AuthorizationResponseError) return { error: cause.error };
      throw new ProviderError("its answer was refused", false, cause);
    }
    throw new ProviderError("its answer has no code", false);
  }

  /** Redeems a code. @throws ProviderError */
  async redeem({ code, callback, verifier, nonce, scopes: asked }: RedeemInput): Promise<LoggedIn> {
    const as = await this.metadata();
    const params = { code, redirect_uri: callback, code_verifier: verifier, ...this.#resource() };
    return this.#attempt(async () => {
      const response = await this.#tokenRequest(as, "authorization_code", params);
      const isOpenId = [...this.#settings.providerScopes, ...asked].includes("openid");
      const found = await oauth.processAuthorizationCodeResponse(
        as,
        this.#client,
        response,
        isOpenId ? { expectedNonce: nonce, requireIdToken: true } : {},
      );
      const claims = oauth.getValidatedIdTokenClaims(found);
      // It came straight from the provider (OpenID Connect Core §3.1.3.7); where there are keys, they are asked as well.
      if (claims && as.jwks_uri) await oauth.validateApplicationLevelSignature(as, response, this.#options());
      const told = claims ?? (await this.#userinfo(found.access_token));
      const scopes = found.scope?.split(/[ ,]+/).filter(Boolean);
      return { tokens: tokensOf(found), principal: told && this.#principalOf(as, told), scopes };
    });
  }

  /** @throws ProviderError */
  async refresh(refresh: string): Promise<ProviderTokens> {
    const as = await this.metadata();
    return this.#attempt(async () => {
      const params = { refresh_token: refresh, ...this.#resource() };
      const response = await this.#tokenRequest(as, "refresh_token", params);
      const found = await oauth.processRefreshTokenResponse(as, this.#client, response);
      // A provider that does not rotate may leave it out (RFC 6749 §6).
      return { refresh, ...tokensOf(found) };
    });
  }

  /** Ends a grant there, where the provider has an endpoint for it. Never rejects. */
  async revoke({ access, refresh }: ProviderTokens): Promise<void> {
    try {
      const as = await this.metadata();
      if (!as.revocation_endpoint) return;
      const auth = await clientAuthOf(this.#settings);
      await oauth.processRevocationResponse(
        await oauth.revocationRequest(as, this.#client, auth, refresh ?? access, this.#options()),
      );
    } catch (cause) {
      this.#log.warn(() => `${this.#mount.server}: the provider did not end a grant: ${describe(cause)}`);
    }
  }

  async #discover(): Promise<oauth.AuthorizationServer> {
    const { issuer, endpoints, revocationEndpoint, userinfoEndpoint } = this.#settings;
    if (endpoints)
      return {
        issuer: issuer ?? new URL(endpoints.token).origin,
        authorization_endpoint: endpoints.authorization,
        token_endpoint: endpoints.token,
        ...(revocationEndpoint && { revocation_endpoint: revocationEndpoint }),
        ...(userinfoEndpoint && { userinfo_endpoint: userinfoEndpoint }),
      };
    const found = await this.#attempt(async () => this.#fetchMetadata(new URL(issuer as string)));
    for (const name of ["authorization_endpoint", "token_endpoint"] as const)
      if (!isProviderUrl(found[name])) throw this.#failed(new Error(`${name} in its metadata is no https: URL`));
    if (found.code_challenge_methods_supported?.includes("S256") === false)
      throw this.#failed(new Error("its metadata says that it does not know PKCE with S256"));
    return {
      ...found,
      ...(revocationEndpoint && { revocation_endpoint: revocationEndpoint }),
      ...(userinfoEndpoint && { userinfo_endpoint: userinfoEndpoint }),
    };
  }

  /** RFC 8414 first, then OpenID Connect Discovery; `issuer` in the document is compared there. */
  async #fetchMetadata(issuer: URL): Promise<oauth.AuthorizationServer> {
    const response = await oauth.discoveryRequest(issuer, { ...this.#options(), algorithm: "oauth2" });
    if (response.status === 200) return oauth.processDiscoveryResponse(issuer, response);
    const second = await oauth.discoveryRequest(issuer, { ...this.#options(), algorithm: "oidc" });
    return oauth.processDiscoveryResponse(issuer, second);
  }

  async #tokenRequest(as: oauth.AuthorizationServer, grant: string, params: Record<string, string>): Promise<Response> {
    const auth = await clientAuthOf(this.#settings);
    return oauth.genericTokenEndpointRequest(as, this.#client, auth, grant, params, this.#options());
  }

  async #userinfo(access: string): Promise<Record<string, unknown> | undefined> {
    const { userinfoEndpoint } = this.#settings;
    if (userinfoEndpoint === undefined) return undefined;
    const headers = { authorization: `Bearer ${access}`, accept: "application/json", "user-agent": "penstock" };
    const answer = await this.#fetch(userinfoEndpoint, { headers });
    const body: unknown = answer.status === 200 ? await answer.json() : undefined;
    if (typeof body === "object" && body !== null) return body as Record<string, unknown>;
    throw new Error(`userinfoEndpoint answered with HTTP ${answer.status}`);
  }

  /** Issuer and subject: a subject alone could be that of another provider's user. An issuer has no fragment, so `#` ends it. */
  #principalOf({ issuer }: oauth.AuthorizationServer, claims: Record<string, unknown>): string {
    const { subjectClaim } = this.#settings;
    const claim = claims[subjectClaim];
    const subject = Number.isSafeInteger(claim) ? String(claim) : claim;
    if (typeof subject !== "string" || subject === "" || subject.length > MAX_SUBJECT || /\p{Surrogate}/u.test(subject))
      throw new Error(`it does not tell who logged in: there is no ${subjectClaim} (subjectClaim)`);
    // Fit for a line of the log, and never equal for two users.
    return `${issuer}#${subject.replace(/[^!-$&-~]+/g, encodeURIComponent)}`;
  }

  #resource(): { resource?: string } {
    const { resource } = this.#settings;
    if (resource === false) return {};
    return { resource: resource === true ? this.#mount.upstream : resource };
  }

  #options() {
    // Which URLs may be plain http is decided by the guarded fetch.
    return { [oauth.customFetch]: this.#fetch as never, [oauth.allowInsecureRequests]: true };
  }

  async #attempt<T>(run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (cause) {
      throw this.#failed(cause);
    }
  }

  #failed(cause: unknown): ProviderError {
    if (cause instanceof ProviderError) return cause;
    const isOver = cause instanceof oauth.ResponseBodyError && OVER.has(cause.error);
    this.#log.warn(() => `${this.#mount.server}: the provider of its logins: ${describe(cause)}`);
    return new ProviderError("the provider did not do what was asked", isOver, cause);
  }
}

type RedeemInput = Pick<Flow, "callback" | "verifier" | "nonce" | "scopes"> & { code: string };

function tokensOf({ access_token, refresh_token, expires_in }: oauth.TokenEndpointResponse): ProviderTokens {
  return {
    access: access_token,
    ...(refresh_token && { refresh: refresh_token }),
    // A lifetime of 0 is what some say who mean that it has none.
    ...(expires_in && { expiresAt: Date.now() + expires_in * 1000 }),
  };
}

/** For the log: an error's code and its first sentence, never a body. */
function describe(cause: unknown): string {
  if (isProxyError(cause)) return cause.toLog();
  if (cause instanceof oauth.ResponseBodyError) return `HTTP ${cause.status}, ${cause.error.slice(0, 100)}`;
  return cause instanceof Error ? cause.message.slice(0, 200) : "unknown";
}
