/** Tokens that clients carry: encrypted and signed (AES-256-GCM), so that they can neither read nor change them. */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";
import { ProxyError } from "./errors.ts";

/** Seals and opens texts. */
export interface Sealer {
  /**
   * @param purpose what the token is for, e.g. `session`: tokens of one purpose open for no other
   * @param binding who and what it belongs to; it opens only with the same
   * @param expiresAt milliseconds since the epoch @default never
   * @returns letters, digits, `-` and `_`
   */
  seal(purpose: string, text: string, binding: string, expiresAt?: number): string;
  /** @returns `undefined` when nobody with one of the secrets sealed it, for this purpose and binding, or when it has expired */
  open(purpose: string, token: string, binding: string): string | undefined;
}

const MIN_LENGTH = 32;
/** NIST SP 800-38D: 96 bits of nonce, 128 bits of tag. */
const NONCE = 12;
const TAG = 16;
const EXPIRY = 6;

/**
 * @param secrets the first one seals, all open; 32 characters or more each
 * @throws ProxyError `BAD_CONFIG`
 */
export function createSealer(secrets: readonly string[]): Sealer {
  if (secrets.length === 0 || secrets.some((secret) => secret.length < MIN_LENGTH))
    throw new ProxyError("BAD_CONFIG", { hint: `secret: ${MIN_LENGTH} characters or more are needed.` });
  const keys = new Map<string, Buffer[]>();
  function keysFor(purpose: string): Buffer[] {
    let found = keys.get(purpose);
    if (!found) {
      // RFC 5869: a key of its own for each purpose.
      found = secrets.map((secret) => Buffer.from(hkdfSync("sha256", secret, "penstock", purpose, 32)));
      keys.set(purpose, found);
    }
    return found;
  }
  return {
    seal(purpose, text, binding, expiresAt = 0) {
      const nonce = randomBytes(NONCE);
      const cipher = createCipheriv("aes-256-gcm", keysFor(purpose)[0]!, nonce);
      cipher.setAAD(Buffer.from(binding));
      const expiry = Buffer.alloc(EXPIRY);
      expiry.writeUIntBE(expiresAt, 0, EXPIRY);
      const sealed = [nonce, cipher.update(expiry), cipher.update(text, "utf8"), cipher.final(), cipher.getAuthTag()];
      return Buffer.concat(sealed).toString("base64url");
    },
    open(purpose, token, binding) {
      if (!/^[\w-]+$/.test(token)) return undefined;
      const bytes = Buffer.from(token, "base64url");
      if (bytes.length < NONCE + EXPIRY + TAG) return undefined;
      for (const key of keysFor(purpose)) {
        const plain = decrypt(key, bytes, binding);
        if (!plain) continue;
        const expiresAt = plain.readUIntBE(0, EXPIRY);
        return expiresAt !== 0 && expiresAt <= Date.now() ? undefined : plain.toString("utf8", EXPIRY);
      }
    },
  };
}

/** A secret that nobody knows. */
export function createSecret(): string {
  return randomBytes(32).toString("base64url");
}

function decrypt(key: Buffer, bytes: Buffer, binding: string): Buffer | undefined {
  const decipher = createDecipheriv("aes-256-gcm", key, bytes.subarray(0, NONCE), { authTagLength: TAG });
  decipher.setAAD(Buffer.from(binding));
  decipher.setAuthTag(bytes.subarray(bytes.length - TAG));
  try {
    return Buffer.concat([decipher.update(bytes.subarray(NONCE, bytes.length - TAG)), decipher.final()]);
  } catch {
    return undefined;
  }
}
