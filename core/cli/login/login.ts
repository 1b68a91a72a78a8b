/** The login at one server: its tokens while they last, renewed in time, and a new login where the server wants one. */
import { processRefreshTokenResponse, refreshTokenGrantRequest, revocationRequest } from "oauth4webapi";
import { ProxyError } from "../../errors.ts";
import type { Logger } from "../../log.ts";
import type { GuardedFetch } from "../../outbound/guarded-fetch.ts";
import { isLoopbackHost } from "../../public-url.ts";
import { authorize, clientAuth, http, isDocument, keep } from "./authorize.ts";
import { type Discovery, discover } from "./discovery.ts";
import { describeOAuth, isOver } from "./failures.ts";
import { type Kept, KeptLogin } from "./kept-login.ts";
import type { Refusal } from "./refusal.ts";

/** How logins are done. Times are in milliseconds. */
export interface LoginOptions {
  clientId?: string;
  clientSecret?: string;
  callbackPort?: number;
  fetch: GuardedFetch;
  trusts(url: URL): boolean;
  log: Logger;
  /** Nobody may see the value from here on. */
  secret(value: string): void;
  /** Tells the user where to go; absent where nobody is there who could. */
  show?(url: URL, server: URL): void;
  /** What to do where a login is wanted and nobody can log in. */
  instead(server: URL): string;
  /** For the user. @default 300000 */
  patience?: number;
}

const PATIENCE = 300_000;
/** For the documents of a discovery, in all. */
const DISCOVERY = 20_000;
/** For one token request. */
const RENEWAL = 10_000;
/** A token that ends sooner is renewed before it is used. */
const MARGIN = 30_000;
/** After a login that failed, requests are told so for this long, in place of another login. */
const COOL_DOWN = 15_000;
/** A token that is refused so soon after a login would be refused after the next one, too. */
const TOO_SOON = 10_000;
/** Logins for more scopes, in the life of a process. */
const MAX_STEP_UPS = 10;
/** How often another process's login is looked for. */
const LOOK = 500;

export class Login {
  readonly server: URL;
  readonly #options: LoginOptions;
  readonly #file: KeptLogin;
  #renewing: Promise<Kept | undefined> | undefined;
  #running: Promise<void> | undefined;
  #failed: { error: ProxyError; until: number } | undefined;
  #loggedInAt = Number.NEGATIVE_INFINITY;
  readonly #asked = new Set<string>();
  #stepUps = 0;
  readonly #closing = new AbortController();

  constructor(server: URL, options: LoginOptions) {
    this.server = server;
    this.#options = options;
    this.#file = new KeptLogin(server.href, options.clientId, options.log);
  }

  /** @returns a token that can be used; nothing where there is none @throws ProxyError where it cannot be renewed now */
  async token(): Promise<string | undefined> {
    const kept = this.#read();
    if (!kept || kept.expiresAt === undefined || kept.expiresAt - MARGIN > Date.now()) return kept?.accessToken;
    return (await this.#renew(kept))?.accessToken;
  }

  /** @param refused a token that the server does not accept @returns another one, where there is one @throws ProxyError */
  async renewed(refused: string): Promise<string | undefined> {
    const kept = this.#read();
    if (!kept) return undefined;
    const next = kept.accessToken === refused ? await this.#renew(kept) : kept;
    return next?.accessToken === refused ? undefined : next?.accessToken;
  }

  /** The login that is under way. */
  get running(): Promise<void> | undefined {
    return this.#running;
  }

  /** Why there is none now. */
  get failure(): ProxyError | undefined {
    return this.#failed && performance.now() < this.#failed.until ? this.#failed.error : undefined;
  }

  /** Begins a login, unless one is under way or has just failed. */
  begin(refusal: Refusal): void {
    if (this.#running || this.failure) return;
    this.#running = this.#run(refusal)
      .then(
        () => {
          this.#failed = undefined;
          this.#loggedInAt = performance.now();
        },
        (cause: unknown) => {
          const error = this.#refusal(cause instanceof Error ? cause.message : String(cause));
          this.#failed = { error, until: performance.now() + COOL_DOWN };
          this.#options.log.error(() => error.toLog());
        },
      )
      .finally(() => (this.#running = undefined));
  }

  /** Asks what a login would find. Never rejects. */
  async look(refusal: Refusal): Promise<Discovery> {
    const { fetch, trusts, clientId } = this.#options;
    const client = clientId === undefined ? undefined : isDocument(clientId) ? "document" : "registered";
    const limit = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(DISCOVERY)]);
    return discover(this.server, refusal, { fetch, trusts, signal: limit, ...(client && { client }) });
  }

  /** Ends the login here, and at the authorization server where that can be done. @returns whether there was one */
  async logOut(): Promise<{ found: boolean; revoked: boolean }> {
    return this.#file.exclusively(async () => {
      const kept = this.#read();
      this.#file.remove();
      if (!kept) return { found: false, revoked: false };
      return { found: true, revoked: await this.#revoke(kept) };
    });
  }

  close(): void {
    this.#closing.abort(new Error("it was ended"));
  }

  /** @throws Error one sentence */
  async #run(refusal: Refusal): Promise<void> {
    const { show, secret, log, instead, patience = PATIENCE } = this.#options;
    const before = this.#read();
    const scopes = this.#scopesFor(refusal, before);
    if (this.server.protocol !== "https:" && !isLoopbackHost(this.server.hostname))
      throw new Error(
        "Its URL is http: to another machine, so tokens could be read on the way, and nobody is logged in there. Use https:.",
      );
    if (performance.now() - this.#loggedInAt < TOO_SOON && refusal.status === 401)
      throw new Error(
        "It refuses the token that it was just given by a login: see its log, or the audience of the token.",
      );
    if (!show) throw new Error(instead(this.server));
    const discovery = await this.look(refusal);
    for (const { message, advice, fatal } of discovery.mistakes)
      if (!fatal) log.debug(() => `${this.server.host}: ${message} ${advice}`);
    const { reason } = discovery;
    if (reason) throw new Error(`No login is possible: ${reason.message} ${reason.advice}`);
    const over = new AbortController();
    const limit = AbortSignal.timeout(patience);
    const signal = AbortSignal.any([over.signal, limit, this.#closing.signal]);
    const { fetch, clientId, clientSecret, callbackPort } = this.#options;
    const own = authorize({
      server: this.server,
      discovery,
      scopes: scopes ?? discovery.scopes,
      clientId,
      clientSecret,
      callbackPort,
      fetch,
      signal,
      secret,
      show: (url) => show(url, this.server),
    });
    own.catch(() => {});
    try {
      const kept = await Promise.race([own, this.#elsewhere(before, signal)]);
      if (kept === undefined) return;
      this.#know(kept);
      await this.#file.exclusively(async () => this.#file.write(kept));
    } catch (cause) {
      if (limit.aborted)
        throw new Error(`Nobody has logged in within ${patience / 1000} s. ${instead(this.server)}`, { cause });
      throw new Error(`The login failed: ${cause instanceof Error ? cause.message : String(cause)}.`, { cause });
    } finally {
      over.abort(new Error("another process has logged in"));
    }
  }

  /** Another process of this user has logged in meanwhile: its login is as good. */
  async #elsewhere(before: Kept | undefined, signal: AbortSignal): Promise<undefined> {
    while (!signal.aborted) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, LOOK);
        signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
      });
      const kept = this.#read();
      if (kept && kept.accessToken !== before?.accessToken) return undefined;
    }
    return new Promise(() => {});
  }

