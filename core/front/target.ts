/** What the core refuses before anything else looks at a request: targets and hosts that two readers could read differently. */
import type { Inbound } from "./inbound.ts";

/** RFC 9112 §3.2: uri-host [":" port], without user information; a name, an IPv4 address or a bracketed IPv6 one. */
const HOST = /^(?:[\w.~!$&'()*+,;=-]+|\[[\da-f:.]+\])(?::\d{0,5})?$/i;
/**
 * RFC 3986 §6.2: forms that a guard and a router, or this proxy and the next one, could normalise differently: empty and dot
 * segments, backslashes, encoded separators, encoded characters that need no encoding (a router decodes them, and a guard that
 * compares texts does not), and what may not stand in a target at all.
 */
const AMBIGUOUS = /\/\/|\\|\/\.{1,2}(?:\/|$)|%(?:00|2[def]|3\d|[46][1-9a-f]|5[\dacf]|7[\dae])|[^\x21-\x7e]/i;

/** Hosts that were found good are remembered: a caller may invent many. */
const MAX_SEEN = 100;

/**
 * Makes the check of host and target of one proxy.
 *
 * @returns says what is wrong with a request, or `undefined`
 */
export function createTargetCheck(): (inbound: Inbound) => string | undefined {
  const seen = new Set<string>();

  function isHost(host: string): boolean {
    if (seen.has(host)) return true;
    // The URL parser knows ports and addresses that are none.
    if (!HOST.test(host) || !URL.canParse(`http://${host}`)) return false;
    if (seen.size >= MAX_SEEN) seen.clear();
    seen.add(host);
    return true;
  }

  return ({ fields, target }) => {
    const host = singleFields(fields);
    if (typeof host !== "string") return host.wrong;
    if (!isHost(host)) return "The Host field is not a host.";
    if (target.startsWith("/")) return refusePath(withoutQuery(target));
    // RFC 9112 §3.2.2: absolute-form. The Host field must say the same.
    if (!/^https?:\/\//i.test(target) || !URL.canParse(target)) return "The target is neither a path nor a URL.";
    const url = new URL(target);
    if (url.username || url.password || url.host !== new URL(`${url.protocol}//${host}`).host)
      return "The target and the Host field name different hosts.";
    return refusePath(withoutQuery(target.replace(/^https?:\/\/[^/?#]*/i, "")));
  };
}

/** @returns the Host field, or what is wrong with it or with its neighbour */
function singleFields(fields: readonly string[]): string | { wrong: string } {
  let host: string | undefined;
  let credentials = 0;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!;
    if (name === "host") {
      if (host !== undefined) return { wrong: "There are several Host fields." };
      host = fields[i + 1]!;
    }
    // RFC 9110 §11.6.2: one credential. Of two, one reader would take the first, and another the last.
    else if (name === "authorization" && ++credentials > 1) return { wrong: "There are several Authorization fields." };
  }
  return host ?? { wrong: "There is no Host field." };
}

function refusePath(path: string): string | undefined {
  return AMBIGUOUS.test(path) || path.includes("#") ? "The path is ambiguous." : undefined;
}

function withoutQuery(target: string): string {
  const at = target.indexOf("?");
  return at === -1 ? target : target.slice(0, at);
}
