/** Which addresses may be dialled when somebody else chose the name. */
import { addressSet, parseAddress } from "../addresses.ts";

/**
 * IPv4 blocks of which no public server can be (RFC 6890, and the registry of special-purpose addresses), and 168.63.129.16: the
 * host under a virtual machine answers there, with secrets.
 */
const SPECIAL = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "168.63.129.16",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.0.2.0/24",
  "192.88.99.0/24",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "198.51.100.0/24",
  "203.0.113.0/24",
  "224.0.0.0/4",
  "240.0.0.0/4",
];
/** All global unicast addresses there are (RFC 4291 §2.4). Outside: loopback, mapped and translated IPv4 (RFC 6052, RFC 8215), unique local, link-local, multicast. */
const GLOBAL_UNICAST = ["2000::/3"];
/** Inside, but tunnels to IPv4 addresses (Teredo, 6to4), benchmarks, documentation. */
const SPECIAL_SIX = ["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"];
/** Where a server of the operator's own may be. Link-local addresses, where clouds keep credentials, are not among them. */
const OWN = [
  "loopback",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "fc00::/7",
  // DNS64 makes these of IPv4 addresses in a network without IPv4.
  "64:ff9b::/96",
  "64:ff9b:1::/48",
];

const isSpecial = known(SPECIAL);
const isGlobalUnicast = known(GLOBAL_UNICAST);
const isSpecialSix = known(SPECIAL_SIX);
const isOwn = known(OWN);

/** Whether an address is that of a server on the internet. What is no address is not, nor IPv4 written as IPv6. */
export function isPublicAddress(address: string): boolean {
  if (!parseAddress(address) || address.includes("%")) return false;
  return address.includes(":") ? isGlobalUnicast(address) && !isSpecialSix(address) : !isSpecial(address);
}

/** Whether the operator may have a server there: a public address, or one of this machine or a private network. */
export function isOwnAddress(address: string): boolean {
  return isPublicAddress(address) || isOwn(address);
}

function known(blocks: readonly string[]) {
  const set = addressSet(blocks);
  if (typeof set !== "function") throw new TypeError(`${String(set.invalid)} is no block of addresses`);
  return set;
}
