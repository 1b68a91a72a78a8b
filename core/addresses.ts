/** IP addresses and blocks of them. Written here because Node's `BlockList` is missing elsewhere, and a library would be its whole dependency tree for these lines. */

/** Tells whether an address belongs to a set of blocks. An address that is none belongs to no set. */
export type AddressSet = (address: string) => boolean;

const LOOPBACK = ["127.0.0.0/8", "::1"];

/**
 * @param entries `"loopback"`, addresses, or CIDR blocks (RFC 4632 §3.1, RFC 4291 §2.3); IPv4 written as IPv6 is the same address
 * @returns the set, or the first entry that is none of these
 */
export function addressSet(entries: readonly string[]): AddressSet | { invalid: unknown } {
  const blocks: { bytes: Uint8Array; bits: number }[] = [];
  for (const entry of entries) {
    for (const text of entry === "loopback" ? LOOPBACK : [entry]) {
      const block = typeof text === "string" ? parseBlock(text) : undefined;
      if (!block) return { invalid: entry };
      blocks.push(block);
    }
  }
  return (address) => {
    const bytes = parseAddress(address);
    return bytes !== undefined && blocks.some((block) => samePrefix(bytes, block.bytes, block.bits));
  };
}

function parseBlock(text: string): { bytes: Uint8Array; bits: number } | undefined {
  const [address = "", length, ...more] = text.split("/");
  const bytes = parseAddress(address);
  if (!bytes || more.length > 0) return undefined;
  // An IPv4 block is one of the mapped addresses, ::ffff:0:0/96.
  const [offset, most] = address.includes(":") ? [0, 128] : [96, 32];
  if (length === undefined) return { bytes, bits: 128 };
  if (!/^\d{1,3}$/.test(length) || Number(length) > most) return undefined;
  return { bytes, bits: offset + Number(length) };
}

/** @returns 16 bytes, or `undefined` when it is no address; forms that readers disagree about (`127.1`, `010.0.0.1`) are none */
export function parseAddress(text: string): Uint8Array | undefined {
  // The longest is 45 characters; a scope (RFC 4007 §11) says which link, not who.
  const address = text.length > 64 ? "" : text.replace(/%[\w.-]+$/, "");
  if (!address.includes(":")) {
    const four = parseFour(address);
    return four && new Uint8Array([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...four]);
  }
  const tail = address.slice(address.lastIndexOf(":") + 1);
  const four = tail.includes(".") ? parseFour(tail) : [];
  if (!four) return undefined;
  const groups = four.length > 0 ? address.slice(0, -tail.length) + hexGroups(four) : address;
  const halves = groups.split("::");
  if (halves.length > 2) return undefined;
  const [head, rest = []] = halves.map((half) => (half === "" ? [] : half.split(":")));
  const known = [...head!, ...rest];
  // RFC 4291 §2.2: `::` stands for one group or more.
  if (known.length > (halves.length === 2 ? 7 : 8) || (halves.length === 1 && known.length < 8)) return undefined;
  if (!known.every((group) => /^[\da-f]{1,4}$/i.test(group))) return undefined;
  const all = [...head!, ...Array.from({ length: 8 - known.length }, () => "0"), ...rest];
  return new Uint8Array(all.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 0xff]));
}

function parseFour(text: string): number[] | undefined {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^(?:0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256))
    return undefined;
  return parts.map(Number);
}

function hexGroups([a, b, c, d]: readonly number[]): string {
  return `${((a! << 8) | b!).toString(16)}:${((c! << 8) | d!).toString(16)}`;
}

function samePrefix(a: Uint8Array, b: Uint8Array, bits: number): boolean {
  const whole = bits >> 3;
  for (let i = 0; i < whole; i++) if (a[i] !== b[i]) return false;
  const mask = (0xff << (8 - (bits & 7))) & 0xff;
  return (bits & 7) === 0 || (a[whole]! & mask) === (b[whole]! & mask);
}
