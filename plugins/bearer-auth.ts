import {
  type App,
  type Exchange,
  type Json,
  type Message,
  type Plugin,
  type State,
  createGuardedFetch,
  defineState,
  isRecord,
  json,
} from "../core/index.ts";
import { BearerGate } from "./_bearer-gate.ts";
import { type BearerSettings, NAME, checkOptions } from "./_bearer-options.ts";
import { BearerTokens } from "./_bearer-tokens.ts";
import { DPOP_ALGORITHMS } from "./_dpop.ts";
import { protectMounts } from "./_resource-routes.ts";

/** How tokens are checked that only their authorization server can read (RFC 7662). */
export interface IntrospectionOptions {
  /** @default what the issuer's metadata say */
  endpoint?: string;
  /** As which client this proxy asks. */
  clientId: string;
  clientSecret: string;
  /** How the secret is sent (RFC 6749 §2.3.1). @default "basic" */
  authMethod?: "basic" | "post";
  /** How long an answer counts, in milliseconds, and never beyond the token's end: so much later a revoked token is refused. @default 30000 */
  maxAge?: number;
}

/** One authorization server. */
export interface BearerIssuer {
  /** As its metadata and its tokens (`iss`) have it, byte for byte. */
  issuer: string;
  /** Where its public keys are. @default what its metadata say */
  jwksUri?: string;
  /** For tokens that are signed with a secret (HS256 and such), 32 bytes at least. @default public keys only */
  secret?: string;
  /** Signatures that are accepted. @default every asymmetric one; with `secret` HS256 */
  algorithms?: readonly string[];
  /** What `typ` in a token's header must be, e.g. `at+jwt` (RFC 9068). @default `at+jwt`, `JWT` or nothing */
  type?: string;
  /** It is asked about every token of its own. @default tokens are JWTs, and their signature counts */
  introspection?: IntrospectionOptions;
}

/** Options of {@link bearerAuth}. */
export interface BearerAuthOptions {
  /** The authorization servers whose tokens count, and where clients log in. Of an issuer alone its URL is enough. */
  issuers: string | BearerIssuer | readonly (string | BearerIssuer)[];
  /**
   * Other names of the resource that a token may be for (`aud`), for authorization servers that do not know `resource` (RFC 8707).
   * The URLs of the mount always count.
   *
   * @default none
   */
  audiences?: readonly string[];
  /** What every request needs. @default none */
  scopes?: readonly string[];
  /** What calls of a tool need beside `scopes`, by its name or a pattern with `*`; of several patterns all count. @default none */
  tools?: Readonly<Record<string, readonly string[]>>;
  /** Whether a token must be bound to a key of the client (RFC 9449). What is bound is checked in either case. @default "optional" */
  dpop?: "optional" | "required";
  /** By how much clocks may differ, in milliseconds, 300000 at most. @default 30000 */
  skew?: number;
}

/** Unknown tool (MCP 2025-11-25, Tools, Error Handling). */
const INVALID_PARAMS = -32602;

const gate: State<BearerGate> = defineState("bearer-auth.gate");

/**
 * Lets callers in with an access token of an authorization server, checked anew for every request: JWTs by their signature,
 * others by introspection. A token must be for the URL of the mount, which needs `publicUrl` where clients are on other machines.
 * Whoever has none is told where to log in; other plugins that authenticate may know the caller. Servers never get a token.
 * Scopes count for every caller, whichever plugin knows him. `tools/list` shows what a caller may not call: calling it asks for more.
 *
 * @throws ProxyError `BAD_OPTION`; its message never contains a secret
 */
export function bearerAuth(options: BearerAuthOptions): Plugin {
  const settings = checkOptions(options);
  return {
    name: NAME,
    credentials: ["authorization", "dpop"],
    setup(app) {
      const fetch = createGuardedFetch({ trusted: namedUrls(settings) });
      const tokens = new BearerTokens(settings, fetch, app.log);
      for (const mount of app.mounts) mount.set(gate, new BearerGate(settings, tokens, app));
      protectMounts(app, NAME, () => ({ resource: () => describe(settings) }));
      tellWithoutUrl(app, settings);
    },
    async authenticate(request, mount) {
      // A token is for a mount, and no mount has the proxy's own routes.
      return mount && (await mount.get(gate)!.authenticate(request, mount));
    },
    request({ mount, request, principal }) {
      mount.get(gate)!.checkScopes(request, mount, principal, []);
    },
    message: settings.hasTools
      ? {
          filter: { direction: "up", kind: "request", method: "tools/call" },
          handler: (exchange, message) => checkTool(settings, exchange, message),
        }
      : [],
    error({ mount, request }, error) {
      if (error.code !== "UNAUTHENTICATED") return;
      const headers = mount.get(gate)!.challenge(request, mount);
      const { rpcCode, message, code } = error;
      return json({ jsonrpc: "2.0", id: null, error: { code: rpcCode, message, data: { code } } }, 401, headers);
    },
  };
}

function checkTool(settings: BearerSettings, { mount, request, principal }: Exchange, { params }: Message) {
  const name = isRecord(params) ? params.name : undefined;
  // Nobody knows what such a call may need.
  if (typeof name !== "string")
    return { reply: { error: { code: INVALID_PARAMS, message: "tools/call needs the name of a tool." } } };
  mount.get(gate)!.checkScopes(request, mount, principal, settings.scopesOf(name));
}

/** The operator named them himself, so they may be in his own network. */
function namedUrls({ issuers }: BearerSettings): string[] {
  return issuers.flatMap(({ issuer, jwksUri, introspection }) =>
    [issuer, jwksUri, introspection?.endpoint].filter((url) => url !== undefined),
  );
}

/** RFC 9728 §2. Of the scopes those that everything needs (MCP, Authorization, Scope Selection): the rest is asked for when it is needed. */
function describe({ issuers, scopes, dpopRequired }: BearerSettings): Json {
  return {
    authorization_servers: issuers.map(({ issuer }) => issuer),
    ...(scopes.length > 0 && { scopes_supported: scopes }),
    bearer_methods_supported: ["header"],
    dpop_signing_alg_values_supported: DPOP_ALGORITHMS,
    ...(dpopRequired && { dpop_bound_access_tokens_required: true }),
  };
}

function tellWithoutUrl(app: App, { audiences }: BearerSettings): void {
  if (app.publicUrl !== undefined || audiences.length > 0) return;
  app.log.info(
    () => `${NAME}: without publicUrl only tokens for URLs of this machine count, e.g. http://localhost:3333/docs/mcp`,
  );
}
