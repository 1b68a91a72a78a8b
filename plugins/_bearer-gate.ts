/** Who passes at a mount, and what the others are told. */
import {
  type App,
  type Mount,
  type Principal,
  ProxyError,
  type RequestHead,
  isLoopbackHost,
  mountUrl,
} from "../core/index.ts";
import { type Demand, demand } from "./_bearer-challenge.ts";
import { isRefusal } from "./_bearer-claims.ts";
import { type Credential, readCredential } from "./_bearer-credential.ts";
import type { BearerSettings } from "./_bearer-options.ts";
import type { BearerTokens } from "./_bearer-tokens.ts";
import { checkProof } from "./_dpop.ts";

export class BearerGate {
  readonly #settings: BearerSettings;
  readonly #tokens: BearerTokens;
  readonly #app: App;
  /** Why a request's token did not count, until another plugin has been asked. */
  readonly #refused = new WeakMap<RequestHead, Demand>();

  constructor(settings: BearerSettings, tokens: BearerTokens, app: App) {
    this.#settings = settings;
    this.#tokens = tokens;
    this.#app = app;
  }

  /**
   * @returns nothing where the request has no token, or one that does not count: another plugin may know the caller
   * @throws ProxyError `INVALID_CREDENTIAL`, `INSUFFICIENT_SCOPE`, `ISSUER_UNAVAILABLE`, or of the store
   */
  async authenticate(request: RequestHead, mount: Mount): Promise<Principal | undefined> {
    const credential = readCredential(request.headers.get("authorization"));
    if (credential === undefined) return undefined;
    if (credential === "malformed") {
      const description = "There is not one token in the field Authorization.";
      throw new ProxyError("INVALID_CREDENTIAL", {
        server: mount.server,
        headers: demand(request, mount, { ...this.#usual(), error: "invalid_request", description }),
      });
    }
    const found = await this.#check(credential, request, mount);
    if ("id" in found) {
      this.checkScopes(request, mount, found, []);
      return found;
    }
    this.#refused.set(request, found);
    this.#app.log.debug(() => `${mount.server}: a token was refused: ${found.description}`);
    return undefined;
  }

  async #check({ scheme, token }: Credential, request: RequestHead, mount: Mount): Promise<Principal | Demand> {
    const { skew, dpopRequired, scopes } = this.#settings;
    const refuse = (description: string): Demand => ({ scheme, error: "invalid_token", description, scopes });
    const found = await this.#tokens.read(token, this.#audiences(request, mount));
    if (isRefusal(found)) return refuse(found.refused);
    const { jkt, principal } = found;
    if (jkt === undefined) {
      if (scheme === "DPoP") return refuse("The token is not bound to a key.");
      if (dpopRequired) return { ...refuse("A token is needed that is bound to a key."), scheme: "DPoP" };
      return principal;
    }
    // RFC 9449 §7.1: whoever has stolen it would present it so.
    if (scheme === "Bearer") return { ...refuse("The token is bound to a key, and needs a proof."), scheme: "DPoP" };
    const wrong = await checkProof({ request, token, jkt, skew, store: this.#app.store });
    return wrong ? { ...refuse(wrong.refused), error: "invalid_dpop_proof" } : principal;
  }

  /** @throws ProxyError `INSUFFICIENT_SCOPE` with all scopes that are needed now */
  checkScopes(request: RequestHead, mount: Mount, principal: Principal, more: readonly string[]): void {
    const needed = [...new Set([...this.#settings.scopes, ...more])];
    if (needed.every((scope) => principal.scopes.includes(scope))) return;
    const { scheme } = this.#usual(request);
    const description = "This needs scopes that the token does not have.";
    throw new ProxyError("INSUFFICIENT_SCOPE", {
      server: mount.server,
      headers: demand(request, mount, { scheme, error: "insufficient_scope", description, scopes: needed }),
    });
  }

  /** For a request that nobody has let in. */
  challenge(request: RequestHead, mount: Mount): Record<string, string> {
    return demand(request, mount, this.#refused.get(request) ?? this.#usual(request));
  }

  /** RFC 6750 §3.1: no error where there was no token. */
  #usual(request?: RequestHead): Demand {
    const usesProofs = this.#settings.dpopRequired || /^dpop /i.test(request?.headers.get("authorization") ?? "");
    return { scheme: usesProofs ? "DPoP" : "Bearer", scopes: this.#settings.scopes };
  }

  /** The names of the mount: its URLs first. Without `publicUrl` a client could name any Host as the one that its token is for. */
  #audiences(request: RequestHead, mount: Mount): string[] {
    const isOwn = this.#app.publicUrl !== undefined || isLoopbackHost(new URL(request.publicUrl).hostname);
    if (!isOwn) return [...this.#settings.audiences];
    const paths = [...mount.paths, ...mount.ssePaths].map((path) => request.publicUrl + path);
    const urls = [...new Set([mountUrl(request, mount), ...paths])];
    // RFC 3986 §6.2.3 does not make them equal, but many a client and server writes the other one.
    return [
      ...urls,
      ...urls.map((url) => (url.endsWith("/") ? url.slice(0, -1) : `${url}/`)),
      ...this.#settings.audiences,
    ];
  }
}
