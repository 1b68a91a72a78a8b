/** The token endpoint (RFC 6749 §3.2, §4.1.3 and §6, RFC 7636 §4.6, RFC 8707 §2.2). */
import type { Answer, RouteRequest } from "../../core/index.ts";
import type { Broker } from "./broker.ts";
import { authenticateClient } from "./client-auth.ts";
import { checkResource, invalidGrant, providerFailed } from "./grant-errors.ts";
import { OAuthError, type Params, answerJson, readForm } from "./params.ts";
import { type LoggedIn, ProviderError } from "./provider.ts";
import { isEqual, sha256 } from "./random.ts";
import { refreshGrant } from "./refresh.ts";
import type { Code, ProviderTokens, TokenClaims } from "./sealed.ts";

/** RFC 7636 §4.1. */
const VERIFIER = /^[\w.~-]{43,128}$/;
/** Ours end so much before the provider's, in milliseconds, and live so long at least. */
const MARGIN = 30_000;
const LEAST = 10_000;

/** @throws OAuthError */
export async function token(broker: Broker, request: RouteRequest): Promise<Answer> {
  const form = await readForm(request);
  const grantType = form.get("grant_type");
  if (grantType !== "authorization_code" && grantType !== "refresh_token")
    throw grantType === undefined
      ? new OAuthError("invalid_request", "grant_type is missing.")
      : new OAuthError("unsupported_grant_type", "grant_type must be authorization_code or refresh_token.");
  const client = await sha256(await authenticateClient(broker, request, form));
  if (grantType === "refresh_token") {
    const { claims, provider } = await refreshGrant(broker, request, form, client);
    return answerTokens(broker, claims, provider);
  }
  return redeemCode(broker, request, form, client);
}

async function redeemCode(broker: Broker, request: RouteRequest, form: Params, client: string): Promise<Answer> {
  const { seals, grants, provider, settings, app, mount } = broker;
  const code = seals.open("code", form.get("code") ?? "");
  if (!code || !isEqual(code.client, client)) throw invalidGrant();
  if (code.redirectUri !== form.get("redirect_uri")) throw invalidGrant("redirect_uri is another one than before.");
  const verifier = form.get("code_verifier") ?? "";
  if (!VERIFIER.test(verifier) || !isEqual(await sha256(verifier), code.challenge))
    throw invalidGrant("code_verifier does not belong to this code.");
  checkResource(broker, request, form, code.resource);
  // Used once: whoever comes second may be a thief, or the first one was (RFC 6749 §4.1.2).
  if (!(await grants.use(`code ${code.id}`, settings.codeLifetime + MARGIN))) {
    await grants.end(code.id, "its code was used twice");
    throw invalidGrant();
  }
  const login = await redeemAtProvider(broker, code);
  if (!(await grants.begin(code.id, login.tokens))) {
    await provider.revoke(login.tokens);
    throw invalidGrant();
  }
  app.log.info(() => `${mount.server}: somebody has logged in`);
  return answerTokens(
    broker,
    {
      grant: code.id,
      generation: 1,
      client,
      // Without a name for the user, nobody else is the same caller.
      principal: login.principal ?? `${mount.server} grant ${code.id}`,
      scopes: grantedScopes(code, login),
      resource: code.resource,
    },
    login.tokens,
  );
}

async function redeemAtProvider({ provider }: Broker, code: Code): Promise<LoggedIn> {
  try {
    return await provider.redeem(code);
  } catch (error) {
    if (!(error instanceof ProviderError)) throw error;
    if (error.isOver) throw invalidGrant();
    throw providerFailed();
  }
}

/** The provider may have granted less (RFC 6749 §3.3). */
function grantedScopes({ scopes: asked }: Code, { scopes: granted }: LoggedIn): readonly string[] {
  return granted ? asked.filter((scope) => granted.includes(scope)) : asked;
}

/** RFC 6749 §5.1. */
function answerTokens({ seals, settings, grants }: Broker, claims: TokenClaims, provider: ProviderTokens): Answer {
  const now = Date.now();
  // The client refreshes with us when the provider's token ends, so that both stay in step on whichever replica.
  const untilProviders = provider.expiresAt === undefined ? Infinity : provider.expiresAt - now - MARGIN;
  const lifetime = Math.max(LEAST, Math.min(settings.accessTokenLifetime, untilProviders));
  const refreshable = provider.refresh !== undefined || provider.expiresAt === undefined;
  const refreshLifetime = refreshable ? settings.refreshTokenLifetime : Math.max(LEAST, untilProviders);
  const { access, expiresAt } = provider;
  const carried = (tokens: ProviderTokens) => (grants.isShared ? claims : { ...claims, provider: tokens });
  return answerJson({
    access_token: seals.seal("access", carried({ access, ...(expiresAt && { expiresAt }) }), now + lifetime),
    token_type: "Bearer",
    expires_in: Math.floor(lifetime / 1000),
    refresh_token: seals.seal("refresh", carried(provider), now + refreshLifetime),
    ...(claims.scopes.length > 0 && { scope: claims.scopes.join(" ") }),
  });
}
