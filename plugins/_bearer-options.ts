/** What the options of `bearer-auth` must be, and what they become. */
import { ProxyError, isLoopbackHost } from "../core/index.ts";
import { compilePatterns } from "./_patterns.ts";
import type { BearerAuthOptions, BearerIssuer, IntrospectionOptions } from "./bearer-auth.ts";

export const NAME = "bearer-auth";

/** One authorization server, checked. */
export interface IssuerSettings {
  readonly issuer: string;
  readonly jwksUri: string | undefined;
  readonly secret: Uint8Array | undefined;
  readonly algorithms: string[];
  /** Media types of tokens, in lower case; none stands for the usual ones. */
  readonly type: string | undefined;
  readonly introspection: IntrospectionSettings | undefined;
}

export type IntrospectionSettings = Required<Omit<IntrospectionOptions, "endpoint">> & { endpoint: string | undefined };

/** All options, checked. */
export interface BearerSettings {
  readonly issuers: readonly IssuerSettings[];
  readonly audiences: readonly string[];
  readonly scopes: readonly string[];
  /** What a call of a tool needs beside `scopes`. */
  readonly scopesOf: (tool: string) => string[];
  readonly hasTools: boolean;
  readonly dpopRequired: boolean;
  /** In seconds. */
  readonly skew: number;
}

/** Signatures that whoever reads the keys cannot make (RFC 8725 §3.1, §3.2). */
const ASYMMETRIC = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519",
];
const SYMMETRIC = ["HS256", "HS384", "HS512"];
const MAX_SKEW = 300_000;
/** RFC 7518 §3.2: a key of the hash's size at least. */
const MIN_SECRET = 32;
/** RFC 6749 §3.3. */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+$/;

/** @throws ProxyError `BAD_OPTION`, with no secret in it */
export function checkOptions(options: BearerAuthOptions): BearerSettings {
  const { audiences = [], scopes = [], tools = {}, dpop = "optional", skew = 30_000 } = options ?? {};
  const issuers = [options?.issuers ?? []].flat().map(checkIssuer);
  if (issuers.length === 0)
    throw badOption(
      "issuers: at least one authorization server is needed. For keys alone there is the plugin api-keys.",
    );
  const twin = issuers.find(({ issuer }, i) => issuers.findIndex((one) => one.issuer === issuer) < i);
  if (twin) throw badOption(`issuers: ${twin.issuer} is there twice.`);
  // Whoever is asked about a token learns it.
  if (issuers.filter(({ introspection }) => introspection).length > 1)
    throw badOption("issuers: one of them may have `introspection`, or a token would be shown to the others.");
  if (!isTexts(audiences)) throw badOption("audiences must be a list of non-empty texts.");
  if (dpop !== "optional" && dpop !== "required") throw badOption('dpop may be "optional" or "required".');
  if (!Number.isFinite(skew) || skew < 0 || skew > MAX_SKEW)
    throw badOption(`skew is a number of milliseconds, ${MAX_SKEW} at most.`);
  const rules = Object.entries(tools).map(([pattern, needed]) => ({
    matches: compilePatterns([pattern], NAME),
    needed: checkScopes(needed, `tools[${JSON.stringify(pattern)}]`),
  }));
  return {
    issuers,
    audiences,
    scopes: checkScopes(scopes, "scopes"),
    scopesOf: (tool) => rules.flatMap(({ matches, needed }) => (matches(tool) ? needed : [])),
    hasTools: rules.length > 0,
    dpopRequired: dpop === "required",
    skew: skew / 1000,
  };
}

function checkIssuer(given: string | BearerIssuer): IssuerSettings {
  const { issuer, jwksUri, secret, algorithms, type, introspection } =
    typeof given === "object" && given !== null ? given : { issuer: given };
  // RFC 8414 §2: neither query nor fragment.
  if (!isSecureUrl(issuer) || /[?#\s]/.test(issuer))
    throw badOption(
      `issuers: ${JSON.stringify(issuer)} is no issuer: that is an https: URL without query, as its metadata and tokens have it.`,
    );
  const where = `issuers (${issuer})`;
  if (jwksUri !== undefined && !isSecureUrl(jwksUri)) throw badOption(`${where}: jwksUri must be an https: URL.`);
  const bytes = secret === undefined ? undefined : new TextEncoder().encode(String(secret));
  if (bytes && bytes.length < MIN_SECRET)
    throw badOption(`${where}: secret has ${MIN_SECRET} bytes at least. Is its environment variable set?`);
  if (bytes && (jwksUri !== undefined || introspection))
    throw badOption(
      `${where}: secret is for tokens of that secret; \`jwksUri\` and \`introspection\` are others' ways.`,
    );
  const possible = bytes ? SYMMETRIC : ASYMMETRIC;
  const wanted = algorithms ?? (bytes ? ["HS256"] : ASYMMETRIC);
  if (!isTexts(wanted) || wanted.length === 0 || !wanted.every((name) => possible.includes(name)))
    throw badOption(
      `${where}: algorithms may be ${possible.join(", ")}${bytes ? "" : "; HS256 and such need `secret`"}.`,
    );
  if (type !== undefined && (typeof type !== "string" || type === ""))
    throw badOption(`${where}: type is a text such as "at+jwt".`);
  return {
    issuer,
    jwksUri,
    secret: bytes,
    algorithms: [...wanted],
    type: type && mediaSubtype(type),
    introspection: introspection && checkIntrospection(introspection, where),
  };
}

function checkIntrospection(given: IntrospectionOptions, where: string): IntrospectionSettings {
  const { endpoint, clientId, clientSecret, authMethod = "basic", maxAge = 30_000 } = given;
  if (typeof clientId !== "string" || clientId === "") throw badOption(`${where}: introspection needs a clientId.`);
  if (typeof clientSecret !== "string" || clientSecret === "")
    throw badOption(`${where}: introspection needs a clientSecret. Is its environment variable set?`);
  if (endpoint !== undefined && !isSecureUrl(endpoint))
    throw badOption(`${where}: the endpoint of introspection must be an https: URL.`);
  if (authMethod !== "basic" && authMethod !== "post")
    throw badOption(`${where}: the authMethod of introspection may be "basic" or "post".`);
  if (!Number.isFinite(maxAge) || maxAge < 0)
    throw badOption(`${where}: the maxAge of introspection is a number of milliseconds, 0 or more.`);
  return { endpoint, clientId, clientSecret, authMethod, maxAge };
}

function checkScopes(scopes: readonly string[], where: string): readonly string[] {
  if (!Array.isArray(scopes) || !scopes.every((scope) => typeof scope === "string" && SCOPE.test(scope)))
    throw badOption(`${where} must be a list of scopes: visible ASCII without spaces, quotes and backslashes.`);
  return scopes;
}

/** `http:` on this machine only, where nobody listens in. */
function isSecureUrl(text: unknown): text is string {
  if (typeof text !== "string" || !URL.canParse(text)) return false;
  const { protocol, hostname, username, password } = new URL(text);
  return (protocol === "https:" || (protocol === "http:" && isLoopbackHost(hostname))) && !username && !password;
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((text) => typeof text === "string" && text !== "");
}

/** RFC 7515 §4.1.9: `application/` may be left out. */
export function mediaSubtype(type: string): string {
  return type.toLowerCase().replace(/^application\//, "");
}

function badOption(hint: string): ProxyError {
  return new ProxyError("BAD_OPTION", { plugin: `plugin '${NAME}'`, hint });
}
