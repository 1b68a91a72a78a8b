/**
 * From a refusal to an authorization server, in the order in which clients look (MCP 2025-11-25 and 2026-07-28, Authorization;
 * RFC 9728, RFC 8414; MCP 2025-03-26 for servers without metadata of the resource).
 */
import type { AuthorizationServer } from "oauth4webapi";
import type { GuardedFetch } from "../../outbound/guarded-fetch.ts";
import type { Json } from "../../types.ts";
import { checkServer } from "./check-server.ts";
import { Documents } from "./documents.ts";
import { Findings, type Mistake, type Step, shown } from "./findings.ts";
import { MAX_SCOPES, type Refusal, isScope } from "./refusal.ts";

/** What there is to know before a login. */
export interface Discovery {
  readonly steps: readonly Step[];
  readonly mistakes: readonly Mistake[];
  /** The first mistake that makes a login impossible, or unsafe. */
  readonly reason: Mistake | undefined;
  /** What tokens are asked for (RFC 8707); `undefined` for a server of 2025-03-26, whose clients did not say. */
  readonly resource: string | undefined;
  /** Which scopes the server offers. */
  readonly scopes: readonly string[] | undefined;
  /** `undefined` where none was found. */
  readonly as: AuthorizationServer | undefined;
  /** It published nothing, and has its endpoints where MCP 2025-03-26 puts them. */
  readonly isAssumed: boolean;
}

const PROTECTED_RESOURCE = "/.well-known/oauth-protected-resource";
const AUTHORIZATION_SERVER = "/.well-known/oauth-authorization-server";
const OPENID = "/.well-known/openid-configuration";

/** What a discovery needs. */
export interface DiscoveryOptions {
  fetch: GuardedFetch;
  signal: AbortSignal;
  /** Whether the operator named the host of a URL. */
  trusts(url: URL): boolean;
  /** A client id is there, or a metadata document of one. */
  client?: "registered" | "document";
}

/**
 * Walks it. Never rejects but with the signal's reason: what goes wrong is a step, and a mistake.
 *
 * @param server the URL that the user typed
 */
export async function discover(server: URL, refusal: Refusal, options: DiscoveryOptions): Promise<Discovery> {
  const findings = new Findings();
  const documents = new Documents(options.fetch, findings, options.signal);
  const found: { resource?: Json; as?: AuthorizationServer; isAssumed: boolean } = { isAssumed: false };
  found.resource = await findResource(server, refusal, documents, findings);
  if (!findings.reason) {
    const issuer = found.resource ? (found.resource.authorization_servers as string[])[0]! : server.origin;
    found.as = await findServer(issuer, server, found.resource === undefined, documents, findings);
    if (!found.as && !findings.reason && !found.resource) {
      found.isAssumed = true;
      found.as = assumed(server, findings);
    }
    if (found.as) checkServer(found.as, found.isAssumed, findings, options);
  }
  const offered = found.resource?.scopes_supported;
  return {
    steps: findings.steps,
    mistakes: findings.mistakes,
    reason: findings.reason,
    resource: found.resource?.resource as string | undefined,
    scopes: Array.isArray(offered) ? offered.filter(isScope).slice(0, MAX_SCOPES) : undefined,
    as: found.as,
    isAssumed: found.isAssumed,
  };
}

/** @returns the protected-resource metadata, with a `resource` that is this server's, and an authorization server */
async function findResource(
  server: URL,
  { status, challenged, metadata }: Refusal,
  documents: Documents,
  findings: Findings,
): Promise<Json | undefined> {
  findings.step("challenge", challenged, challenged ? "a login is wanted" : "no challenge that can be read", {
    url: server,
    status,
  });
  if (!challenged)
    findings.warn(
      "no-challenge",
      "The refusal has no WWW-Authenticate field that names a way to log in.",
      `Send WWW-Authenticate: Bearer resource_metadata="…": clients that do not guess have no other way (RFC 9728 §5.1).`,
    );
  const named = readUrl(metadata, server, findings);
  const path = server.pathname.replace(/\/+$/, "");
  const places = [PROTECTED_RESOURCE + path, PROTECTED_RESOURCE].map((place) => new URL(place, server));
  const seen = new Set<string>();
  for (const url of named ? [named, ...places] : places) {
    if (seen.has(url.href)) continue;
    seen.add(url.href);
    const document = await documents.get("resource metadata", url, url === named);
    if (!document) continue;
    const { resource, authorization_servers: servers } = document;
    if (!checkResource(resource, server, url, findings)) return undefined;
    if (Array.isArray(servers) && typeof servers[0] === "string") {
      findings.step("resource metadata", true, `for ${shown(resource)}, authorization server ${shown(servers[0])}`, {
        url,
        status: 200,
      });
      return document;
    }
    findings.step("resource metadata", false, "it names no authorization server", { url, status: 200 });
    findings.warn(
      "bad-metadata",
      `${url.origin}${url.pathname} names no authorization server.`,
      "Put the issuer of the authorization server into `authorization_servers` (RFC 9728 §2).",
    );
  }
  return undefined;
}

