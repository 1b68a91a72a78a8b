import { type Exchange, type Plugin, ProxyError, mountUrl } from "../core/index.ts";
import { type Challenge, type ChallengeParam, parseChallenges, writeChallenges } from "./_challenges.ts";
import { resourceMetadataUrl } from "./_oauth.ts";
import { protectMounts } from "./_resource-routes.ts";
import { rememberHint, upstreamMetadata } from "./_upstream-metadata.ts";

/** Options of {@link oauthRelay}. */
export interface OAuthRelayOptions {
  /** How long a server's metadata is kept, in milliseconds. @default 60000 */
  maxAge?: number;
}

const NAME = "oauth-relay";
/** Schemes whose challenges lead to an OAuth login. */
const OAUTH_SCHEME = /^(?:bearer|dpop)$/i;

/**
 * For servers with `auth: "passthrough"`, which check their callers' tokens themselves: their challenges and their
 * protected-resource metadata name the mount in place of the server, so that clients accept them. The authorization server
 * stays the real one. It must issue tokens that the server accepts although clients ask for them with the mount's URL.
 *
 * @throws ProxyError `BAD_OPTION`
 */
export function oauthRelay(options: OAuthRelayOptions = {}): Plugin {
  const { maxAge = 60_000 } = options;
  if (!Number.isFinite(maxAge) || maxAge < 0)
    throw new ProxyError("BAD_OPTION", {
      plugin: `plugin '${NAME}'`,
      hint: "`maxAge` is a number of milliseconds, 0 or more.",
    });
  return {
    name: NAME,
    applies: ({ auth }) => auth === "passthrough",
    setup(app) {
      for (const mount of app.mounts) {
        app.log.info(
          () =>
            `${mount.server}: transparent (auth: "passthrough"): the Authorization of its callers goes on to ${mount.upstream}`,
        );
      }
      protectMounts(app, NAME, (mount) => ({ resource: () => upstreamMetadata(app, mount, maxAge) }));
    },
    async forward(exchange, request, next) {
      const answer = await next(request);
      const { status, headers } = answer;
      if ((status !== 401 && status !== 403) || exchange.origin !== "client") return answer;
      headers.set("cache-control", "no-store");
      const fields = [...headers].filter(([name]) => name.toLowerCase() === "www-authenticate");
      headers.delete("www-authenticate");
      for (const field of rewrite(
        fields.map(([, value]) => value),
        exchange,
        status,
      ))
        headers.append("www-authenticate", field);
      return answer;
    },
  };
}

/** One field for each that came and could be read; on a 401 there is at least one (RFC 9110 §15.5.2). */
function rewrite(fields: readonly string[], { request, mount }: Exchange, status: number): string[] {
  const resource = mountUrl(request, mount);
  const ours: ChallengeParam = { name: "resource_metadata", value: resourceMetadataUrl(resource) };
  const { origin } = new URL(mount.upstream);
  const rewriteOne = ({ params, ...challenge }: Challenge): Challenge => {
    const theirs = params.find(({ name }) => name === ours.name);
    if (theirs) rememberHint(mount, theirs.value);
    const kept = params
      .filter(({ name }) => name !== ours.name)
      .map((param) =>
        param.name === "realm" && isAt(param.value, origin) ? { name: "realm", value: resource } : param,
      );
    const wanted = theirs || (OAUTH_SCHEME.test(challenge.scheme) && challenge.token68 === undefined);
    return { ...challenge, params: wanted ? [...kept, ours] : kept };
  };
  const rewritten = fields.flatMap((field) => {
    const challenges = parseChallenges(field) ?? [];
    return challenges.length > 0 ? [writeChallenges(challenges.map(rewriteOne))] : [];
  });
  return rewritten.length === 0 && status === 401
    ? [writeChallenges([{ scheme: "Bearer", params: [ours] }])]
    : rewritten;
}

function isAt(url: string, origin: string): boolean {
  return URL.canParse(url) && new URL(url).origin === origin;
}
