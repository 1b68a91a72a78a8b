/** What `oauth-broker` can be told, checked once. */
import { type GuardedFetch, ProxyError, isLoopbackHost } from "../../core/index.ts";
import { readRedirectUri } from "./redirect-uris.ts";

/** A client that needs no registration. */
export interface BrokerClient {
  /** Exactly as the client sends them; of loopback ones the port may differ. */
  redirectUris: readonly string[];
  /** Shown to users. @default its id */
  name?: string;
  /** For a client that can keep one; it authenticates with it at the token endpoint. @default none: a public client */
  secret?: string;
}

/** Options of {@link oauthBroker}. Times are in milliseconds. */
export interface OAuthBrokerOptions {
  /** The provider's issuer identifier. Without endpoints its metadata is fetched (RFC 8414, OpenID Connect Discovery). */
  issuer?: string;
  /** For a provider without metadata, together with `tokenEndpoint`. */
  authorizationEndpoint?: string;
  tokenEndpoint?: string;
  /** Where a grant that ends here is ended, too (RFC 7009). @default what the provider's metadata says */
  revocationEndpoint?: string;
  /** Where the provider tells who logged in, as JSON, for providers without id_token. @default not asked */
  userinfoEndpoint?: string;
  /** Member of that answer, or of the id_token, that names the user and never changes. @default "sub" */
  subjectClaim?: string;
  /** Under which this proxy is registered with the provider. */
  clientId: string;
  clientSecret?: string;
  /** In place of a secret (`private_key_jwt`): PKCS #8 in PEM, or a JWK as JSON text. */
  privateKey?: string;
  /** Algorithm of a key in PEM. @default "RS256" */
  privateKeyAlgorithm?: string;
  /** How this proxy authenticates with the provider. @default by what there is: "client_secret_basic", "private_key_jwt", "none" */
  authMethod?: "client_secret_basic" | "client_secret_post" | "private_key_jwt" | "none";
  /** Of the provider, which clients may ask for; one that names none asks for all. @default [] */
  scopes?: readonly string[];
  /** Asked of the provider with every login besides, e.g. `openid`, `offline_access`; clients do not see them. @default [] */
  providerScopes?: readonly string[];
  /** Sent to the provider as `resource` (RFC 8707): `true` is the server's URL. @default false */
  resource?: string | boolean;
  /**
   * What is registered with the provider: one redirect URI for all servers, which needs the plugin oauth-root, or one for each.
   * Where servers have different providers, and one of these sends no `iss`, one for each is safer (RFC 9700 §4.4).
   *
   * @default "{publicUrl}/callback"
   */
  redirectUri?: "{publicUrl}/callback" | "{publicUrl}/{server}/callback";
  /** Clients that need no registration, by their id. @default none */
  clients?: Readonly<Record<string, BrokerClient>>;
  /** Clients may register themselves (RFC 7591). @default true */
  registration?: boolean;
  /** A client may name itself with the URL of its metadata (Client ID Metadata Documents). @default true */
  clientMetadataDocuments?: boolean;
  /** Hosts or origins of such documents that may lie in a private network. @default none */
  clientMetadataHosts?: readonly string[];
  /** Schemes of redirect URIs of apps, beside those with a dot in them (RFC 8252 §7.1). @default ["cursor", "vscode", "vscode-insiders"] */
  redirectSchemes?: readonly string[];
  /** Of tokens that clients get; shorter where the provider's end earlier. @default 600000 (10 min) */
  accessTokenLifetime?: number;
  /** A refresh token that is not used for so long ends. @default 2592000000 (30 d) */
  refreshTokenLifetime?: number;
  /** A refresh token that was replaced is taken again for so long: the answer may have been lost. @default 30000 */
  refreshGrace?: number;
  /** From the provider's answer to the client's token request. @default 60000 */
  codeLifetime?: number;
  /** For the login at the provider, and for the decision on the consent page. @default 600000 (10 min) */
  loginLifetime?: number;
  /** A browser's consent for a client is remembered for so long; 0: asked each time. @default 86400000 (1 d) */
  consentLifetime?: number;
  /** A registered client's id is good for so long. @default 31536000000 (1 year) */
  registrationLifetime?: number;
  /** In place of guarded fetches, for the provider and for documents of clients. */
  fetch?: GuardedFetch;
}

