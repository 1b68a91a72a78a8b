/** Options of `oauth-client`, read and checked. */
import { type Awaitable, type Json, type Principal, ProxyError, type Store, isLoopbackHost } from "../core/index.ts";
import { TIME, TIMEOUT, environment, isTime, isTimeout, readVariable } from "./_settings.ts";

/** How a client tells a token endpoint who it is (RFC 6749 §2.3, RFC 7523 §2.2). */
export type ClientAuthMethod = "client_secret_basic" | "client_secret_post" | "private_key_jwt";

/** An authorization server, and who the proxy is there. */
export interface OAuthClientIdentity {
  /**
   * Issuer of the authorization server, as its metadata has it: they name the token endpoint (RFC 8414, OpenID Connect
   * Discovery). Without it and without `tokenEndpoint` the server's own protected-resource metadata name it.
   */
  issuer?: string;
  /** Its token endpoint, where no metadata need to be asked for. */
  tokenEndpoint?: string;
  clientId: string;
  /** Either this or `privateKey`. */
  clientSecret?: string;
  /** PKCS#8 as PEM, or a JWK. */
  privateKey?: string | Readonly<Json>;
  /** What the key signs with, e.g. `ES256`. @default what a JWK says, else what fits the key, RS256 for RSA */
  algorithm?: string;
  /** Tells the provider which key it is (`kid`). @default what a JWK says */
  keyId?: string;
  /** @default `private_key_jwt` with a key; with a secret `client_secret_basic`, or `client_secret_post` where the metadata list only that */
  authMethod?: ClientAuthMethod;
}

/** What is asked for, and how long it is kept. Times are in milliseconds. */
export interface OAuthTokenOptions extends OAuthClientIdentity {
  /** A list, or a text with spaces between. @default none: the provider decides */
  scopes?: string | readonly string[];
  /** For providers that want to be told for whom the token is in a parameter of that name. @default none */
  audience?: string;
  /** For which server the token is (RFC 8707). `false` leaves it out, for providers that refuse it. @default the server's URL */
  resource?: string | false;
  /** A token is not used for so long before its end. @default 60000, or `PENSTOCK_TOKEN_MARGIN` */
  margin?: number;
  /** A short-lived one is used for so long all the same, but never beyond its end. @default 10000, or `PENSTOCK_TOKEN_FLOOR` */
  floor?: number;
  /** How long one lives whose provider does not tell. @default 300000, or `PENSTOCK_TOKEN_LIFETIME` */
  lifetime?: number;
  /** For getting one, metadata included. @default 5000, or `PENSTOCK_TOKEN_TIMEOUT` */
  timeout?: number;
}

/** The proxy has an account of its own at the server (RFC 6749 §4.4). */
export interface ClientCredentialsOptions extends OAuthTokenOptions {
  grant: "client_credentials";
}

/** Each caller's token is exchanged for one that is for the server (RFC 8693). */
export interface TokenExchangeOptions extends OAuthTokenOptions {
  grant: "token-exchange";
  /** What callers present here. @default "urn:ietf:params:oauth:token-type:access_token" */
  subjectTokenType?: string;
  /** What is wanted for it. @default none: the provider decides */
  requestedTokenType?: string;
}

/**
 * Each caller's token is exchanged at the company's identity provider for a grant, and that for a token at the server's own
 * authorization server (MCP extension "enterprise-managed authorization").
 */
export interface IdJagOptions extends OAuthTokenOptions {
  grant: "id-jag";
  /** The identity provider, and who the proxy is there; it needs `issuer` or `tokenEndpoint`. */
  idp: OAuthClientIdentity;
  /** What callers present here. @default "urn:ietf:params:oauth:token-type:id_token" */
  subjectTokenType?: string;
}

/** Whose token is wanted. */
export interface StoredTokenRequest {
  principal: Principal;
  /** Name of the server in the configuration. */
  server: string;
  /** The proxy's store, for tokens that are kept there. */
  store: Store;
}

/** Each caller has a token of its own at the server, kept by whoever runs the proxy. */
export interface StoredTokensOptions {
  /**
   * By the id of the principal; `anonymous` is everybody where no plugin authenticates. Or a function that finds one: asked with
   * every request, and once more where the server refuses what it gave. Nothing means that there is none.
   */
  tokens: Readonly<Record<string, string>> | ((request: StoredTokenRequest) => Awaitable<string | undefined>);
  /** Field that it is sent in: in `authorization` behind `Bearer`, elsewhere alone. @default "authorization" */
  header?: string;
}

/** Options of the plugin `oauth-client`. */
export type OAuthClientOptions = ClientCredentialsOptions | TokenExchangeOptions | IdJagOptions | StoredTokensOptions;

/** How long tokens are kept, in milliseconds. */
export type TokenLife = Required<Pick<OAuthTokenOptions, "margin" | "floor" | "lifetime" | "timeout">>;

