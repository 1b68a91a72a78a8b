/** What a client is told that must log in, or log in for more (RFC 6750 §3, RFC 9449 §7.1, RFC 9728 §5.1). */
import { type Mount, type RequestHead, mountUrl } from "../core/index.ts";
import { writeChallenges } from "./_challenges.ts";
import { DPOP_ALGORITHMS } from "./_dpop.ts";
import { resourceMetadataUrl } from "./_oauth.ts";

/** One challenge. */
export interface Demand {
  readonly scheme: "Bearer" | "DPoP";
  readonly error?: "invalid_request" | "invalid_token" | "insufficient_scope" | "invalid_dpop_proof";
  readonly description?: string;
  /** All that the request needs. */
  readonly scopes: readonly string[];
}

/** Header fields of an answer that refuses. */
export function demand(
  request: RequestHead,
  mount: Mount,
  { scheme, error, description, scopes }: Demand,
): Record<string, string> {
  const values = {
    error,
    error_description: description,
    scope: scopes.length > 0 ? scopes.join(" ") : undefined,
    algs: scheme === "DPoP" ? DPOP_ALGORITHMS.join(" ") : undefined,
    resource_metadata: resourceMetadataUrl(mountUrl(request, mount)),
  };
  const params = Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [{ name, value }]));
  return { "www-authenticate": writeChallenges([{ scheme, params }]), "cache-control": "no-store" };
}
