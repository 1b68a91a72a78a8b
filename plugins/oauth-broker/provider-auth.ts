/** How this proxy authenticates with the provider (RFC 6749 §2.3, RFC 7523 §2.2). */
import { importJWK, importPKCS8 } from "jose";
import * as oauth from "oauth4webapi";
import type { Settings } from "./options.ts";

/** @throws Error when the private key cannot be read; its text holds nothing of the key */
export async function clientAuthOf(settings: Settings): Promise<oauth.ClientAuth> {
  const { authMethod, clientSecret = "", privateKey = "", privateKeyAlgorithm } = settings;
  switch (authMethod) {
    case "client_secret_basic":
      return oauth.ClientSecretBasic(clientSecret);
    case "client_secret_post":
      return oauth.ClientSecretPost(clientSecret);
    case "private_key_jwt":
      return oauth.PrivateKeyJwt(await readKey(privateKey, privateKeyAlgorithm));
    default:
      return oauth.None();
  }
}

async function readKey(text: string, algorithm: string): Promise<oauth.PrivateKey> {
  try {
    if (!text.trimStart().startsWith("{")) return { key: await importPKCS8(text, algorithm) };
    const jwk = JSON.parse(text) as { alg?: string; kid?: string };
    const key = (await importJWK(jwk as never, jwk.alg ?? algorithm)) as CryptoKey;
    return { key, ...(jwk.kid && { kid: jwk.kid }) };
  } catch {
    throw new Error("privateKey is neither PKCS #8 in PEM nor a private JWK, or not one of privateKeyAlgorithm");
  }
}