/** Options of a grant with nothing left open. */
export interface GrantSettings extends TokenLife {
  grant: "client_credentials" | "token-exchange" | "id-jag";
  client: OAuthClientIdentity;
  idp: OAuthClientIdentity | undefined;
  /** Parameters of the request for a token that are the same for all. */
  scope: string | undefined;
  audience: string | undefined;
  resource: string | false | undefined;
  subjectTokenType: string;
  requestedTokenType: string | undefined;
}

const NAME = "oauth-client";
const TOKEN_TYPE = "urn:ietf:params:oauth:token-type:";
export const ID_JAG: string = `${TOKEN_TYPE}id-jag`;

const IDENTITY = [
  "issuer",
  "tokenEndpoint",
  "clientId",
  "clientSecret",
  "privateKey",
  "algorithm",
  "keyId",
  "authMethod",
] as const;
const TOKEN = [...IDENTITY, "scopes", "audience", "resource", "margin", "floor", "lifetime", "timeout", "grant"];
const KNOWN: Readonly<Record<string, readonly string[]>> = {
  client_credentials: TOKEN,
  "token-exchange": [...TOKEN, "subjectTokenType", "requestedTokenType"],
  "id-jag": [...TOKEN, "subjectTokenType", "idp"],
};
const METHODS: readonly ClientAuthMethod[] = ["client_secret_basic", "client_secret_post", "private_key_jwt"];
const LIFE = {
  margin: ["PENSTOCK_TOKEN_MARGIN", TIME, 60_000],
  floor: ["PENSTOCK_TOKEN_FLOOR", TIME, 10_000],
  lifetime: ["PENSTOCK_TOKEN_LIFETIME", TIMEOUT, 300_000],
  timeout: ["PENSTOCK_TOKEN_TIMEOUT", TIMEOUT, 5000],
} as const;
/** RFC 6749, appendix A.1 and A.4. */
const VISIBLE = /^[\x20-\x7e]+$/;
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+$/;
const FIELD_NAME = /^[!#$%&'*+\-.^_`|~\dA-Za-z]+$/;
/** Fit for a field value, and alone in it: no white space. */
const FIELD_TEXT = /^[\x21-\x7e]{1,16384}$/;

/** Whether a text can stand in a header field as a credential. */
export function isToken(text: unknown): text is string {
  return typeof text === "string" && FIELD_TEXT.test(text);
}

/** @throws ProxyError `BAD_OPTION`; its message never contains a secret */
export function readGrant(options: Exclude<OAuthClientOptions, StoredTokensOptions>): GrantSettings {
  const { grant, scopes, audience, resource } = options;
  const known = Object.hasOwn(KNOWN, grant) ? KNOWN[grant] : undefined;
  if (!known) return refuse(`grant may be ${Object.keys(KNOWN).join(", ")}; or give \`tokens\`.`);
  const odd = Object.keys(options).find((name) => !known.includes(name));
  if (odd !== undefined) refuse(`\`${odd}\` is no option of ${grant}. Allowed are ${known.join(", ")}.`);
  const client = readIdentity(options, "");
  let idp: OAuthClientIdentity | undefined;
  if (options.grant === "id-jag") {
    if (typeof options.idp !== "object" || options.idp === null) refuse("idp: the identity provider is needed.");
    idp = readIdentity(options.idp, "idp.");
    if (idp.issuer === undefined && idp.tokenEndpoint === undefined)
      refuse("idp.issuer or idp.tokenEndpoint is needed.");
    if (client.issuer === undefined && client.tokenEndpoint !== undefined)
      refuse("issuer is needed beside tokenEndpoint: the identity provider is told for which one its grant is.");
  }
  if (audience !== undefined && !isText(audience)) refuse("audience must be a text.");
  const types = options as { subjectTokenType?: string; requestedTokenType?: string };
  for (const name of ["subjectTokenType", "requestedTokenType"] as const)
    if (types[name] !== undefined && !isText(types[name])) refuse(`${name} must be a text.`);
  return {
    grant,
    client,
    idp,
    scope: readScopes(scopes),
    audience,
    resource: readResource(resource),
    subjectTokenType: types.subjectTokenType ?? `${TOKEN_TYPE}${grant === "id-jag" ? "id_token" : "access_token"}`,
    requestedTokenType: grant === "id-jag" ? ID_JAG : types.requestedTokenType,
    ...readLife(options),
  };
}

/** @throws ProxyError `BAD_OPTION` */
export function readStored(options: StoredTokensOptions): Required<StoredTokensOptions> {
  const { tokens, header = "authorization", ...more } = options;
  const odd = Object.keys(more)[0];
  if (odd !== undefined) refuse(`\`${odd}\` does not go with tokens. Allowed is header.`);
  if (typeof header !== "string" || !FIELD_NAME.test(header)) refuse("header must be the name of a header field.");
  if (typeof tokens === "function") return { tokens, header: header.toLowerCase() };
  if (typeof tokens !== "object" || tokens === null) refuse("tokens must be a table by principal, or a function.");
  for (const [id, token] of Object.entries(tokens)) {
    const where = `tokens[${JSON.stringify(id)}]`;
    if (token === undefined) refuse(`${where}: there is no token. Is its environment variable set?`);
    if (!isToken(token)) refuse(`${where}: a token is visible ASCII without spaces.`);
  }
  if (Object.keys(tokens).length === 0) refuse("tokens: at least one is needed, or nobody could call.");
  return { tokens: { ...tokens }, header: header.toLowerCase() };
}

function readIdentity(given: OAuthClientIdentity, at: string): OAuthClientIdentity {
  const identity = Object.fromEntries(IDENTITY.map((name) => [name, given[name]])) as unknown as OAuthClientIdentity;
  const { issuer, tokenEndpoint, clientId, clientSecret, privateKey, authMethod } = identity;
  if (issuer !== undefined) checkUrl(`${at}issuer`, issuer);
  if (tokenEndpoint !== undefined) checkUrl(`${at}tokenEndpoint`, tokenEndpoint);
  if (issuer !== undefined && new URL(issuer).search !== "") refuse(`${at}issuer: an issuer has no query.`);
  if (!isText(clientId)) refuse(`${at}clientId is needed. Is its environment variable set?`);
  if ((clientSecret === undefined) === (privateKey === undefined))
    refuse(`${at}clientSecret or ${at}privateKey is needed, and only one of them. Is its environment variable set?`);
  if (clientSecret !== undefined && !isText(clientSecret)) refuse(`${at}clientSecret must be a text of visible ASCII.`);
  if (clientSecret !== undefined && clientSecret.startsWith("${"))
    refuse(`${at}clientSecret: a placeholder stands there. In this file variables are read with process.env.`);
  if (privateKey !== undefined) checkKey(`${at}privateKey`, privateKey);
  for (const name of ["algorithm", "keyId"] as const)
    if (identity[name] !== undefined && !isText(identity[name])) refuse(`${at}${name} must be a text.`);
  if (authMethod === undefined) return identity;
  if (!METHODS.includes(authMethod)) refuse(`${at}authMethod may be ${METHODS.join(", ")}.`);
  if ((authMethod === "private_key_jwt") !== (privateKey !== undefined))
    refuse(`${at}authMethod: ${authMethod} goes with ${privateKey === undefined ? "privateKey" : "clientSecret"}.`);
  return identity;
}

/** `http:` only where nobody can listen. */
function checkUrl(where: string, text: unknown): void {
  const url = typeof text === "string" && URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== "https:" && !(url?.protocol === "http:" && isLoopbackHost(url.hostname)))
    refuse(`${where} must be an https: URL; http: is for this machine only.`);
  if (url!.username || url!.password || url!.hash) refuse(`${where}: user, password and fragment do not belong there.`);
}

