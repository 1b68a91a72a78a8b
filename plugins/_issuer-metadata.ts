/** Metadata of an authorization server, found as MCP clients find it: RFC 8414 §3.1 first, then OpenID Connect Discovery. */
import { type AuthorizationServer, processDiscoveryResponse } from "oauth4webapi";
import type { GuardedFetch } from "../core/index.ts";

const OAUTH = "/.well-known/oauth-authorization-server";
const OPENID = "/.well-known/openid-configuration";

/** Where the metadata of an issuer may lie, in the order in which they are asked for. */
export function metadataUrls(issuer: string): string[] {
  const { origin, pathname } = new URL(issuer);
  const path = pathname.replace(/\/+$/, "");
  const forms = [OAUTH + path, OPENID + path, path + OPENID];
  return [...new Set(forms)].map((place) => origin + place);
}

/**
 * @param fetch within whose rules it is asked for
 * @returns metadata that name this issuer, byte for byte; metadata that name another one must not be used (RFC 8414 §3.3)
 * @throws Error with a sentence for the log, or what the last fetch failed with
 */
export async function issuerMetadata(
  fetch: GuardedFetch,
  issuer: string,
  signal?: AbortSignal,
): Promise<AuthorizationServer> {
  let last: unknown = new Error("its metadata are at none of the well-known places");
  for (const url of metadataUrls(issuer)) {
    let response: Response;
    try {
      response = await fetch(url, { headers: { accept: "application/json" }, signal });
    } catch (cause) {
      if (signal?.aborted) throw cause;
      // A page in place of the document, or nothing: the next place may have it.
      last = cause;
      continue;
    }
    if (response.status !== 200) {
      if (response.status >= 500) last = new Error(`its metadata were answered with HTTP ${response.status}`);
      continue;
    }
    const found = await processDiscoveryResponse(new URL(issuer), response);
    // The library takes `https://as` and `https://as/` for one issuer; tokens name one of them.
    if (found.issuer === issuer) return found;
    throw new Error(
      `its metadata call it ${JSON.stringify(found.issuer)}, and the configuration ${JSON.stringify(issuer)}`,
    );
  }
  throw last;
}
