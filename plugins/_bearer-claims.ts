/** From what an authorization server says in a token, or about it, to who is asking. */
import { type Json, type Principal, isRecord } from "../core/index.ts";

/** Why a token does not count. Fit for `error_description` (RFC 6750 §3): ASCII, without quotes and backslashes. */
export interface Refusal {
  readonly refused: string;
}

/** A token that counts. */
export interface AccessToken {
  readonly principal: Principal;
  /** Thumbprint of the key that it is bound to (RFC 9449 §6). */
  readonly jkt: string | undefined;
}

/** OpenID Connect Core §2 allows a subject 255 characters; this is for those who do not know. */
const MAX_SUBJECT = 1024;
/** RFC 7662 §2.2, RFC 7519 §4.1: looked at where a library has not. */
interface Expected {
  readonly issuer: string;
  readonly audiences: readonly string[];
  /** In seconds. */
  readonly skew: number;
}

export function refuse(refused: string): Refusal {
  return { refused };
}

export function isRefusal(value: object): value is Refusal {
  return "refused" in value;
}

/** Checks what an introspection endpoint has answered. @returns nothing where it is as it should be */
export function checkIntrospected(claims: Json, { issuer, audiences, skew }: Expected): Refusal | undefined {
  const now = Date.now() / 1000;
  const { active, iss, aud, exp, nbf } = claims;
  if (active !== true) return refuse("The token is not active.");
  if (iss !== undefined && iss !== issuer) return refuse("The token is of another issuer.");
  if (exp !== undefined && !(typeof exp === "number" && exp + skew > now)) return refuse("The token has expired.");
  if (nbf !== undefined && !(typeof nbf === "number" && nbf - skew <= now))
    return refuse("The token is not valid yet.");
  if (![aud].flat().some((one) => typeof one === "string" && audiences.includes(one))) return wrongAudience(audiences);
  return undefined;
}

export function wrongAudience([resource]: readonly string[]): Refusal {
  return refuse(`The token is not for this server. Ask for one with the resource ${plain(resource ?? "")}`);
}

/** @returns a refusal where the token says nothing of somebody, or is bound to what cannot be checked here */
export function tokenOf(issuer: string, claims: Json): AccessToken | Refusal {
  const id = principalId(issuer, claims);
  if (id === undefined) return refuse("The token does not say whose it is.");
  const { cnf } = claims;
  let jkt: string | undefined;
  if (cnf !== undefined) {
    // RFC 7800 §3.1: whoever cannot check the confirmation must not take the token.
    if (!isRecord(cnf) || typeof cnf.jkt !== "string" || Object.keys(cnf).length !== 1)
      return refuse("The token is bound to something that cannot be checked here.");
    jkt = cnf.jkt;
  }
  const scopes = Object.freeze(scopesOf(claims));
  return { principal: Object.freeze({ id, scopes, claims: Object.freeze({ ...claims, iss: issuer }) }), jkt };
}

/**
 * A subject is unique within its issuer only (RFC 7519 §4.1.2), and an issuer has neither query nor fragment: what stands before the
 * first `#` or `?` is the issuer, the rest is the subject, or the client where a client acts for itself.
 */
function principalId(issuer: string, { sub, client_id: client, azp }: Json): string | undefined {
  if (sub !== undefined) return isName(sub) ? `${issuer}#${visible(sub)}` : undefined;
  const own = client ?? azp;
  return isName(own) ? `${issuer}?client_id=${visible(own)}` : undefined;
}

/** Half a surrogate pair would look like another one as soon as it is written. */
function isName(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= MAX_SUBJECT && !/\p{Surrogate}/u.test(value);
}

/** Fit for a line of the log, and never equal for two names. */
function visible(name: string): string {
  return name.replace(/[^!-$&-~]+/g, encodeURIComponent);
}

/** RFC 8693 §4.2: separated by spaces. Some providers have a list, or call it `scp`. */
function scopesOf({ scope, scp }: Json): string[] {
  const found = scope ?? scp;
  const names = Array.isArray(found) ? found : typeof found === "string" ? found.split(" ") : [];
  return [...new Set(names.filter((name): name is string => typeof name === "string" && name !== ""))];
}

function plain(text: string): string {
  return text.replace(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, "");
}