  /** What is there already, and what is wanted beside it (MCP 2025-11-25, Authorization, "Scope Challenge Handling"). @throws Error one sentence */
  #scopesFor({ status, scopes }: Refusal, before: Kept | undefined): readonly string[] | undefined {
    if (status !== 403) return scopes;
    const all = new Set([...(before?.scopes ?? []), ...this.#asked, ...(scopes ?? [])]);
    const isNew = scopes?.some((scope) => !this.#asked.has(scope) && !before?.scopes?.includes(scope));
    if (!isNew || ++this.#stepUps > MAX_STEP_UPS)
      throw new Error(
        `It says that the token is not good enough, and names no scope that was not asked for already (${(scopes ?? []).join(" ") || "none"}).`,
      );
    for (const scope of scopes!) this.#asked.add(scope);
    return [...all];
  }

  #renew(stale: Kept): Promise<Kept | undefined> {
    return (this.#renewing ??= this.#refresh(stale).finally(() => (this.#renewing = undefined)));
  }

  /** @throws ProxyError where the authorization server cannot be asked now */
  #refresh(stale: Kept): Promise<Kept | undefined> {
    return this.#file.exclusively(async () => {
      const kept = this.#read();
      // Another process was faster: the refresh token that was read before is used up, and to show it again would end the login.
      if (!kept || kept.accessToken !== stale.accessToken) return kept;
      if (kept.refreshToken === undefined) return this.#end();
      const { as, resource } = kept;
      const client = this.#clientOf(kept);
      const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(RENEWAL)]);
      try {
        const response = await refreshTokenGrantRequest(as, client, clientAuth(as, client), kept.refreshToken, {
          ...http(this.#options.fetch, signal),
          additionalParameters: resource === undefined ? {} : { resource },
        });
        const next = keep(kept, await processRefreshTokenResponse(as, client, response));
        this.#know(next);
        // Before it is used: a token that is lost with this process could not be renewed.
        this.#file.write(next);
        return next;
      } catch (cause) {
        const why = describeOAuth(cause);
        this.#options.log.warn(() => `${this.server.host}: the login could not be renewed: ${why}`);
        if (isOver(cause)) return this.#end();
        throw this.#refusal(`The login could not be renewed (${why}). Try again.`);
      }
    });
  }

  #end(): undefined {
    this.#file.remove();
  }

  async #revoke(kept: Kept): Promise<boolean> {
    const { as } = kept;
    if (as.revocation_endpoint === undefined) return false;
    const client = this.#clientOf(kept);
    const auth = clientAuth(as, client);
    const options = http(this.#options.fetch, AbortSignal.timeout(RENEWAL));
    try {
      // RFC 7009 §2.1: with the refresh token the whole grant ends at most servers; the access token may not.
      for (const token of [kept.refreshToken, kept.accessToken])
        if (token !== undefined) {
          const answer = await revocationRequest(as, client, auth, token, options);
          await answer.body?.cancel();
          if (answer.status !== 200) return false;
        }
      return true;
    } catch (cause) {
      this.#options.log.warn(() => `${this.server.host}: the tokens could not be revoked: ${describeOAuth(cause)}`);
      return false;
    }
  }

  #clientOf({ client }: Kept): Kept["client"] {
    const { clientSecret } = this.#options;
    return clientSecret === undefined ? client : { ...client, client_secret: clientSecret };
  }

  #read(): Kept | undefined {
    const kept = this.#file.read();
    if (kept) this.#know(kept);
    return kept;
  }

  #know({ accessToken, refreshToken, client }: Kept): void {
    for (const value of [accessToken, refreshToken, client.client_secret])
      if (typeof value === "string") this.#options.secret(value);
  }

  #refusal(hint: string): ProxyError {
    return new ProxyError("LOGIN_REQUIRED", { server: this.server.host, hint });
  }
}
