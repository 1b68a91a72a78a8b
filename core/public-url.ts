/** The one answer to the question under which URL clients know this proxy, or one of its mounts. */
import { addressSet } from "./addresses.ts";
import { ProxyError } from "./errors.ts";
import { forwardedOrigin } from "./forwarding.ts";
import { messagesPath } from "./paths.ts";
import type { Mount, PenstockConfig, RequestHead } from "./types.ts";

/** Fields that only a proxy in between adds: who sends them is not the client itself. */
const FORWARDING_FIELDS = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via"];

/** Answers for one proxy, by its configuration. */
export interface PublicOrigin {
  /** What the configuration says, without trailing slash. */
  readonly configured: string | undefined;
  /** Its path, without trailing slash: `""` or `/team`. */
  readonly prefix: string;
  /** Origin and path prefix of the public URL, without trailing slash. */
  of(head: Pick<RequestHead, "url" | "headers" | "ip">): string;
}

/**
 * The configured URL; else what a trusted proxy in front says; else the scheme and Host of the request itself, whose syntax the
 * core has checked.
 *
 * @throws ProxyError `BAD_CONFIG`
 */
export function createPublicOrigin(config: Pick<PenstockConfig, "publicUrl" | "trustedProxies">): PublicOrigin {
  const configured = config.publicUrl === undefined ? undefined : checkPublicUrl(config.publicUrl);
  const { trustedProxies = [] } = config;
  const trusted = Array.isArray(trustedProxies) ? addressSet(trustedProxies) : { invalid: trustedProxies };
  if (typeof trusted !== "function")
    throw new ProxyError("BAD_CONFIG", {
      hint: `trustedProxies: ${JSON.stringify(trusted.invalid)} is none of "loopback", an address, or a CIDR block such as "10.0.0.0/8".`,
    });
  return {
    configured,
    prefix: configured === undefined ? "" : withoutSlash(new URL(configured).pathname),
    of({ url, headers, ip }) {
      if (configured !== undefined) return configured;
      if (trustedProxies.length === 0) return url.origin;
      const { host = url.host, proto = url.protocol.slice(0, -1) } = forwardedOrigin(headers, ip, trusted);
      return new URL(`${proto}://${host}`).origin;
    },
  };
}

/**
 * The canonical URL of a mount (RFC 8707 §2): what a client's tokens are for, and what its metadata names.
 *
 * @param request tells which of the mount's paths the client uses, and the origin
 */
export function mountUrl(request: RequestHead, mount: Mount): string {
  const path = withoutSlash(request.url.pathname);
  const stream = mount.ssePaths.find((one) => one === path || messagesPath(one) === path);
  return request.publicUrl + (mount.paths.find((one) => one === path) ?? stream ?? mount.path);
}

/** A target, or a path, without the path prefix of the public URL; as it is where it does not lie below. */
export function withoutPrefix(target: string, prefix: string): string {
  if (!target.startsWith(prefix)) return target;
  const rest = target.slice(prefix.length);
  if (rest === "" || rest.startsWith("?")) return `/${rest}`;
  return rest.startsWith("/") ? rest : target;
}

/**
 * A loopback peer that names a loopback Host, and nothing in between.
 *
 * @param isPrivate the peer is of this machine without an address: it came over a Unix socket. So do other proxies, with the
 * requests of everybody, and are told by their fields
 */
export function isLocal(
  { ip, url, headers }: Pick<RequestHead, "url" | "headers" | "ip">,
  isPrivate: boolean = false,
): boolean {
  return (
    (isPrivate || isLoopbackAddress(ip)) &&
    isLoopbackHost(url.hostname) &&
    !FORWARDING_FIELDS.some((field) => headers.has(field))
  );
}

/** `127.0.0.0/8`, `::1`, and IPv4 addresses written as IPv6 ones. */
export function isLoopbackAddress(ip: string): boolean {
  return /^(?:::ffff:)?127(?:\.\d{1,3}){3}$/i.test(ip) || ip === "::1";
}

/** A name or address, as in a URL, that always means this machine (RFC 6761 §6.3). */
export function isLoopbackHost(hostname: string): boolean {
  const name = hostname.replace(/^\[|\]$/g, "").toLowerCase();
  return name === "localhost" || name.endsWith(".localhost") || isLoopbackAddress(name);
}

function checkPublicUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password || url.search || url.hash)
    throw new ProxyError("BAD_CONFIG", {
      hint: 'publicUrl: an http: or https: URL without user, query and fragment is needed, e.g. "https://mcp.example.com".',
    });
  return url.origin + withoutSlash(url.pathname);
}

function withoutSlash(path: string): string {
  return path.replace(/\/+$/, "");
}
