/** An authorization server that is strict, and that a test can make wrong in every way; and the server that it protects. */
import { createHash, randomUUID } from "node:crypto";
import { closeable, type Closeable } from "./loopback.ts";
import { type Intercept, startLegacyServer, startModernServer } from "./servers.ts";
import { type RecordedRequest, recordingServer } from "./servers/http.ts";

type Json = Record<string, unknown>;
type Answer = [status: number, body: unknown, headers?: Record<string, string>];

/** What is not as it should be. */
export interface IssuerFaults {
  /** Changes the metadata; called with the right one. */
  metadata?: (right: Json) => Json;
  /** Changes the answer in the browser's address. */
  redirect?: (target: URL) => void;
  /** Answers in place of the token endpoint. */
  token?: (form: URLSearchParams) => Answer | undefined;
  /** Lifetime of access tokens, in seconds. @default 3600 */
  life?: number;
}

/** On a port of its own, with the issuer at `/tenant`. */
export interface LoginIssuer extends Closeable {
  readonly issuer: string;
  readonly requests: RecordedRequest[];
  /** Valid access tokens, with their scopes. */
  readonly tokens: Map<string, string[]>;
  /** Everything secret that was ever issued or shown. */
  readonly secrets: string[];
  /** Registrations, as they were asked for. */
  readonly clients: Map<string, Json>;
  readonly faults: IssuerFaults;
  /** Token requests by grant type. */
  grants(type: string): URLSearchParams[];
}

export async function startLoginIssuer(faults: IssuerFaults = {}): Promise<LoginIssuer> {
  const clients = new Map<string, Json>();
  const codes = new Map<string, URLSearchParams>();
  const tokens = new Map<string, string[]>();
  const refreshes = new Map<string, { family: string; scopes: string[]; used: boolean }>();
  const forms: URLSearchParams[] = [];
  const secrets: string[] = [];
  let issuer = "";
  const secret = (kind: string) => {
    const value = `canary-${kind}-${randomUUID()}`;
    secrets.push(value);
    return value;
  };
  const issue = (scopes: string[], family: string): Answer => {
    const [access_token, refresh_token] = [secret("access"), secret("refresh")];
    tokens.set(access_token, scopes);
    refreshes.set(refresh_token, { family, scopes, used: false });
    const expires_in = faults.life ?? 3600;
    return [200, { access_token, refresh_token, token_type: "Bearer", expires_in, scope: scopes.join(" ") }];
  };
  const answer = (path: string, query: URLSearchParams, body: unknown): Answer => {
    switch (path) {
      case "GET /.well-known/oauth-authorization-server/tenant": {
        const right = {
          issuer,
          authorization_endpoint: `${issuer}/authorize`,
          token_endpoint: `${issuer}/token`,
          registration_endpoint: `${issuer}/register`,
          revocation_endpoint: `${issuer}/revoke`,
          response_types_supported: ["code"],
          code_challenge_methods_supported: ["S256"],
          token_endpoint_auth_methods_supported: ["none", "client_secret_post"],
          authorization_response_iss_parameter_supported: true,
        };
        return [200, faults.metadata?.(right) ?? right];
      }
      case "POST /tenant/register": {
        const client_id = `client-${randomUUID()}`;
        clients.set(client_id, body as Json);
        return [201, { ...(body as Json), client_id }];
      }
      case "GET /tenant/authorize": {
        const redirect = query.get("redirect_uri")!;
        const registered = clients.get(query.get("client_id")!)?.redirect_uris as string[] | undefined;
        if (registered && !registered.includes(redirect)) return [400, { error: "invalid_redirect_uri" }];
        const code = secret("code");
        codes.set(code, query);
        const target = new URL(redirect);
        for (const [name, value] of Object.entries({ code, iss: issuer, state: query.get("state")! }))
          target.searchParams.set(name, value);
        faults.redirect?.(target);
        return [302, {}, { location: target.href }];
      }
      case "POST /tenant/token": {
        const form = new URLSearchParams(body as string);
        forms.push(form);
        const wrong = faults.token?.(form);
        if (wrong) return wrong;
        if (form.get("grant_type") === "refresh_token") {
          const known = refreshes.get(form.get("refresh_token") ?? "");
          // OAuth 2.1 §4.3.1: one that is shown twice was stolen, by one of two; everything of its family ends.
          if (known?.used)
            for (const [token, one] of refreshes) if (one.family === known.family) refreshes.delete(token);
          if (!known || known.used) return [400, { error: "invalid_grant" }];
          known.used = true;
          return issue(known.scopes, known.family);
        }
        const query = codes.get(form.get("code") ?? "");
        codes.delete(form.get("code") ?? "");
        const verifier = form.get("code_verifier") ?? "";
        secrets.push(verifier);
        const challenge = createHash("sha256").update(verifier).digest("base64url");
        const same = ["client_id", "redirect_uri", "resource"].every((name) => query?.get(name) === form.get(name));
        if (!same || query?.get("code_challenge") !== challenge) return [400, { error: "invalid_grant" }];
        return issue((query.get("scope") ?? "").split(" ").filter(Boolean), randomUUID());
      }
      case "POST /tenant/revoke": {
        const token = new URLSearchParams(body as string).get("token")!;
        refreshes.delete(token);
        tokens.delete(token);
        return [200, ""];
      }
      default:
        return [404, { error: "not_found" }];
    }
  };
  const server = await recordingServer(
    async () => {},
    ({ method, target, body }, _request, response) => {
      const { pathname, searchParams } = new URL(target, "http://localhost");
      const [status, value, headers] = answer(`${method} ${pathname}`, searchParams, body);
      response.writeHead(status, { "content-type": "application/json", ...headers });
      response.end(value === "" ? "" : JSON.stringify(value));
      return true;
    },
  );
  issuer = `http://127.0.0.1:${server.port}/tenant`;
  return closeable({
    issuer,
    requests: server.requests,
    tokens,
    secrets,
    clients,
    faults,
    grants: (type: string) => forms.filter((form) => form.get("grant_type") === type),
    close: server.stop,
  });
}

