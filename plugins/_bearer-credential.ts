/** The credential of a request, from its `Authorization` (RFC 6750 §2.1, RFC 9449 §7.1). */

/** A token, and how it was presented. */
export interface Credential {
  readonly scheme: "Bearer" | "DPoP";
  readonly token: string;
}

/** No token is longer: header fields of a whole request have no more room. */
const MAX_LENGTH = 16 * 1024;
const SCHEME = /^(?:bearer|dpop)(?= |$)/i;
const TOKEN = /^[\w.~+/-]+=*$/;

/** @returns nothing where there is none, or one of another scheme */
export function readCredential(field: string | null): Credential | "malformed" | undefined {
  const scheme = field === null ? undefined : SCHEME.exec(field)?.[0];
  if (field === null || scheme === undefined) return undefined;
  if (field.length > MAX_LENGTH) return "malformed";
  const token = field.slice(scheme.length).trim();
  if (!TOKEN.test(token)) return "malformed";
  return { scheme: scheme.toLowerCase() === "dpop" ? "DPoP" : "Bearer", token };
}