function readUrl(metadata: string | undefined, server: URL, findings: Findings): URL | undefined {
  if (metadata === undefined) return undefined;
  const url = URL.canParse(metadata) ? new URL(metadata) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password) {
    findings.warn(
      "bad-metadata",
      `The challenge names ${shown(metadata)}, which is no URL of a document.`,
      "resource_metadata must be the absolute https: URL of the protected-resource metadata.",
    );
    return undefined;
  }
  if (isDowngraded(url, server)) wrongScheme("The challenge", metadata, findings);
  return url;
}

/** RFC 9728 §3.3, as clients apply it: the same origin, and the server's path or one above it. */
function checkResource(resource: unknown, server: URL, at: URL, findings: Findings): boolean {
  const named = typeof resource === "string" && URL.canParse(resource) ? new URL(resource) : undefined;
  const own = server.origin + server.pathname;
  if (named?.origin === server.origin && `${server.pathname}/`.startsWith(named.pathname.replace(/\/*$/, "/"))) {
    if (named.pathname.replace(/\/+$/, "") !== server.pathname.replace(/\/+$/, ""))
      findings.warn(
        "resource-too-wide",
        `The metadata is for ${shown(resource)}, which is wider than ${shown(own)}: tokens are good for everything below it, and some clients demand the exact URL.`,
        `Serve ${PROTECTED_RESOURCE}${server.pathname.replace(/\/+$/, "")} with "resource": ${shown(own)}.`,
      );
    return true;
  }
  findings.step("resource metadata", false, `it is for ${shown(resource)}, and not for this server`, {
    url: at,
    status: 200,
  });
  if (named && isDowngraded(named, server)) wrongScheme(`${at.origin}${at.pathname}`, named.href, findings);
  findings.fatal(
    "resource-mismatch",
    `${at.origin}${at.pathname} is for ${shown(resource)}, and not for ${shown(own)}: a token for it would be another server's.`,
    `"resource" must be ${shown(own)}, the URL that clients use. Behind a proxy its public URL must be configured (publicUrl in Penstock).`,
  );
  return false;
}

async function findServer(
  issuer: string,
  server: URL,
  isOld: boolean,
  documents: Documents,
  findings: Findings,
): Promise<AuthorizationServer | undefined> {
  const url = URL.canParse(issuer) ? new URL(issuer) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password || url.search || url.hash) {
    findings.fatal(
      "bad-metadata",
      `${shown(issuer)} is no issuer.`,
      "An issuer is an https: URL without query and fragment (RFC 8414 §2).",
    );
    return undefined;
  }
  if (isDowngraded(url, server)) wrongScheme("The resource metadata", issuer, findings);
  const path = url.pathname.replace(/\/+$/, "");
  const inserted = [AUTHORIZATION_SERVER + path, OPENID + path];
  for (const place of path === "" || isOld ? inserted : [...inserted, path + OPENID]) {
    const at = new URL(place, url);
    const document = await documents.get("authorization server metadata", at, false);
    if (!document) continue;
    const status = 200;
    // As the SDKs do: a slash at the end of the name alone is not another issuer.
    if (document.issuer !== issuer && !(issuer.endsWith("/") && document.issuer === issuer.slice(0, -1))) {
      findings.step("authorization server metadata", false, `issuer ${shown(document.issuer)}`, { url: at, status });
      findings.fatal(
        "issuer-mismatch",
        `${at.origin}${at.pathname} says that its issuer is ${shown(document.issuer)}, and not ${shown(issuer)}.`,
        isOld
          ? "An authorization server on the server's own origin must name that origin as issuer. Where it is elsewhere, serve protected-resource metadata that names it."
          : "The issuer must be the same text in both documents (RFC 8414 §3.3). Behind a proxy its public URL must be configured.",
      );
      return undefined;
    }
    findings.step("authorization server metadata", true, `issuer ${shown(document.issuer)}`, { url: at, status });
    return document as unknown as AuthorizationServer;
  }
  if (!isOld)
    findings.fatal(
      "no-metadata",
      `The authorization server ${shown(issuer)} has no metadata that could be had.`,
      `It must be at ${url.origin}${AUTHORIZATION_SERVER}${path} (RFC 8414 §3.1), or be an OpenID provider's.`,
    );
  return undefined;
}

/** MCP 2025-03-26, Authorization, "Fallbacks for Servers without Metadata Discovery". */
function assumed({ origin }: URL, findings: Findings): AuthorizationServer {
  findings.step(
    "authorization server",
    true,
    `no metadata; /authorize, /token and /register of ${origin} (2025-03-26)`,
  );
  findings.warn(
    "no-metadata",
    "The server wants a login and tells nowhere how.",
    `Serve ${PROTECTED_RESOURCE} metadata. Clients are left with ${origin}/authorize, as in the revision of 2025-03-26. A server that takes an API key needs it as a header.`,
  );
  return {
    issuer: origin,
    authorization_endpoint: `${origin}/authorize`,
    token_endpoint: `${origin}/token`,
    registration_endpoint: `${origin}/register`,
  };
}

function isDowngraded(url: URL, server: URL): boolean {
  return server.protocol === "https:" && url.protocol === "http:" && url.hostname === server.hostname;
}

function wrongScheme(who: string, url: string, findings: Findings): void {
  findings.warn(
    "wrong-scheme",
    `${who} names ${shown(url)}: http:, although the server is reached by https:.`,
    "The server does not know that TLS ends in front of it. Configure its public URL (publicUrl in Penstock), or have the proxy in front send X-Forwarded-Proto and be trusted.",
  );
}
