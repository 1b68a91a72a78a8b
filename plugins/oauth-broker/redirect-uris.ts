/** Redirect URIs: what may be one, and when one that is asked for is one that was registered (RFC 6749 §3.1.2, RFC 8252 §7). */
import { isLoopbackHost } from "../../core/index.ts";

const MAX_LENGTH = 1024;
/** Visible ASCII without what browsers and parsers read in different ways. */
const PLAIN = /^[\x21\x23-\x3b\x3d\x3f-\x5b\x5d\x5f\x61-\x7a\x7e]+$/;
/** `.` and `..`, written plainly or encoded: a path that is another one after parsing. */
const DOT_SEGMENT = /(?:^|[/\\])(?:\.|%2e){1,2}(?=$|[/\\?])/i;

/**
 * A URI to which a browser may be sent with a code: https, http on the user's own machine, or the scheme of an app.
 *
 * @param schemes of apps that are taken although they have no dot
 * @returns the URI, or why it is none, as the end of a sentence
 */
export function readRedirectUri(
  text: unknown,
  schemes: readonly string[],
): { uri: string; why?: undefined } | { uri?: undefined; why: string } {
  if (typeof text !== "string" || text.length > MAX_LENGTH || !PLAIN.test(text) || !URL.canParse(text))
    return { why: "is no absolute URI of plain characters" };
  const url = new URL(text);
  if (text.includes("#")) return { why: "has a fragment" };
  if (url.username || url.password || /^[a-z][a-z\d+.-]*:\/\/[^/?]*@/i.test(text)) return { why: "has a user in it" };
  if (DOT_SEGMENT.test(text.replace(/\?.*$/s, ""))) return { why: "has a dot segment in its path" };
  // One form only: what is compared here is what the browser will go to.
  if (url.href !== text && url.href !== `${text}/`) return { why: "is not in its normal form" };
  const scheme = url.protocol.slice(0, -1);
  if (scheme === "https") return { uri: text };
  if (scheme === "http")
    return isLoopbackHost(url.hostname)
      ? { uri: text }
      : { why: "is not encrypted: http: is for the user's own machine only" };
  // RFC 8252 §7.1: a reversed domain name; no scheme that browsers themselves act upon has a dot.
  if (scheme.includes(".") || schemes.includes(scheme)) return { uri: text };
  return { why: "has a scheme that is not taken here" };
}

/**
 * The same text; of loopback URIs the port may differ, since apps take whichever is free (RFC 8252 §7.3).
 *
 * @param asked has passed {@link readRedirectUri}
 */
export function isRegistered(asked: string, registered: readonly string[]): boolean {
  return registered.some((uri) => uri === asked || isSameButPort(uri, asked));
}

function isSameButPort(uri: string, asked: string): boolean {
  const [a, b] = [new URL(uri), new URL(asked)];
  if (a.protocol !== "http:" || !isLoopbackHost(a.hostname)) return false;
  a.port = b.port = "";
  return a.href === b.href;
}

/** Adds parameters to the query that a redirect URI may have (RFC 6749 §4.1.2). */
export function withParams(uri: string, params: Readonly<Record<string, string | undefined>>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) if (value !== undefined) query.append(name, value);
  return `${uri}${uri.includes("?") ? "&" : "?"}${query.toString()}`;
}
