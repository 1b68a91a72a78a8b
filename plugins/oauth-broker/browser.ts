/** Cookies: which browser is asking, and to what its user has consented before. */
import type { RequestHead } from "../../core/index.ts";
import { randomText } from "./random.ts";

/** As long as a login may take, and as consent is remembered; the browser's id is no secret of the user. */
const MAX_AGE = 400 * 86_400;
const ID = /^[\w-]{43}$/;

/** The name of a cookie: with `__Host-` no other host, no path and no plain connection can set it (RFC 6265bis §4.1.3). */
function nameOf(request: RequestHead, name: string): string {
  return `${isSecure(request) ? "__Host-" : ""}penstock-${name}`;
}

function isSecure({ publicUrl }: RequestHead): boolean {
  return publicUrl.startsWith("https:");
}

function setCookie(request: RequestHead, name: string, value: string, maxAge: number): string {
  // Lax: the provider sends the browser back from another site.
  const secure = isSecure(request) ? "; Secure" : "";
  return `${nameOf(request, name)}=${value}; Path=/; Max-Age=${maxAge}; HttpOnly; SameSite=Lax${secure}`;
}

/** @returns nothing where it is not there, or there twice: then one of them is somebody else's */
function readCookie(request: RequestHead, name: string): string | undefined {
  const wanted = `${nameOf(request, name)}=`;
  const found = (request.headers.get("cookie") ?? "")
    .split(/[;,]/)
    .map((part) => part.trim())
    .filter((part) => part.startsWith(wanted));
  return found.length === 1 ? found[0]!.slice(wanted.length) : undefined;
}

/** Which browser this is. @returns nothing for one that was never here */
export function browserOf(request: RequestHead): string | undefined {
  const id = readCookie(request, "browser");
  return id !== undefined && ID.test(id) ? id : undefined;
}

/** A new id, and the cookie that gives it to the browser. */
export function newBrowser(request: RequestHead): { id: string; cookie: string } {
  const id = randomText();
  return { id, cookie: setCookie(request, "browser", id, MAX_AGE) };
}

/** Consents that the browser keeps for one server; opaque here. */
export function consentsOf(request: RequestHead, server: string): string | undefined {
  return readCookie(request, `consent-${server}`);
}

export function keepConsents(request: RequestHead, server: string, sealed: string, lifetime: number): string {
  return setCookie(request, `consent-${server}`, sealed, Math.ceil(lifetime / 1000));
}
