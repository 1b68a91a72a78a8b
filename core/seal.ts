/** Tokens that clients carry: encrypted and signed (AES-256-GCM), so that they can neither read nor change them. */
import { type KeyObject, createCipheriv, createDecipheriv, createSecretKey, hkdfSync, randomBytes } from "node:crypto";
import { ProxyError } from "./errors.ts";

/** Seals and opens texts. */
export interface Sealer {
  /**
   * @param purpose a constant that says what the token is for, e.g. `session`: tokens of one purpose open for no other
   * @param text goes in as UTF-8
   * @param binding who and what it belongs to; it opens only with the same. Several values are a list, not one text made of them
   * @param expiresAt milliseconds since the epoch @default never
   * @returns letters, digits, `-` and `_`: 46 more than 4/3 of the text's bytes
   */
  seal(purpose: string, text: string, binding: Binding, expiresAt?: number): string;
  /**
   * Never throws, whatever the token is.
   *
   * @returns `undefined` when nobody with one of the secrets sealed it, for this purpose and binding, or when it has expired
   */
  open(purpose: string, token: string, binding: Binding): string | undefined;
}

/** What a token belongs to. */
export type Binding = string | readonly string[];

const MIN_LENGTH = 32;
/** Fewer different characters are a word that is repeated, not a secret. */
const MIN_VARIETY = 8;
/** NIST SP 800-38D: 96 bits of nonce, random for at most 2^32 tokens of one key, and 128 bits of tag. */
const NONCE = 12;
const TAG = 16;
const EXPIRY = 6;
/** What fits in there: some ten thousand years. */
const NEVER = 2 ** (8 * EXPIRY) - 1;

/** What a secret must be. @returns what is wrong with it, `undefined` where nothing is */
export function whyNoSecret(secret: string): string | undefined {
  if (secret.length < MIN_LENGTH)
    return `${MIN_LENGTH} characters or more are needed; \`openssl rand -base64 32\` makes some.`;
  if (new Set(secret).size < MIN_VARIETY) return "it can be guessed; `openssl rand -base64 32` makes one that cannot.";
  return undefined;
}

/**
 * @param secrets the first one seals, all open; 32 characters or more each
 * @throws ProxyError `BAD_CONFIG`
 */
export function createSealer(secrets: readonly string[]): Sealer {
  const why = secrets.length === 0 ? "one is needed." : secrets.map(whyNoSecret).find(Boolean);
  if (why !== undefined) throw new ProxyError("BAD_CONFIG", { hint: `secret: ${why}` });
  const keys = new Map<string, KeyObject[]>();
  function keysFor(purpose: string): KeyObject[] {
    let found = keys.get(purpose);
    if (!found) {
      // RFC 5869: a key of its own for each purpose.
      found = secrets.map((secret) =>
        createSecretKey(new Uint8Array(hkdfSync("sha256", secret, "penstock", purpose, 32))),
      );
      keys.set(purpose, found);
    }
    return found;
  }
  return {
    seal(purpose, text, binding, expiresAt = NEVER) {
      const nonce = randomBytes(NONCE);
      const cipher = createCipheriv("aes-256-gcm", keysFor(purpose)[0]!, nonce);
      cipher.setAAD(aadOf(binding));
      const plain = Buffer.allocUnsafe(EXPIRY + Buffer.byteLength(text));
      plain.writeUIntBE(Math.min(Math.max(0, Math.floor(expiresAt)), NEVER), 0, EXPIRY);
      plain.write(text, EXPIRY);
      const sealed = cipher.update(plain);
      cipher.final();
      return Buffer.concat([nonce, sealed, cipher.getAuthTag()]).toString("base64url");
    },
    open(purpose, token, binding) {
      const bytes = Buffer.from(token, "base64url");
      // One form for each token: base64 would let others in, with characters or bits that count for nothing.
      if (bytes.length < NONCE + EXPIRY + TAG || bytes.toString("base64url") !== token) return undefined;
      const aad = aadOf(binding);
      for (const key of keysFor(purpose)) {
        const plain = decrypt(key, bytes, aad);
        if (!plain) continue;
        return plain.readUIntBE(0, EXPIRY) > Date.now() ? plain.toString("utf8", EXPIRY) : undefined;
      }
    },
  };
}

/** A secret that nobody knows. */
export function createSecret(): string {
  return randomBytes(32).toString("base64url");
}

/** JSON tells `["a", "b"]` from `["a,b"]`, and half a surrogate pair from another one, which UTF-8 does not. */
function aadOf(binding: Binding): Buffer {
  return Buffer.from(JSON.stringify(binding));
}

function decrypt(key: KeyObject, bytes: Buffer, aad: Buffer): Buffer | undefined {
  const decipher = createDecipheriv("aes-256-gcm", key, bytes.subarray(0, NONCE), { authTagLength: TAG });
  decipher.setAAD(aad);
  decipher.setAuthTag(bytes.subarray(bytes.length - TAG));
  const plain = decipher.update(bytes.subarray(NONCE, bytes.length - TAG));
  try {
    decipher.final();
    return plain;
  } catch {
    return undefined;
  }
}
