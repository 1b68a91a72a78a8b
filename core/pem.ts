/** Certificates and keys of a configuration: files become their content, and what cannot serve is told before the start. */
import { X509Certificate, createPrivateKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { ProxyError } from "./errors.ts";
import type { ListenTls, TlsOptions } from "./types.ts";

/** Files become their content, so that nothing is read while requests run. */
export function readServerTls(tls: TlsOptions, folder: string, where: string): void {
  if (tls.ca) tls.ca = [tls.ca].flat().map((value) => readPem(value, folder, `${where}.ca`));
  if (tls.cert) tls.cert = readPem(tls.cert, folder, `${where}.cert`);
  if (tls.key) tls.key = readPem(tls.key, folder, `${where}.key`);
}

/**
 * Certificate and key to listen with, as PEM text, the key decrypted: Deno takes no passphrase.
 *
 * @param folder what paths are relative to
 * @param names what the user calls the options, for messages
 * @throws ProxyError `BAD_CONFIG` where a file cannot be read, is no PEM, or the two do not belong together
 */
export function readListenTls(
  tls: ListenTls,
  folder: string,
  names: { cert: string; key: string } = { cert: "tls.cert", key: "tls.key" },
): { cert: string; key: string } {
  const cert = readPem(tls.cert, folder, names.cert);
  const certificate = attempt(() => new X509Certificate(cert));
  if (!certificate) throw bad(`${names.cert}: it holds no certificate in PEM format ("-----BEGIN CERTIFICATE-----").`);
  const encrypted = readPem(tls.key, folder, names.key);
  const key = attempt(() => createPrivateKey({ key: encrypted, passphrase: tls.passphrase }));
  if (!key)
    throw bad(
      /ENCRYPTED/.test(encrypted)
        ? `${names.key}: the key cannot be decrypted. Give its passphrase as tls.passphrase in the configuration.`
        : `${names.key}: it holds no private key in PEM format ("-----BEGIN PRIVATE KEY-----").`,
    );
  if (!certificate.checkPrivateKey(key))
    throw bad(
      `${names.key}: this is not the key of the certificate in ${names.cert}. Give the two that belong together.`,
    );
  return { cert, key: key.export({ type: "pkcs8", format: "pem" }) as string };
}

function readPem(value: string, folder: string, where: string): string {
  if (value.includes("-----BEGIN")) return value;
  try {
    return readFileSync(resolve(folder, value), "utf8");
  } catch (cause) {
    const { code = "unreadable" } = cause as { code?: string };
    const wanted = where.startsWith("--")
      ? "Name an existing one."
      : "Give a path relative to the configuration, or PEM text.";
    throw bad(`${where}: the file ${value} cannot be read (${code}). ${wanted}`, cause);
  }
}

/** What OpenSSL says differs from runtime to runtime, and helps nobody. */
function attempt<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch {
    return undefined;
  }
}

function bad(hint: string, cause?: unknown): ProxyError {
  return new ProxyError("BAD_CONFIG", { hint, cause });
}