function checkKey(where: string, key: unknown): void {
  if (typeof key === "object" && key !== null) {
    if (!("d" in key)) refuse(`${where}: the JWK has no private part.`);
  } else if (typeof key !== "string" || !/-----BEGIN PRIVATE KEY-----/.test(key))
    refuse(
      `${where} must be a JWK, or PEM that begins with "BEGIN PRIVATE KEY"; \`openssl pkcs8 -topk8 -nocrypt\` makes that of others.`,
    );
}

function readScopes(scopes: OAuthTokenOptions["scopes"]): string | undefined {
  if (scopes === undefined) return undefined;
  const list: readonly unknown[] = typeof scopes === "string" ? scopes.split(" ").filter(Boolean) : [...scopes];
  if (list.length === 0 || !list.every((scope) => typeof scope === "string" && SCOPE.test(scope)))
    refuse("scopes must be a list of scopes, or a text with spaces between them.");
  return list.join(" ");
}

/** RFC 8707 §2. */
function readResource(resource: OAuthTokenOptions["resource"]): string | false | undefined {
  if (resource === undefined || resource === false) return resource;
  if (typeof resource !== "string" || !URL.canParse(resource) || resource.includes("#"))
    refuse("resource must be an absolute URI without fragment, or false.");
  return resource;
}

function readLife(options: OAuthTokenOptions): TokenLife {
  const env = environment(Object.values(LIFE).map(([variable]) => variable));
  const entries = Object.entries(LIFE).map(([name, [variable, kind, byDefault]]) => {
    const given = options[name as keyof TokenLife];
    const valid = kind === TIME ? isTime : isTimeout;
    if (given !== undefined && !valid(given))
      refuse(`${name} must be a time${kind === TIME ? "" : " above 0"}, in milliseconds.`);
    return [name, given ?? readVariable(env, NAME, variable, kind) ?? byDefault];
  });
  return Object.fromEntries(entries) as TokenLife;
}

function isText(value: unknown): value is string {
  return typeof value === "string" && VISIBLE.test(value);
}

export function refuse(hint: string): never {
  throw new ProxyError("BAD_OPTION", { plugin: `plugin '${NAME}'`, hint });
}
