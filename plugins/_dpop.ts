/** Proofs that a caller holds the key that a token is bound to (RFC 9449 §4.3, §7.1). */
import { EmbeddedJWK, type JWTPayload, base64url, calculateJwkThumbprint, jwtVerify } from "jose";
import { type RequestHead, type Store, digest } from "../core/index.ts";
import { type Refusal, refuse } from "./_bearer-claims.ts";

export const DPOP_ALGORITHMS = ["ES256", "ES384", "ES512", "PS256", "RS256", "EdDSA", "Ed25519"];
/** How old a proof may be, in seconds; so long its `jti` is remembered. */
const MAX_AGE = 60;
/** RFC 9449 §11.1: whoever makes them must not fill the store. */
const MAX_JTI = 256;

/** What a proof is checked against. */
export interface Proven {
  readonly request: RequestHead;
  readonly token: string;
  /** Thumbprint of the key that the token is bound to. */
  readonly jkt: string;
  /** In seconds. */
  readonly skew: number;
  readonly store: Store;
}

/**
 * @returns nothing where the proof holds
 * @throws whatever the store does: without it nobody knows whether a proof was used before
 */
export async function checkProof({ request, token, jkt, skew, store }: Proven): Promise<Refusal | undefined> {
  const proof = request.headers.get("dpop");
  if (proof === null) return refuse("There is no proof in the field DPoP.");
  const claims = await readProof(proof, jkt, skew);
  if (claims === undefined) return refuse("The proof is malformed, too old, or not made with the token's key.");
  if (claims.htm !== request.method) return refuse("The proof is for another method.");
  if (!isUrlOf(claims.htu, request)) return refuse("The proof is for another URL.");
  if (claims.ath !== (await hashOf(token))) return refuse("The proof is for another token.");
  const { jti } = claims;
  if (typeof jti !== "string" || jti === "" || jti.length > MAX_JTI) return refuse("The proof has no usable jti.");
  const key = `bearer-auth/dpop/${await digest(JSON.stringify([jkt, jti]))}`;
  const isNew = await store.swap(key, undefined, "1", (MAX_AGE + 2 * skew) * 1000);
  return isNew ? undefined : refuse("The proof has been used before.");
}

async function readProof(proof: string, jkt: string, skew: number): Promise<JWTPayload | undefined> {
  try {
    const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, {
      typ: "dpop+jwt",
      algorithms: DPOP_ALGORITHMS,
      clockTolerance: skew,
      // Also refuses those that are made for later.
      maxTokenAge: MAX_AGE,
      requiredClaims: ["jti", "htm", "htu", "iat"],
    });
    return (await calculateJwkThumbprint(protectedHeader.jwk!)) === jkt ? payload : undefined;
  } catch {
    return undefined;
  }
}

async function hashOf(token: string): Promise<string> {
  return base64url.encode(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(token))));
}

/** RFC 9449 §4.3: without query and fragment, and with what differs in spelling only taken as equal. */
function isUrlOf(htu: unknown, { publicUrl, url }: RequestHead): boolean {
  if (typeof htu !== "string" || !URL.canParse(htu)) return false;
  const { origin, pathname } = new URL(htu);
  const prefix = new URL(publicUrl).pathname.replace(/\/$/, "");
  const path = url.pathname;
  // The proxy in front takes the prefix away, or does not.
  const own = prefix !== "" && path.startsWith(`${prefix}/`) ? path : prefix + path;
  return origin === new URL(publicUrl).origin && pathname === own;
}
