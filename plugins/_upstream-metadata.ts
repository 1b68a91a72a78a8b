/** A server's own protected-resource metadata, fetched from its own origin only: other URLs in what it says are not followed. */
import {
  type App,
  type Json,
  type Mount,
  type State,
  defineState,
  discard,
  isProxyError,
  isRecord,
  readJson,
} from "../core/index.ts";
import { PROTECTED_RESOURCE } from "./_oauth.ts";

const TIMEOUT = 5000;
const MAX_BYTES = 256 * 1024;
/** A document that could not be had is asked for again after this long, in milliseconds. */
const RETRY = 5000;
const JSON_TYPE = /^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i;
const AUTHORIZATION_SERVER = "/.well-known/oauth-authorization-server";

interface Held {
  document: Promise<Json | undefined>;
  until: number;
}

const held: State<Held> = defineState("oauth-relay.document");
/** Path of the document that the server's last challenge named. */
const hinted: State<string> = defineState("oauth-relay.hint");

/** Remembers where a challenge says that the document is. */
export function rememberHint(mount: Mount, url: string): void {
  const upstream = new URL(mount.upstream);
  if (!URL.canParse(url, upstream)) return;
  const { origin, pathname, search } = new URL(url, upstream);
  const path = pathname + search;
  if (origin !== upstream.origin || path === mount.get(hinted)) return;
  mount.set(hinted, path);
  const known = mount.get(held);
  if (known) known.until = 0;
}

/**
 * The document without `resource`, which names the server and not the mount. One request serves all who ask meanwhile.
 *
 * @param maxAge how long it is kept, in milliseconds
 * @returns nothing when the server has none, or cannot be asked; never rejects
 */
export function upstreamMetadata(app: App, mount: Mount, maxAge: number): Promise<Json | undefined> {
  const known = mount.get(held);
  if (known && performance.now() < known.until) return known.document;
  const entry: Held = { document: lookUp(app, mount), until: Number.POSITIVE_INFINITY };
  mount.set(held, entry);
  void entry.document.then((found) => {
    // A hint that came meanwhile has ended it already.
    if (entry.until > 0) entry.until = performance.now() + (found ? maxAge : Math.min(RETRY, maxAge));
  });
  return entry.document;
}

async function lookUp(app: App, mount: Mount): Promise<Json | undefined> {
  const { origin, pathname } = new URL(mount.upstream);
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), TIMEOUT);
  try {
    const places = new Set([mount.get(hinted), PROTECTED_RESOURCE + pathname.replace(/\/+$/, ""), PROTECTED_RESOURCE]);
    for (const path of places) {
      const found = path && (await fetchJson(app, mount, path, stop.signal));
      if (found && Array.isArray(found.authorization_servers) && isFor(found.resource, mount.upstream)) {
        const servers = found.authorization_servers.filter(isHttpUrl);
        // A signed copy would outweigh the rest (RFC 9728 §2.2), with the server's own URL in it.
        const { resource: _resource, signed_metadata: _signed, ...rest } = found;
        if (servers.length > 0) return { ...rest, authorization_servers: servers };
      }
    }
    // Revision 2025-03-26 had no such document: a server's origin was its authorization server.
    const own = await fetchJson(app, mount, AUTHORIZATION_SERVER, stop.signal);
    if (own && isHttpUrl(own.issuer) && new URL(own.issuer).href === `${origin}/`)
      return { authorization_servers: [own.issuer] };
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

/** @returns nothing where it is not there, or is not a JSON object */
async function fetchJson(app: App, mount: Mount, path: string, signal: AbortSignal): Promise<Json | undefined> {
  if (signal.aborted) return undefined;
  const late = new Promise<undefined>((resolve) =>
    signal.addEventListener("abort", () => resolve(undefined), { once: true }),
  );
  try {
    const answer = await app.call(
      mount,
      { method: "GET", path, headers: new Headers({ accept: "application/json" }), signal },
      { reason: `metadata at ${path}` },
    );
    if (answer.status !== 200 || !JSON_TYPE.test(answer.headers.get("content-type") ?? "")) return void discard(answer);
    const value: unknown = await Promise.race([readJson(answer, MAX_BYTES), late]);
    return isRecord(value) ? value : undefined;
  } catch (cause) {
    app.log.debug(() => `${mount.server}: no metadata at ${path}: ${isProxyError(cause) ? cause.code : String(cause)}`);
    return undefined;
  }
}

/** Of another origin it is the server's public name, which only it knows. At its own origin it must be this server, not a neighbour. */
function isFor(resource: unknown, upstream: string): boolean {
  if (!isHttpUrl(resource)) return false;
  const [named, own] = [new URL(resource), new URL(upstream)];
  return named.origin !== own.origin || `${own.pathname}/`.startsWith(named.pathname.replace(/\/*$/, "/"));
}

function isHttpUrl(value: unknown): value is string {
  return typeof value === "string" && URL.canParse(value) && /^https?:$/.test(new URL(value).protocol);
}
