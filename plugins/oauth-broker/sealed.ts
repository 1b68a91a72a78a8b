/** What travels through browsers and clients, sealed: they can neither read nor change it, and any proxy with the same secret can. */
import type { App, Mount } from "../../core/index.ts";

/** What a client asked for at `/authorize`, once everything in it was checked. */
export interface Asked {
  /** Digest of the client id. */
  client: string;
  redirectUri: string;
  /** The client's own. */
  state?: string;
  /** PKCE, S256. */
  challenge: string;
  scopes: readonly string[];
  /** RFC 8707: the URL of the mount that the tokens are for. */
  resource: string;
  /** Issuer under which the flow began, and which its answer names (RFC 9207). */
  iss: string;
}

/** `state` at the provider. */
export interface Flow extends Asked {
  /** Used once, and the id of the grant that comes of it. */
  id: string;
  /** The browser that gave its consent. */
  browser: string;
  /** PKCE at the provider. */
  verifier: string;
  /** OpenID Connect. */
  nonce: string;
  /** As it was sent to the provider. */
  callback: string;
}

/** Our own authorization code: the provider's, and all that it takes to redeem it. */
export interface Code extends Omit<Flow, "browser" | "state" | "iss"> {
  code: string;
}

/** What the provider gave. */
export interface ProviderTokens {
  access: string;
  /** Milliseconds since the epoch; absent where the provider does not tell. */
  expiresAt?: number;
  refresh?: string;
}

/** What both tokens of a grant say. */
export interface TokenClaims {
  grant: string;
  /** Counts how often the grant was refreshed: the highest is the newest. */
  generation: number;
  client: string;
  principal: string;
  scopes: readonly string[];
  resource: string;
  /** Only where proxies share no store: the provider's tokens travel with ours, so that every replica knows them. */
  provider?: ProviderTokens;
}

/** That a browser's user let a client in. */
export interface Consent {
  /** Digest of the client id. */
  client: string;
  redirectUri: string;
  scopes: readonly string[];
  /** Milliseconds since the epoch. */
  until: number;
}

/** `ticket` is what the consent page's form carries: what will happen when it is approved. */
interface Kinds {
  consents: readonly Consent[];
  ticket: Asked;
  flow: Flow;
  code: Code;
  access: TokenClaims;
  refresh: TokenClaims;
}

/** Seals and opens for one mount: what was sealed for another one does not open. */
export interface Seals {
  /** @param expiresAt milliseconds since the epoch @param binding what else it belongs to */
  seal<Kind extends keyof Kinds>(kind: Kind, value: Kinds[Kind], expiresAt: number, binding?: string): string;
  /** @returns nothing where it is foreign, changed, of another kind or binding, or its time is over */
  open<Kind extends keyof Kinds>(kind: Kind, token: string, binding?: string): Kinds[Kind] | undefined;
}

/** The longest that is looked at; header fields have less room, and addresses too. */
const MAX_LENGTH = 16 * 1024;

export function sealsFor({ sealer }: App, { server }: Mount): Seals {
  return {
    seal: (kind, value, expiresAt, binding = "") =>
      sealer.seal(`oauth-broker.${kind}`, JSON.stringify(value), [server, binding], expiresAt),
    open(kind, token, binding = "") {
      if (token.length > MAX_LENGTH) return undefined;
      const text = sealer.open(`oauth-broker.${kind}`, token, [server, binding]);
      return text === undefined ? undefined : JSON.parse(text);
    },
  };
}
