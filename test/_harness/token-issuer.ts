/** An authorization server whose tokens are checked by their signature, or by asking it; and clients that hold keys. */
import {
  type CryptoKey,
  type JWK,
  type JWTHeaderParameters,
  type JWTPayload,
  SignJWT,
  base64url,
  calculateJwkThumbprint,
  exportJWK,
  generateKeyPair,
} from "jose";
import { createHash, randomUUID } from "node:crypto";
import type { ServerResponse } from "node:http";
import { type Closeable, closeable } from "./loopback.ts";
import { type RecordedRequest, recordingServer } from "./servers/http.ts";
import { serverMetadata, tokenMint } from "./token-mint.ts";

/** Its own name and secret at the introspection endpoint. */
export const ASKING = { clientId: "penstock", clientSecret: "secret of the proxy: 100%" } as const;

export interface TokenIssuer extends Closeable {
  /** With a path, as issuers of several tenants have one. */
  readonly issuer: string;
  readonly requests: RecordedRequest[];
  /** How often its keys were asked for. */
  keysAsked(): number;
  /**
   * A JWT of it, good for five minutes. What is `undefined` in the claims is left out.
   *
   * @param claims in place of the usual ones @param header the same
   */
  token(claims?: JWTPayload, header?: Partial<JWTHeaderParameters>): Promise<string>;
  /** From now on tokens are signed with a new key of a new name. */
  rotate(): Promise<void>;
  /** The public key of now. */
  publicKey(): JWK;
  /** A token that nobody can read, and what is told about it. */
  opaque(claims: object): string;
  /** What is told about tokens, by token. */
  readonly told: Map<string, object>;
  /** From now on every connection is cut, or not. */
  down(isDown: boolean): void;
}

const METADATA = "/.well-known/oauth-authorization-server";

/** Starts one. @param metadata in place of what it says of itself */
export async function startTokenIssuer(metadata: Record<string, unknown> = {}): Promise<TokenIssuer> {
  const mint = tokenMint("as");
  const scopes = new Map<string, string>();
  const told = new Map<string, object>();
  let isDown = false;
  let [key, jwk] = await newKey("key-1");
  let count = 1;

  const sign = async (claims: JWTPayload = {}, header: Partial<JWTHeaderParameters> = {}) => {
    const now = Math.floor(Date.now() / 1000);
    const all = { iss: issuer, sub: "anna", iat: now, exp: now + 300, ...claims };
    return new SignJWT(all).setProtectedHeader({ alg: "ES256", kid: jwk.kid, typ: "at+jwt", ...header }).sign(key);
  };

  async function answer({ method, target, body, headers }: RecordedRequest, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(target, "http://localhost");
    const reply = (status: number, value: unknown, fields = {}) => {
      response.writeHead(status, { "content-type": "application/json", ...fields });
      response.end(JSON.stringify(value));
    };
    switch (`${method} ${pathname}`) {
      case `GET ${METADATA}/tenant`:
        return reply(200, {
          issuer,
          jwks_uri: `${issuer}/keys`,
          introspection_endpoint: `${issuer}/introspect`,
          ...serverMetadata(`${issuer}/authorize`, `${issuer}/token`, `${issuer}/register`),
          ...metadata,
        });
      case "GET /tenant/keys":
        return reply(200, { keys: [jwk] });
      case "POST /tenant/introspect": {
        const { clientId, clientSecret } = ASKING;
        const form = new URLSearchParams(body as string);
        const basic = `Basic ${btoa([clientId, clientSecret].map((text) => new URLSearchParams({ text }).toString().slice(5)).join(":"))}`;
        const isPosted = form.get("client_id") === clientId && form.get("client_secret") === clientSecret;
        if (headers.authorization !== basic && !isPosted) return reply(401, { error: "invalid_client" });
        return reply(200, told.get(form.get("token") ?? "") ?? { active: false });
      }
      case "POST /tenant/register":
        return reply(201, mint.register(body as Record<string, unknown>));
      case "GET /tenant/authorize": {
        const found = mint.authorize(searchParams, issuer);
        if (typeof found === "string") return reply(400, found);
        scopes.set(found.searchParams.get("code")!, searchParams.get("scope") ?? "");
        return reply(302, {}, { location: found.href });
      }
      case "POST /tenant/token": {
        const form = new URLSearchParams(body as string);
        const [status, granted] = mint.token(form);
        if (status !== 200) return reply(status, granted);
        const scope = scopes.get(form.get("code")!);
        return reply(200, {
          ...granted,
          access_token: await sign({ aud: form.get("resource") ?? undefined, scope }),
          scope,
        });
      }
      default:
        return reply(404, {});
    }
  }

  const server = await recordingServer(
    async () => {},
    async (recorded, request, response) => {
      if (isDown) request.socket.destroy();
      else await answer(recorded, response);
      return true;
    },
  );
  const issuer = `http://127.0.0.1:${server.port}/tenant`;
  return closeable({
    issuer,
    requests: server.requests,
    keysAsked: () => server.requests.filter(({ target }) => target === "/tenant/keys").length,
    token: sign,
    async rotate() {
      [key, jwk] = await newKey(`key-${++count}`);
    },
    publicKey: () => jwk,
    opaque(claims: object) {
      const token = `opaque-${randomUUID()}`;
      told.set(token, { active: true, iss: issuer, sub: "anna", ...claims });
      return token;
    },
    told,
    down: (now: boolean) => void (isDown = now),
    close: server.stop,
  });
}

async function newKey(kid: string): Promise<[CryptoKey, JWK]> {
  const { privateKey, publicKey } = await generateKeyPair("ES256");
  return [privateKey, { ...(await exportJWK(publicKey)), kid, use: "sig" }];
}

/** A client's key that its tokens are bound to (RFC 9449). */
export interface ProofKey {
  /** What a token has that is bound to it. */
  readonly cnf: { jkt: string };
  /** A proof. @param claims in place of the usual ones @param header the same */
  proof(of: { method?: string; url: string; token: string }, claims?: object, header?: object): Promise<string>;
}

export async function proofKey(): Promise<ProofKey> {
  const { privateKey, publicKey } = await generateKeyPair("ES256");
  const jwk = await exportJWK(publicKey);
  return {
    cnf: { jkt: await calculateJwkThumbprint(jwk) },
    proof({ method = "POST", url, token }, claims = {}, header = {}) {
      const ath = base64url.encode(createHash("sha256").update(token).digest());
      const all = { jti: randomUUID(), htm: method, htu: url, iat: Math.floor(Date.now() / 1000), ath, ...claims };
      return new SignJWT(all as JWTPayload)
        .setProtectedHeader({ alg: "ES256", typ: "dpop+jwt", jwk, ...header })
        .sign(privateKey);
    },
  };
}
