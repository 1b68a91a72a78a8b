/** How the proxy tells a token endpoint who it is (RFC 6749 §2.3.1, RFC 7523 §2.2). */
import { type JWK, importJWK, importPKCS8 } from "jose";
import { type ClientAuth, ClientSecretBasic, ClientSecretPost, PrivateKeyJwt } from "oauth4webapi";
import { type ClientAuthMethod, type OAuthClientIdentity, refuse } from "./_oauth-client-options.ts";

/** What PEM does not say: tried in this order. */
const ALGORITHMS = ["RS256", "ES256", "ES384", "ES512", "EdDSA"];
const OF_CURVE: Readonly<Record<string, string>> = {
  "P-256": "ES256",
  "P-384": "ES384",
  "P-521": "ES512",
  Ed25519: "EdDSA",
};

/** Signs, or puts the secret where a method wants it. @param method for an identity with a secret */
export type Authenticate = (method: ClientAuthMethod) => ClientAuth;

/** @throws ProxyError `BAD_OPTION` for a key that cannot be read; its message has nothing of it */
export async function clientAuth(identity: OAuthClientIdentity): Promise<Authenticate> {
  const { clientSecret, privateKey, algorithm, keyId } = identity;
  if (clientSecret !== undefined) {
    const [basic, post] = [ClientSecretBasic(clientSecret), ClientSecretPost(clientSecret)];
    return (method) => (method === "client_secret_post" ? post : basic);
  }
  const kid = keyId ?? (typeof privateKey === "object" ? textOf(privateKey.kid) : undefined);
  const key = await importKey(privateKey!, algorithm);
  const signed = PrivateKeyJwt(kid === undefined ? key : { key, kid });
  return () => signed;
}

async function importKey(key: NonNullable<OAuthClientIdentity["privateKey"]>, algorithm?: string): Promise<CryptoKey> {
  for (const name of algorithm === undefined ? candidates(key) : [algorithm]) {
    const imported = await (
      typeof key === "string" ? importPKCS8(key, name) : importJWK({ ...key, alg: name } as JWK, name)
    ).catch(() => undefined);
    if (imported !== undefined && !(imported instanceof Uint8Array)) return imported;
  }
  return refuse(
    `privateKey: the key cannot be read${algorithm === undefined ? "; set algorithm if it is a rare one" : `, or does not fit ${algorithm}`}.`,
  );
}

function candidates(key: NonNullable<OAuthClientIdentity["privateKey"]>): readonly string[] {
  if (typeof key === "string") return ALGORITHMS;
  return [textOf(key.alg) ?? OF_CURVE[String(key.crv)] ?? "RS256"];
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}
