import {
  type Answer,
  type Mount,
  type Plugin,
  type State,
  type UpstreamRequest,
  copyHeaders,
  defineState,
  discard,
} from "../core/index.ts";
import { callersDiffer } from "./_callers-differ.ts";
import { type OAuthClientOptions, readGrant, readStored, refuse } from "./_oauth-client-options.ts";
import { type Credentials, grantedTokens, storedTokens } from "./_oauth-credentials.ts";

export type {
  ClientAuthMethod,
  ClientCredentialsOptions,
  IdJagOptions,
  OAuthClientIdentity,
  OAuthClientOptions,
  OAuthTokenOptions,
  StoredTokenRequest,
  StoredTokensOptions,
  TokenExchangeOptions,
} from "./_oauth-client-options.ts";

const slot: State<Credentials> = defineState("oauth-client.credentials");
/** How often what has ended is thrown away, in milliseconds. */
const SWEEP = 60_000;

/**
 * Puts a credential of its own on every request to a server, also on those that the proxy sends by itself: one that it gets from
 * an authorization server (client credentials), one that it gets for what each caller presents (token exchange, ID-JAG), or one
 * that is stored for each caller. Tokens are kept until shortly before their end; one that the server refuses (401) is replaced
 * once, and the request sent again: it was not run.
 *
 * For a server's `plugins`, or for the root list: then for all servers that are reached by HTTP. Where a server's configuration
 * sets the header itself, or leaves logins to callers (`auth: "passthrough"`), the plugin does nothing there, and says so.
 *
 * @throws ProxyError `BAD_OPTION`, also at the start for a key that cannot be read
 */
export function oauthClient(options: OAuthClientOptions): Plugin {
  const isStored = typeof options === "object" && options !== null && "tokens" in options;
  const stored = isStored ? readStored(options) : undefined;
  const granted = isStored ? undefined : readGrant(options ?? {});
  const closings: AbortController[] = [];
  return {
    name: "oauth-client",
    // Behind all that translates, repeats and keeps sessions: whatever those send passes here.
    order: "post",
    applies: ({ command }) => command === undefined,
    async setup(app) {
      const closing = new AbortController();
      closings.push(closing);
      const used: Credentials[] = [];
      for (const mount of app.mounts) {
        const { server } = mount;
        if (mount.get(slot))
          refuse(`Two of them are there for server '${server}': one in its own list, or one in the root list.`);
        const why = whyNot(mount, stored?.header ?? "authorization");
        if (why !== undefined) {
          app.log.warn(`${server}: oauth-client does nothing there: ${why}`);
          continue;
        }
        const credentials = stored
          ? storedTokens(app, mount, stored)
          : await grantedTokens(app, mount, granted!, closing.signal);
        mount.set(slot, credentials);
        if (credentials.differ) mount.set(callersDiffer, true);
        used.push(credentials);
      }
      app.health((mount) => {
        const credentials = mount.get(slot);
        return credentials && { credential: credentials.description };
      });
      if (used.some(({ sweep }) => sweep))
        app.every(SWEEP, () => {
          for (const credentials of used) credentials.sweep?.();
        });
    },
    // Before all that is sent on this caller's behalf.
    request: (exchange) => exchange.mount.get(slot)?.note?.(exchange),
    async forward(exchange, request, next) {
      const credentials = exchange.mount.get(slot);
      const credential = await credentials?.of(exchange);
      if (!credentials || !credential) return next(request);
      const used = await credential.get();
      const answer = await next(withCredential(request, credentials.field, used));
      return answer.status === 401 ? again(answer) : answer;

      async function again(refusal: Answer): Promise<Answer> {
        let other: string | undefined;
        try {
          other = await credential!.renew(used);
        } catch (cause) {
          discard(refusal);
          throw cause;
        }
        if (other === undefined) return refusal;
        discard(refusal);
        exchange.log.debug(
          () => `${exchange.mount.server}: it refused its credential; the request is sent with another`,
        );
        return next(withCredential(request, credentials!.field, other));
      }
    },
    close() {
      for (const closing of closings) closing.abort();
    },
  };
}

/**
 * Throws away what was had for a caller that has logged out: for plugins that know of it.
 *
 * @param principal its id
 */
export function forgetCaller(mount: Mount, principal: string): void {
  mount.get(slot)?.forget?.(principal);
}

function whyNot({ headerNames, auth }: Mount, field: string): string | undefined {
  if (headerNames.includes(field)) return `its \`headers\` set ${field}, which is sent.`;
  return auth === "passthrough" ? 'with auth: "passthrough" its callers bring their own credentials.' : undefined;
}

/** A copy: whoever sent the request may keep its fields. */
function withCredential(request: UpstreamRequest, field: string, token: string): UpstreamRequest {
  const headers = copyHeaders(request.headers);
  headers.set(field, field === "authorization" ? `Bearer ${token}` : token);
  return { ...request, headers };
}
