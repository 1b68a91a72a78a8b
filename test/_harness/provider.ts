import { createHash, randomUUID } from "node:crypto";
import type { ServerResponse } from "node:http";
import { type Closeable, closeable } from "./loopback.ts";
import { type RecordedRequest, recordingServer } from "./servers/http.ts";

/** What is wrong with a provider, or its own way of doing things. */
export interface ProviderOptions {
  /** In seconds; absent: it does not tell. */
  expiresIn?: number;
  /** It gives refresh tokens, each good once: an old one ends the grant. @default true */
  refreshes?: boolean;
  /** Its metadata says so. @default false */
  iss?: boolean;
  /** `iss` of its answers, in place of its issuer. */
  wrongIss?: string;
  /** Answers errors with 200, and tokens as a form, as GitHub did. @default false */
  old?: boolean;
  /** In place of its metadata's members. */
  metadata?: Record<string, unknown>;
}

/** A provider that knows one client, `penstock` with `provider-secret-0123`, and lets everybody in at once. */
export interface FakeProvider extends Closeable {
  readonly issuer: string;
  readonly requests: RecordedRequest[];
  /** Access tokens that are good now. */
  readonly good: Set<string>;
  /** Every secret that it ever gave or was told: codes, verifiers, tokens. */
  readonly secrets: string[];
  /** Requests to its token endpoint, by grant type, and to its revocation endpoint. */
  count(what: "authorization_code" | "refresh_token" | "revoke"): number;
  /** What it answers to token requests, until told otherwise; `undefined`: what is right. */
  answer: { status: number; body: unknown } | undefined;
  /** Called before each answer to a token request. */
  before: () => Promise<void> | void;
  /** Makes the id_token that comes with a code's tokens; none where it is not there. */
  idToken: (() => Promise<string>) | undefined;
  /** What it says at its authorization endpoint in place of a code. */
  error: string | undefined;
  /** Of whoever logs in next. */
  subject: string;
}

export const PROVIDER_SECRET = "provider-secret-0123";