/** A protected server: who brings no token of the issuer gets a challenge. */
export interface ProtectedServer extends Closeable {
  readonly url: string;
  readonly requests: RecordedRequest[];
  /** Scopes that a `tools/call` needs. */
  needs: string[];
  /** From now on no token is good, or all of the issuer are. */
  refuses: boolean;
}

export async function startProtected(
  { issuer, tokens }: LoginIssuer,
  era: "legacy" | "modern" = "legacy",
): Promise<ProtectedServer> {
  const state = { needs: [] as string[], refuses: false };
  const base = () => new URL(server.url).origin;
  const intercept: Intercept = ({ method, target, headers, body }, _request, response) => {
    const send = (status: number, fields: Record<string, string>, value?: unknown) => {
      response.writeHead(status, { "content-type": "application/json", ...fields });
      response.end(value === undefined ? "" : JSON.stringify(value));
      return true;
    };
    const metadata = `resource_metadata="${base()}/.well-known/oauth-protected-resource/mcp"`;
    if (method === "GET" && target === "/.well-known/oauth-protected-resource/mcp")
      return send(200, {}, { resource: server.url, authorization_servers: [issuer], scopes_supported: ["read"] });
    if (target !== "/mcp") return false;
    const scopes = tokens.get((headers.authorization ?? "").replace(/^Bearer /, ""));
    if (!scopes || state.refuses) return send(401, { "www-authenticate": `Bearer ${metadata}, scope="read"` });
    const isCall = (body as { method?: string } | undefined)?.method === "tools/call";
    const missing = isCall && state.needs.some((scope) => !scopes.includes(scope));
    if (!missing) return false;
    const wanted = `error="insufficient_scope", scope="${state.needs.join(" ")}"`;
    return send(403, { "www-authenticate": `Bearer ${wanted}, ${metadata}` });
  };
  const server = await (era === "legacy" ? startLegacyServer({ intercept }) : startModernServer({ intercept }));
  return closeable(Object.assign(state, { url: server.url, requests: server.requests, close: () => server.close() }));
}

/** What a user does with the URL that was printed. @returns the page at the end, and where it was */
export async function visit(url: string): Promise<{ status: number; text: string; at: URL; headers: Headers }> {
  const asked = await fetch(url, { redirect: "manual" });
  await asked.body?.cancel();
  const location = asked.headers.get("location");
  if (!location) throw new Error(`no redirect: HTTP ${asked.status}`);
  const page = await fetch(location);
  return { status: page.status, text: await page.text(), at: new URL(location), headers: page.headers };
}

/** The URL of a login in what was printed. */
export function printedUrl(stderr: string): string | undefined {
  return /^ {2}(http:\S+\/authorize\?\S+)$/m.exec(stderr)?.[1];
}
