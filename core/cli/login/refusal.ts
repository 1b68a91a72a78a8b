/** What a server says when it wants a login: RFC 6750 §3, RFC 9728 §5.1. */
import { type Challenge, parseChallenges } from "../../challenges.ts";

/** A 401, or a 403 that a wider login would change. */
export interface Refusal {
  status: number;
  /** The server has sent a challenge that can be read. */
  challenged: boolean;
  /** Where its metadata is, as the challenge says; unchecked. */
  metadata?: string;
  /** What the token must be good for. */
  scopes?: readonly string[];
}

/** @returns nothing where a login would change nothing */
export function readRefusal(status: number, headers: Headers): Refusal | undefined {
  if (status !== 401 && status !== 403) return undefined;
  const challenges = parseChallenges(headers.get("www-authenticate") ?? "") ?? [];
  const bearer = challenges.find(({ scheme }) => /^bearer$/i.test(scheme)) ?? challenges.find(hasMetadata);
  if (status === 403 && (!bearer || paramOf(bearer, "error") !== "insufficient_scope")) return undefined;
  const metadata = bearer && paramOf(bearer, "resource_metadata");
  const scopes = bearer && scopesOf(paramOf(bearer, "scope"));
  return {
    status,
    challenged: bearer !== undefined,
    ...(metadata !== undefined && { metadata }),
    ...(scopes && { scopes }),
  };
}

/** RFC 6749 §3.3. @returns nothing where there is none */
export function scopesOf(text: unknown): string[] | undefined {
  const scopes = typeof text === "string" ? [...new Set(text.split(" ").filter(isScope))] : [];
  return scopes.length > 0 ? scopes.slice(0, MAX_SCOPES) : undefined;
}

export function isScope(text: unknown): text is string {
  return typeof text === "string" && /^[!#-[\]-~]{1,256}$/.test(text);
}

/** No server has a tenth of it to say, and all of them stand in one URL. */
export const MAX_SCOPES = 100;

function hasMetadata(challenge: Challenge): boolean {
  return paramOf(challenge, "resource_metadata") !== undefined;
}

function paramOf({ params }: Challenge, name: string): string | undefined {
  return params.find((param) => param.name === name)?.value;
}