export async function startProvider(options: ProviderOptions = {}): Promise<FakeProvider> {
  const { refreshes = true, iss = false } = options;
  const codes = new Map<string, { challenge: string; redirectUri: string; subject: string }>();
  const refreshTokens = new Map<string, string>();
  const used = new Map<string, string>();
  const subjects = new Map<string, string>();
  const counts: Record<string, number> = {};
  let issuer = "";

  const give = (subject: string) => {
    const access_token = `at-${randomUUID()}`;
    const refresh_token = refreshes ? `rt-${randomUUID()}` : undefined;
    provider.good.add(access_token);
    subjects.set(access_token, subject);
    provider.secrets.push(access_token);
    if (refresh_token) {
      provider.secrets.push(refresh_token);
      refreshTokens.set(refresh_token, access_token);
    }
    return { access_token, token_type: "bearer", refresh_token, expires_in: options.expiresIn };
  };
  function tokens(form: URLSearchParams, basic: string): [number, Record<string, unknown>] {
    counts[form.get("grant_type") ?? ""] = provider.count(form.get("grant_type") as never) + 1;
    if (basic !== `penstock:${PROVIDER_SECRET}`) return [401, { error: "invalid_client" }];
    if (form.get("grant_type") === "refresh_token") {
      const token = form.get("refresh_token") ?? "";
      const access = refreshTokens.get(token);
      if (access === undefined) {
        // Somebody sends one twice: what came of it ends.
        const successor = used.get(token);
        if (successor) refreshTokens.delete(successor);
        return [400, { error: "invalid_grant" }];
      }
      refreshTokens.delete(token);
      provider.good.delete(access);
      const given = give(subjects.get(access)!);
      used.set(token, given.refresh_token!);
      return [200, given];
    }
    const found = codes.get(form.get("code") ?? "");
    codes.delete(form.get("code") ?? "");
    provider.secrets.push(form.get("code_verifier") ?? "none");
    const challenge = createHash("sha256")
      .update(form.get("code_verifier") ?? "")
      .digest("base64url");
    if (!found || found.challenge !== challenge || found.redirectUri !== form.get("redirect_uri"))
      return [400, { error: "invalid_grant" }];
    return [200, give(found.subject)];
  }

  const server = await recordingServer(
    async () => {},
    async ({ method, target, body, headers }, _request, response) => {
      const { pathname, searchParams } = new URL(target, "http://localhost");
      const reply = (status: number, value: unknown, more: Record<string, string> = {}) => {
        response.writeHead(status, { "content-type": "application/json", ...more });
        response.end(JSON.stringify(value));
        return true;
      };
      switch (`${method} ${pathname}`) {
        case "GET /.well-known/oauth-authorization-server":
          return reply(200, {
            issuer,
            authorization_endpoint: `${issuer}/login`,
            token_endpoint: `${issuer}/token`,
            revocation_endpoint: `${issuer}/revoke`,
            response_types_supported: ["code"],
            code_challenge_methods_supported: ["S256"],
            ...(iss && { authorization_response_iss_parameter_supported: true }),
            ...options.metadata,
          });
        case "GET /login": {
          const code = `code-${randomUUID()}`;
          provider.secrets.push(code);
          const redirectUri = searchParams.get("redirect_uri")!;
          codes.set(code, { challenge: searchParams.get("code_challenge")!, redirectUri, subject: provider.subject });
          const back = new URL(redirectUri);
          back.searchParams.set("state", searchParams.get("state")!);
          if (provider.error) back.searchParams.set("error", provider.error);
          else back.searchParams.set("code", code);
          if (iss || options.wrongIss) back.searchParams.set("iss", options.wrongIss ?? issuer);
          return reply(302, {}, { location: back.href });
        }
        case "POST /token": {
          await provider.before();
          if (provider.answer) return reply(provider.answer.status, provider.answer.body);
          const basic = Buffer.from((headers.authorization ?? "").slice(6), "base64").toString();
          const [status, given] = tokens(new URLSearchParams(body as string), decodeURIComponent(basic));
          if (status === 200 && provider.idToken) Object.assign(given, { id_token: await provider.idToken() });
          if (!options.old) return reply(status, given);
          response.writeHead(200, { "content-type": "application/x-www-form-urlencoded" });
          response.end(new URLSearchParams(JSON.parse(JSON.stringify(given)) as Record<string, string>).toString());
          return true;
        }
        case "POST /revoke": {
          counts.revoke = provider.count("revoke") + 1;
          const token = new URLSearchParams(body as string).get("token") ?? "";
          provider.good.delete(refreshTokens.get(token) ?? token);
          refreshTokens.delete(token);
          response.writeHead(200).end();
          return true;
        }
        case "GET /user": {
          const token = (headers.authorization ?? "").slice("Bearer ".length);
          return reply(provider.good.has(token) ? 200 : 401, { id: subjects.get(token) });
        }
        default:
          return reply(404, {});
      }
    },
  );
  issuer = `http://127.0.0.1:${server.port}`;
  const provider: FakeProvider = closeable({
    issuer,
    requests: server.requests,
    good: new Set<string>(),
    secrets: [PROVIDER_SECRET] as string[],
    count: (what: string) => counts[what] ?? 0,
    answer: undefined,
    before: () => {},
    idToken: undefined,
    error: undefined,
    subject: "anna",
    close: server.stop,
  }) as FakeProvider;
  return provider;
}

/** For the option `intercept` of a server: it wants tokens of this provider. @param refusing says which are refused all the same */
export function wanting(provider: FakeProvider, refusing: Set<string> = new Set()) {
  return ({ headers }: RecordedRequest, _request: unknown, response: ServerResponse): boolean => {
    const token = (headers.authorization ?? "").slice("Bearer ".length);
    if (provider.good.has(token) && !refusing.has(token)) return false;
    response.writeHead(401, { "www-authenticate": "Bearer" }).end();
    return true;
  };
}
