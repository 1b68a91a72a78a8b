/** Whether a login at an authorization server can be safe: its endpoints, and PKCE. */
import type { AuthorizationServer } from "oauth4webapi";
import { isLoopbackHost } from "../../public-url.ts";
import type { DiscoveryOptions } from "./discovery.ts";
import { type Findings, shown } from "./findings.ts";

const ENDPOINTS = ["authorization_endpoint", "token_endpoint", "registration_endpoint", "revocation_endpoint"] as const;

export function checkServer(
  as: AuthorizationServer,
  isAssumed: boolean,
  findings: Findings,
  { client, trusts }: Pick<DiscoveryOptions, "client" | "trusts">,
): void {
  const issuer = new URL(as.issuer);
  for (const name of ENDPOINTS) {
    const value: unknown = as[name];
    if (value === undefined && name !== "authorization_endpoint" && name !== "token_endpoint") continue;
    const url = safeUrl(value);
    if (!url)
      findings.fatal(
        "bad-endpoint",
        `${name} is ${shown(value)}, and nothing that a browser or a client may be sent to.`,
        "Endpoints are https: URLs, or http: on this machine, without user and fragment.",
      );
    else if (!isRelated(url, issuer) && !trusts(url))
      findings.fatal(
        "foreign-endpoint",
        `${name} is at ${shown(url.origin)}, which is not of the issuer ${shown(as.issuer)}: a code for one server would be told to another.`,
        `Where that is right, name it: --trust ${url.host}`,
      );
  }
  // MCP 2025-11-25, Authorization, "Authorization Code Protection": no list, no login.
  const methods: unknown = as.code_challenge_methods_supported;
  if (!isAssumed && !(Array.isArray(methods) && methods.includes("S256")))
    findings.fatal(
      "no-s256",
      `The authorization server does not list S256 in code_challenge_methods_supported (${shown(methods)}): a code that is read on its way could be used by others.`,
      'Its metadata must have "code_challenge_methods_supported": ["S256"].',
    );
  const takesDocument = client === "document" && as.client_id_metadata_document_supported === true;
  if (client !== "registered" && !takesDocument && as.registration_endpoint === undefined)
    findings.fatal(
      "no-registration",
      "The authorization server does not let clients register by themselves.",
      "Register a client there with the redirect URI http://127.0.0.1/callback, and give its id: --client-id ID (and --client-secret '${VARIABLE}' where it has one).",
    );
}

/** What a browser may be shown, and a client may call. @returns nothing where it is not */
export function safeUrl(value: unknown): URL | undefined {
  const url = typeof value === "string" && URL.canParse(value) ? new URL(value) : undefined;
  if (!url || url.username || url.password || url.hash) return undefined;
  return url.protocol === "https:" || (url.protocol === "http:" && isLoopbackHost(url.hostname)) ? url : undefined;
}

/**
 * Whoever names an honest authorization endpoint beside a token endpoint of his own would be given the code. So endpoints are of
 * the issuer's origin, or one host is within the domain of the other.
 */
function isRelated(url: URL, issuer: URL): boolean {
  if (url.origin === issuer.origin) return true;
  if (url.protocol !== "https:" || issuer.protocol !== "https:") return false;
  const [one, other] = [url.hostname, issuer.hostname];
  return one === other || one.endsWith(`.${other}`) || (other.endsWith(`.${one}`) && one.includes("."));
}