/** The same, with nothing left to decide. */
export interface Settings extends Required<
  Omit<
    OAuthBrokerOptions,
    | "issuer"
    | "authorizationEndpoint"
    | "tokenEndpoint"
    | "revocationEndpoint"
    | "userinfoEndpoint"
    | "clientSecret"
    | "privateKey"
    | "clients"
    | "fetch"
  >
> {
  issuer: string | undefined;
  endpoints: { authorization: string; token: string } | undefined;
  revocationEndpoint: string | undefined;
  userinfoEndpoint: string | undefined;
  clientSecret: string | undefined;
  privateKey: string | undefined;
  clients: ReadonlyMap<string, BrokerClient>;
  fetch: GuardedFetch | undefined;
}

const LIFETIMES = {
  accessTokenLifetime: 10 * 60_000,
  refreshTokenLifetime: 30 * 86_400_000,
  refreshGrace: 30_000,
  codeLifetime: 60_000,
  loginLifetime: 10 * 60_000,
  consentLifetime: 86_400_000,
  registrationLifetime: 365 * 86_400_000,
};
/** What may also be 0. */
const MAY_BE_NONE = ["refreshGrace", "consentLifetime"];
const AUTH_METHODS = ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"];
/** RFC 6749 §3.3. */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+$/;
/** Not those that browsers act upon by themselves. */
const SCHEME =
  /^(?!(?:https?|wss?|ftp|file|filesystem|blob|data|about|javascript|vbscript|view-source)$)[a-z][a-z\d+.-]*$/;

/** @throws ProxyError `BAD_OPTION`; its message never contains a secret */
export function readOptions(options: OAuthBrokerOptions): Settings {
  const { issuer, authorizationEndpoint, tokenEndpoint, clientId, clientSecret, privateKey } = options;
  const { revocationEndpoint, userinfoEndpoint, resource = false, redirectUri = "{publicUrl}/callback" } = options;
  const { subjectClaim = "sub", privateKeyAlgorithm = "RS256", redirectSchemes } = options;
  const urls = { issuer, authorizationEndpoint, tokenEndpoint, revocationEndpoint, userinfoEndpoint };
  for (const [name, url] of Object.entries(urls))
    if (url !== undefined && !isProviderUrl(url))
      throw badOption(`${name} must be an https: URL, or an http: one of this machine.`);
  if ((authorizationEndpoint === undefined) !== (tokenEndpoint === undefined))
    throw badOption("authorizationEndpoint and tokenEndpoint go together.");
  if (issuer === undefined && authorizationEndpoint === undefined)
    throw badOption("the provider is missing: set issuer, or authorizationEndpoint and tokenEndpoint.");
  if (!isText(clientId))
    throw badOption("clientId is missing: register this proxy with the provider, and set the id it gives.");
  for (const [name, value] of Object.entries({ clientSecret, privateKey }))
    if (value !== undefined && !isText(value))
      throw badOption(`${name} must be a text that is not empty. Is its environment variable set?`);
  const authMethod =
    options.authMethod ?? (clientSecret ? "client_secret_basic" : privateKey ? "private_key_jwt" : "none");
  if (!AUTH_METHODS.includes(authMethod)) throw badOption(`authMethod must be one of ${AUTH_METHODS.join(", ")}.`);
  if (authMethod.startsWith("client_secret") && !clientSecret)
    throw badOption(`clientSecret is missing: authMethod "${authMethod}" needs it.`);
  if (authMethod === "private_key_jwt" && !privateKey)
    throw badOption('privateKey is missing: authMethod "private_key_jwt" needs it.');
  if (typeof resource !== "boolean" && !URL.canParse(resource))
    throw badOption("resource must be true, false, or an absolute URL.");
  if (redirectUri !== "{publicUrl}/callback" && redirectUri !== "{publicUrl}/{server}/callback")
    throw badOption('redirectUri must be "{publicUrl}/callback" or "{publicUrl}/{server}/callback".');
  const scopes = { scopes: options.scopes ?? [], providerScopes: options.providerScopes ?? [] };
  for (const [name, list] of Object.entries(scopes))
    if (!Array.isArray(list) || !list.every((scope) => typeof scope === "string" && SCOPE.test(scope)))
      throw badOption(`${name} must be a list of scopes, without spaces and quotes in them.`);
  const schemes = redirectSchemes ?? ["cursor", "vscode", "vscode-insiders"];
  if (!Array.isArray(schemes) || !schemes.every((scheme) => typeof scheme === "string" && SCHEME.test(scheme)))
    throw badOption('redirectSchemes must be a list of schemes of apps in lower case, e.g. "cursor".');
  return {
    ...readTimes(options),
    ...scopes,
    issuer,
    endpoints: authorizationEndpoint
      ? { authorization: authorizationEndpoint, token: tokenEndpoint as string }
      : undefined,
    revocationEndpoint,
    userinfoEndpoint,
    subjectClaim,
    clientId,
    clientSecret,
    privateKey,
    privateKeyAlgorithm,
    authMethod,
    resource,
    redirectUri,
    redirectSchemes: schemes,
    clients: readClients(options.clients ?? {}, schemes),
    registration: readSwitch("registration", options.registration),
    clientMetadataDocuments: readSwitch("clientMetadataDocuments", options.clientMetadataDocuments),
    clientMetadataHosts: options.clientMetadataHosts ?? [],
    fetch: options.fetch,
  };
}

