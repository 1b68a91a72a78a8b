import { asBuffer } from "./sse.ts";

const BACKSLASH = 0x5c;

/**
 * The keys of one object, as places in the text: no string is made of a key unless another one looks like it. Few as a rule,
 * so they are searched in a row; many go into a set.
 */
export class Keys {
  /** hash, from, to, hash, from, to … */
  readonly #seen: number[] = [];
  #many: Set<string> | undefined;
  readonly #bytes: Uint8Array;
  readonly #fold: boolean;

  constructor(bytes: Uint8Array, fold: boolean) {
    this.#bytes = bytes;
    this.#fold = fold;
  }

  add(from: number, to: number): boolean {
    if (this.#many) return this.#addToMany(from, to);
    const seen = this.#seen;
    const hash = this.#hash(from, to);
    for (let i = 0; i < seen.length; i += 3) {
      // An escape makes two spellings of one key: such a key is compared with all.
      if (
        (seen[i] === hash || seen[i] === ESCAPED || hash === ESCAPED) &&
        this.#key(seen[i + 1]!, seen[i + 2]!) === this.#key(from, to)
      )
        return false;
    }
    seen.push(hash, from, to);
    if (seen.length > 3 * FEW) {
      this.#many = new Set();
      for (let i = 0; i < seen.length; i += 3) this.#addToMany(seen[i + 1]!, seen[i + 2]!);
    }
    return true;
  }

  #addToMany(from: number, to: number): boolean {
    const key = this.#key(from, to);
    const isNew = !this.#many!.has(key);
    this.#many!.add(key);
    return isNew;
  }

  #key(from: number, to: number): string {
    const key = decodeKey(this.#bytes, from, to);
    return this.#fold ? fold(key) : key;
  }

  /** Equal for keys that differ in case only. */
  #hash(from: number, to: number): number {
    let hash = 0;
    for (let i = from + 1; i < to - 1; i++) {
      const byte = this.#bytes[i]!;
      // Beyond ASCII letters have cases that the bit does not tell.
      if (byte === BACKSLASH || byte >= 0x80) return ESCAPED;
      hash = (hash * 31 + (byte | 0x20)) | 0;
    }
    return hash;
  }
}

/** Keys of an object that are searched in a row. */
const FEW = 16;
/** In place of a hash. */
const ESCAPED = Number.MAX_SAFE_INTEGER;

/** At the top level as a rule without escapes, and short. */
export function plainKey(bytes: Uint8Array, from: number, to: number): string {
  const key = asBuffer(bytes).toString("utf8", from + 1, to - 1);
  return key.includes("\\") ? decodeKey(bytes, from, to) : key;
}

/** Whether a key has no capital, no escape and nothing beyond ASCII, and so stands for itself alone. */
export function isPlain(bytes: Uint8Array, from: number, to: number): boolean {
  for (let at = from + 1; at < to - 1; at++) {
    const byte = bytes[at]!;
    if (byte === BACKSLASH || byte >= 0x80 || (byte >= 0x41 && byte <= 0x5a)) return false;
  }
  return true;
}

function decodeKey(bytes: Uint8Array, from: number, to: number): string {
  return JSON.parse(asBuffer(bytes).toString("utf8", from, to)) as string;
}

/** As the parsers do that ignore case: to Go's, the long s is an s, and the Kelvin sign a k. */
export function fold(key: string): string {
  return key.toLowerCase().replaceAll("\u017F", "s");
}
