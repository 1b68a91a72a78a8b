/** Whether an access token counts: by its signature (RFC 9068), or by what its authorization server says (RFC 7662). */
import { type JWTVerifyOptions, decodeJwt, errors, jwtVerify } from "jose";
import { type GuardedFetch, type Json, type Logger, isProxyError } from "../core/index.ts";
import {
  type AccessToken,
  type Refusal,
  checkIntrospected,
  isRefusal,
  refuse,
  tokenOf,
  wrongAudience,
} from "./_bearer-claims.ts";
import { type BearerSettings, type IssuerSettings, mediaSubtype } from "./_bearer-options.ts";
import { Introspection } from "./_introspection.ts";
import { IssuerKeys } from "./_issuer-keys.ts";

/** Types of access tokens where none is configured: one that says it is something else (a proof, an ID-JAG, a logout) is that. */
const USUAL_TYPES: readonly (string | undefined)[] = [undefined, "jwt", "at+jwt"];

/** One authorization server and what is kept of it. */
interface Checker extends IssuerSettings {
  readonly keys: IssuerKeys;
  readonly introspector: Introspection | undefined;
}

export class BearerTokens {
  readonly #checkers: readonly Checker[];
  readonly #skew: number;

  constructor({ issuers, skew }: BearerSettings, fetch: GuardedFetch, log: Logger) {
    this.#skew = skew;
    this.#checkers = issuers.map((one) => ({
      ...one,
      keys: new IssuerKeys(fetch, one.issuer, one.jwksUri, log),
      introspector: one.introspection && new Introspection(fetch, one.issuer, one.introspection, log),
    }));
  }

  /**
   * @param audiences names of the resource that it must be for, one of them
   * @throws ProxyError `ISSUER_UNAVAILABLE` where nobody can tell now
   */
  async read(token: string, audiences: string[]): Promise<AccessToken | Refusal> {
    const named = issuerIn(token);
    const checker = this.#checkers.find(({ issuer, introspector }) =>
      // A token that names its issuer is shown to no other.
      named === undefined ? introspector !== undefined : issuer === named,
    );
    if (!checker)
      return refuse(named === undefined ? "The token cannot be read here." : "The token is of another issuer.");
    const claims = checker.introspector
      ? await this.#introspect(checker.introspector, checker, token, audiences)
      : await this.#verify(checker, token, audiences);
    return isRefusal(claims) ? claims : tokenOf(checker.issuer, claims);
  }

  async #introspect(from: Introspection, { issuer }: Checker, token: string, audiences: string[]) {
    const claims = await from.ask(token);
    return checkIntrospected(claims, { issuer, audiences, skew: this.#skew }) ?? claims;
  }

  async #verify(checker: Checker, token: string, audiences: string[]): Promise<Json | Refusal> {
    const { issuer, algorithms, type, secret, keys } = checker;
    const options: JWTVerifyOptions = {
      issuer,
      audience: audiences,
      algorithms,
      clockTolerance: this.#skew,
      requiredClaims: ["exp"],
    };
    try {
      const { payload, protectedHeader } = secret
        ? await jwtVerify(token, secret, options)
        : await verifyWith(keys, token, options);
      const found = protectedHeader.typ === undefined ? undefined : mediaSubtype(protectedHeader.typ);
      if (type === undefined ? USUAL_TYPES.includes(found) : found === type) return payload;
      return refuse("The token is no access token.");
    } catch (cause) {
      if (isProxyError(cause)) throw cause;
      return reasonOf(cause, audiences);
    }
  }
}

async function verifyWith(keys: IssuerKeys, token: string, options: JWTVerifyOptions) {
  try {
    return await jwtVerify(token, keys.find, options);
  } catch (cause) {
    if (!(cause instanceof errors.JWKSMultipleMatchingKeys)) throw cause;
    // Keys without names, or a token that names none: one of them it is.
    for await (const key of cause) {
      const found = await jwtVerify(token, key, options).catch((error: unknown) => {
        if (!(error instanceof errors.JWSSignatureVerificationFailed)) throw error;
      });
      if (found) return found;
    }
    throw cause;
  }
}

/** Who a token says that it is from; nothing where it says nothing that can be read. It is believed when the signature is checked. */
function issuerIn(token: string): string | undefined {
  try {
    const { iss } = decodeJwt(token);
    return typeof iss === "string" ? iss : undefined;
  } catch {
    return undefined;
  }
}

function reasonOf(cause: unknown, audiences: readonly string[]): Refusal {
  if (cause instanceof errors.JWTExpired) return refuse("The token has expired.");
  if (cause instanceof errors.JWTClaimValidationFailed) {
    if (cause.claim === "aud") return wrongAudience(audiences);
    if (cause.claim === "nbf") return refuse("The token is not valid yet.");
    if (cause.reason === "missing") return refuse(`The token has no claim ${cause.claim}.`);
  }
  return refuse("The token's signature was not accepted.");
}
