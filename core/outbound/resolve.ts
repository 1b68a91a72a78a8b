/** From a host to the addresses that are then dialled, and to nothing else. */
import { Resolver, lookup as lookupHost } from "node:dns/promises";
import { parseAddress } from "../addresses.ts";
import { isLoopbackAddress, isLoopbackHost } from "../public-url.ts";
import { isOwnAddress, isPublicAddress } from "./address-rules.ts";

/** All addresses of a host. */
export type Lookup = (host: string) => Promise<readonly string[]>;

/** Tried one after the other, at most. */
const MAX_ADDRESSES = 4;

/**
 * @param isTrusted the operator named the host
 * @param lookup in place of DNS
 * @returns what may be dialled, in order
 * @throws Error one sentence for the log
 */
export async function resolve(
  url: URL,
  isTrusted: boolean,
  lookup: Lookup | undefined,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const addresses = await addressesOf(url, isTrusted, lookup, signal);
  if (addresses.length === 0) throw new Error("its host has no address");
  for (const address of addresses) {
    // One address that is not allowed, and the name is somebody's trick: all are refused.
    if (!(isTrusted ? isOwnAddress : isPublicAddress)(address))
      throw new Error(
        isTrusted
          ? `its host is at ${address}, which is never dialled`
          : `its host is at ${address}, which is not public. Hosts in a private network must be named in the configuration`,
      );
    if (url.protocol === "http:" && !isLoopbackAddress(address))
      throw new Error(`its host is at ${address}, and http: is for this machine only. Use https:`);
  }
  return addresses.slice(0, MAX_ADDRESSES);
}

async function addressesOf(url: URL, isTrusted: boolean, lookup: Lookup | undefined, signal: AbortSignal) {
  const host = url.hostname.replace(/^\[|\]$/g, "");
  if (parseAddress(host)) return [host];
  // RFC 6761 §6.3, whatever DNS says.
  if (isLoopbackHost(host.replace(/\.$/, ""))) return ["127.0.0.1", "::1"];
  if (lookup) return lookup(host);
  if (isTrusted) return (await lookupHost(host, { all: true })).map(({ address }) => address);
  return publicLookup(host, signal);
}

/**
 * DNS alone: a stranger's name has no business in the hosts file or the local network. And this waits outside of the few threads
 * of the system's resolver, which a stranger's slow name server would hold.
 */
async function publicLookup(host: string, signal: AbortSignal): Promise<string[]> {
  const resolver = new Resolver({ timeout: 2000, tries: 2 });
  const cancel = () => resolver.cancel();
  signal.addEventListener("abort", cancel, { once: true });
  try {
    const answers = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
    const found = answers.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []));
    const [first] = answers;
    if (found.length === 0 && first.status === "rejected") throw first.reason;
    return found;
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}
