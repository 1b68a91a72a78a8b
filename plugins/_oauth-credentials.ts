/** The credentials that `oauth-client` can put on requests to one server. */
import { ANONYMOUS, type App, type Awaitable, type Exchange, type Mount, ProxyError } from "../core/index.ts";
import { CallerTokens, type Subject } from "./_caller-tokens.ts";
import { clientAuth } from "./_client-auth.ts";
import {
  type GrantSettings,
  ID_JAG,
  type OAuthClientIdentity,
  type StoredTokensOptions,
  isToken,
} from "./_oauth-client-options.ts";
import { serverIssuer } from "./_server-issuer.ts";
import { type Issued, TokenFailure } from "./_token-answer.ts";
import { TokenEndpoint, type TokenParameters } from "./_token-endpoint.ts";
import { TokenSource } from "./_token-source.ts";

/** What one request is sent with. */
export interface Credential {
  /** @throws ProxyError */
  get(): Promise<string>;
  /** The server refused it. @returns another one, where there is any @throws ProxyError */
  renew(used: string): Promise<string | undefined>;
}

/** Those of one server. */
export interface Credentials {
  /** Field that they are sent in, in lower case. */
  readonly field: string;
  /** In a few words, without a secret. */
  readonly description: string;
  /** They belong to callers, not to the proxy. */
  readonly differ: boolean;
  /** @returns nothing where a request goes without @throws ProxyError where its caller has none */
  of(exchange: Exchange): Awaitable<Credential | undefined>;
  /** A client's request begins. */
  note?(exchange: Exchange): void;
  /** A caller has logged out. */
  forget?(principal: string): void;
  /** Called now and then. */
  sweep?(): void;
}

const EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/** The tokens that an authorization server issues. @throws ProxyError `BAD_OPTION` for a key that cannot be read */
export async function grantedTokens(
  app: App,
  mount: Mount,
  settings: GrantSettings,
  closing: AbortSignal,
): Promise<Credentials> {
  const { server, upstream } = mount;
  const { grant, client, idp, timeout } = settings;
  const failure = new TokenFailure(server);
  const endpointOf = async (identity: OAuthClientIdentity) => {
    registerSecrets(app, identity);
    const authenticate = await clientAuth(identity);
    const discover = () => serverIssuer(app, mount);
    return new TokenEndpoint({ identity, authenticate, server, upstream, timeout, log: app.log, closing, discover });
  };
  const endpoint = await endpointOf(client);
  const { resource = resourceOf(upstream), audience, scope } = settings;
  const wanted = { scope, audience, resource };
  const common = { field: "authorization" };
  if (grant === "client_credentials") {
    const source = new TokenSource(settings, failure, () => endpoint.request(grant, wanted));
    const description = `oauth client credentials${at(endpoint)}`;
    return { ...common, description, differ: false, of: () => source };
  }
  const idpEndpoint = idp && (await endpointOf(idp));
  const fetch = ({ token, end }: Subject): Promise<Issued> => {
    const asked: TokenParameters = {
      ...wanted,
      subject_token: token,
      subject_token_type: settings.subjectTokenType,
      requested_token_type: settings.requestedTokenType,
    };
    const issued = idpEndpoint
      ? throughIdp(idpEndpoint, endpoint, asked, token)
      : endpoint.request(EXCHANGE, asked, [token]);
    return issued.then((found) => endingWith(end, found, settings.lifetime));
  };
  const callers = new CallerTokens((subject) => new TokenSource(settings, failure, () => fetch(subject)));
  return {
    ...common,
    description: idpEndpoint
      ? `oauth grants for each caller${at(idpEndpoint)}`
      : `oauth tokens exchanged for each caller${at(endpoint)}`,
    differ: true,
    of: (exchange) =>
      callers.of(exchange) ??
      withoutToken(
        exchange,
        "It is got for a token that the caller presents here, and which a plugin such as bearer-auth has checked.",
      ),
    note: (exchange) => callers.note(exchange),
    forget: (principal) => callers.forget(principal),
    sweep: () => callers.sweep(),
  };
}

/** Tokens that whoever runs the proxy keeps for its callers. */
export function storedTokens(app: App, mount: Mount, { tokens, header }: Required<StoredTokensOptions>): Credentials {
  const { server } = mount;
  if (typeof tokens === "object") for (const token of Object.values(tokens)) app.log.redact?.(token);
  async function look({ principal }: Exchange): Promise<string | undefined> {
    const found =
      typeof tokens === "function"
        ? await tokens({ principal, server, store: app.store })
        : Object.hasOwn(tokens, principal.id)
          ? tokens[principal.id]
          : undefined;
    if (found !== undefined && !isToken(found)) throw new TypeError("`tokens` gave something that is no token");
    return found;
  }
  return {
    field: header,
    description: "a stored token of each caller",
    differ: true,
    async of(exchange) {
      const token = await look(exchange);
      if (token === undefined) return withoutToken(exchange, "Add it to `tokens` of the plugin oauth-client.");
      return {
        get: () => Promise.resolve(token),
        async renew(used) {
          const again = typeof tokens === "function" ? await look(exchange) : undefined;
          return again === used ? undefined : again;
        },
      };
    },
  };
}

/** MCP extension "enterprise-managed authorization": a grant from the company's provider, for a token of the server's own one. */
async function throughIdp(
  idp: TokenEndpoint,
  endpoint: TokenEndpoint,
  asked: TokenParameters,
  subject: string,
): Promise<Issued> {
  const audience = asked.audience ?? (await endpoint.issuer());
  const { token: assertion } = await idp.request(EXCHANGE, { ...asked, audience }, [subject], ID_JAG);
  return endpoint.request(JWT_BEARER, { assertion }, [assertion]);
}

/** What was had for a token lives no longer than that. */
function endingWith(end: number, issued: Issued, byDefault: number): Issued {
  return { ...issued, lifetime: Math.min(issued.lifetime ?? byDefault, end - Date.now()) };
}

/** A probe for nobody asks without one: that the server wants one is an answer. @throws ProxyError `NO_UPSTREAM_TOKEN` */
function withoutToken({ origin, principal, mount }: Exchange, hint: string): undefined {
  if (origin === "probe" && principal.id === ANONYMOUS.id) return undefined;
  throw new ProxyError("NO_UPSTREAM_TOKEN", { server: mount.server, hint });
}

/** MCP 2025-11-25, Authorization, "Canonical Server URI": a bare origin has no slash at its end. */
function resourceOf(upstream: string): string {
  return upstream.replace(/^(https?:\/\/[^/]+)\/$/, "$1");
}

function at({ origin }: TokenEndpoint): string {
  return origin === undefined ? ", from the issuer that it names" : ` at ${origin}`;
}

function registerSecrets(app: App, { clientSecret, privateKey }: OAuthClientIdentity): void {
  if (clientSecret !== undefined) app.log.redact?.(clientSecret);
  const parts =
    typeof privateKey === "string"
      ? privateKey.split("\n").filter((line) => !line.includes("-----"))
      : ["d", "p", "q", "dp", "dq", "qi"].map((name) => privateKey?.[name]);
  for (const part of parts) if (typeof part === "string") app.log.redact?.(part);
}
