import { createHash, randomUUID } from "node:crypto";

/** The heart of an authorization server: clients, codes and tokens, with PKCE, and nothing of HTTP. */
export interface TokenMint {
  /** Registers a client. @returns its registration (RFC 7591 §3.2.1) */
  register(metadata: Record<string, unknown>): Record<string, unknown>;
  issued(clientId: string): boolean;
  /** @returns where the browser is sent, with a code; or what is wrong */
  authorize(query: URLSearchParams, issuer: string): URL | string;
  /** @returns status and body of the answer */
  token(form: URLSearchParams): [number, Record<string, unknown>];
  /** Every token so far, with the `resource` that it was asked for. */
  readonly tokens: Map<string, string | undefined>;
}

/** Makes one. @param prefix of its client ids and tokens */
export function tokenMint(prefix: string): TokenMint {
  const clients = new Map<string, string[]>();
  const codes = new Map<string, URLSearchParams>();
  const tokens = new Map<string, string | undefined>();
  return {
    tokens,
    register(metadata) {
      const client_id = `${prefix}-${randomUUID()}`;
      clients.set(client_id, metadata.redirect_uris as string[]);
      return { ...metadata, client_id, token_endpoint_auth_method: "none" };
    },
    issued: (clientId) => clients.has(clientId),
    authorize(query, issuer) {
      const redirect = query.get("redirect_uri") ?? "";
      if (!clients.get(query.get("client_id") ?? "")?.includes(redirect)) return "unknown client or redirect URI";
      const code = randomUUID();
      codes.set(code, query);
      const target = new URL(redirect);
      for (const [name, value] of Object.entries({ code, iss: issuer, state: query.get("state") }))
        if (value !== null) target.searchParams.set(name, value);
      return target;
    },
    token(form) {
      const query = codes.get(form.get("code") ?? "");
      const challenge = createHash("sha256")
        .update(form.get("code_verifier") ?? "")
        .digest("base64url");
      if (query?.get("client_id") !== form.get("client_id") || query?.get("code_challenge") !== challenge)
        return [400, { error: "invalid_grant" }];
      const access_token = `${prefix}-token-${randomUUID()}`;
      tokens.set(access_token, form.get("resource") ?? undefined);
      return [200, { access_token, token_type: "Bearer", expires_in: 3600 }];
    },
  };
}

/** What an authorization server with these endpoints says of itself, without `issuer`. */
export function serverMetadata(authorize: string, token: string, register: string): Record<string, unknown> {
  return {
    authorization_endpoint: authorize,
    token_endpoint: token,
    registration_endpoint: register,
    response_types_supported: ["code"],
    grant_types_supported: ["authorization_code"],
    code_challenge_methods_supported: ["S256"],
    token_endpoint_auth_methods_supported: ["none"],
    authorization_response_iss_parameter_supported: true,
  };
}