function readTimes(options: OAuthBrokerOptions): typeof LIFETIMES {
  const times = { ...LIFETIMES };
  for (const name of Object.keys(LIFETIMES) as (keyof typeof LIFETIMES)[]) {
    const value = options[name];
    if (value === undefined) continue;
    const least = MAY_BE_NONE.includes(name) ? 0 : 1000;
    if (!Number.isFinite(value) || value < least)
      throw badOption(`${name} must be a number of milliseconds, ${least} or more.`);
    times[name] = value;
  }
  return times;
}

function readClients(
  clients: NonNullable<OAuthBrokerOptions["clients"]>,
  schemes: readonly string[],
): Map<string, BrokerClient> {
  for (const [id, { redirectUris, secret }] of Object.entries(clients)) {
    const where = `clients[${JSON.stringify(id)}]`;
    if (!Array.isArray(redirectUris) || redirectUris.length === 0)
      throw badOption(`${where}: redirectUris must be a list with one or more redirect URIs.`);
    for (const uri of redirectUris) {
      const { why } = readRedirectUri(uri, schemes);
      if (why !== undefined) throw badOption(`${where}: the redirect URI ${JSON.stringify(uri)} ${why}.`);
    }
    if (secret !== undefined && (!isText(secret) || secret.length < 16))
      throw badOption(`${where}: a secret has 16 characters or more. Is its environment variable set?`);
  }
  return new Map(Object.entries(clients));
}

function readSwitch(name: string, value: boolean | undefined): boolean {
  if (value !== undefined && typeof value !== "boolean") throw badOption(`${name} must be true or false.`);
  return value ?? true;
}

/** What is sent there are secrets: in the clear only to this machine. */
export function isProviderUrl(text: unknown): text is string {
  if (typeof text !== "string" || !URL.canParse(text)) return false;
  const { protocol, hostname, username, password, hash } = new URL(text);
  if (username || password || hash) return false;
  return protocol === "https:" || (protocol === "http:" && isLoopbackHost(hostname));
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

function badOption(hint: string): ProxyError {
  return new ProxyError("BAD_OPTION", { plugin: "plugin 'oauth-broker'", hint });
}
