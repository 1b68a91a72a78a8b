/** Which hosts the operator named himself. */
import { ProxyError } from "../errors.ts";

/** Tells whether a URL leads to one of them. */
export type Trust = (url: URL) => boolean;

const HOST = /^(?:[a-z\d](?:[a-z\d._-]*[a-z\d])?\.?|\[[\da-f:.]+\])(?::\d{1,5})?$/i;

/**
 * @param entries origins (or other URLs, of which the origin counts), hosts with a port, or hosts for all their ports
 * @throws ProxyError `BAD_OPTION`
 */
export function trustOf(entries: readonly string[]): Trust {
  const origins = new Set<string>();
  const hosts = new Set<string>();
  for (const entry of entries) {
    const url = typeof entry === "string" ? parse(entry) : undefined;
    if (!url)
      throw new ProxyError("BAD_OPTION", {
        plugin: "guarded fetch",
        hint: `trusted: ${JSON.stringify(entry)} is neither an origin such as "https://login.example.com" nor a host such as "login.example.com".`,
      });
    if (entry.includes("://")) origins.add(url.origin);
    else if (/:\d+$/.test(entry)) hosts.add(`${plain(url)}:${/\d+$/.exec(entry)![0]}`);
    else hosts.add(plain(url));
  }
  return (url) => origins.has(url.origin) || hosts.has(plain(url)) || hosts.has(`${plain(url)}:${portOf(url)}`);
}

export function portOf(url: URL): number {
  return Number(url.port) || (url.protocol === "https:" ? 443 : 80);
}

function parse(entry: string): URL | undefined {
  if (/^https?:\/\//i.test(entry)) return URL.canParse(entry) ? new URL(entry) : undefined;
  return HOST.test(entry) && URL.canParse(`https://${entry}`) ? new URL(`https://${entry}`) : undefined;
}

/** `example.com.` and `example.com` are one host. */
function plain(url: URL): string {
  return url.hostname.replace(/\.$/, "");
}
