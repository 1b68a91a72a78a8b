/** Refreshing (RFC 6749 §6): each token once, and one that comes back too late ends the grant (RFC 9700 §4.14.2). */
import type { RouteRequest } from "../../core/index.ts";
import type { Broker } from "./broker.ts";
import { checkResource, invalidGrant, providerFailed } from "./grant-errors.ts";
import { OAuthError, type Params } from "./params.ts";
import { isEqual } from "./random.ts";
import type { ProviderTokens, TokenClaims } from "./sealed.ts";

/** What a token of the provider has left at least, in milliseconds, to be handed on once more. */
const STILL_GOOD = 60_000;

/** What the next tokens say, and what the provider gave. */
interface Renewed {
  claims: TokenClaims;
  provider: ProviderTokens;
}

/** @param client digest of the id of whoever asks @throws OAuthError */
export async function refreshGrant(
  broker: Broker,
  request: RouteRequest,
  form: Params,
  client: string,
): Promise<Renewed> {
  const { seals, grants, settings } = broker;
  const claims = seals.open("refresh", form.get("refresh_token") ?? "");
  if (!claims || !isEqual(claims.client, client)) throw invalidGrant();
  checkResource(broker, request, form, claims.resource);
  const { provider: carried, ...rest } = { ...claims, scopes: narrowed(claims, form.get("scope")) };
  const { grant: id, generation } = claims;
  for (;;) {
    const held = await grants.of(claims);
    const grant = held?.grant;
    if (!held || !grant) throw invalidGrant();
    if (grant.generation > generation) {
      // The answer with its successor may have been lost on its way: then that one is given once more.
      const isLate = grant.generation > generation + 1 || Date.now() - grant.refreshedAt > settings.refreshGrace;
      if (!isLate) return { claims: { ...rest, generation: grant.generation }, provider: grant.provider };
      await grants.end(id, "a refresh token was used that had been replaced");
      throw invalidGrant();
    }
    if (grant.generation < generation) throw invalidGrant();
    const refresh = carried?.refresh;
    if (refresh !== undefined && grant.provider.refresh === undefined) {
      // On this replica an access token came first, which has not got it.
      await grants.swap(id, held, { ...grant, provider: { ...grant.provider, refresh } });
      continue;
    }
    await renewAtProvider(broker, id, grant.provider);
    const renewed = await grants.read(id);
    if (!renewed?.grant) throw invalidGrant();
    if (renewed.grant.generation !== generation) continue;
    const next = { ...renewed.grant, generation: generation + 1, refreshedAt: Date.now() };
    if (await grants.swap(id, renewed, next))
      return { claims: { ...rest, generation: generation + 1 }, provider: next.provider };
  }
}

/** With each of ours, one of the provider's: so it decides every time whether the login still holds. @throws OAuthError */
async function renewAtProvider({ grants }: Broker, id: string, tokens: ProviderTokens): Promise<void> {
  if (tokens.refresh === undefined) {
    if (tokens.expiresAt !== undefined && tokens.expiresAt <= Date.now()) throw invalidGrant();
    return;
  }
  const refreshed = await grants.refresh(id, tokens.access);
  if (refreshed === "ended") throw invalidGrant();
  // Where it cannot be asked, what there is may still do for a while.
  const isGood = tokens.expiresAt !== undefined && tokens.expiresAt > Date.now() + STILL_GOOD;
  if (refreshed === "failed" && !isGood) throw providerFailed();
}

/** RFC 6749 §6: the same or less. @throws OAuthError `invalid_scope` */
function narrowed({ scopes }: TokenClaims, asked: string | undefined): readonly string[] {
  if (asked === undefined) return scopes;
  const wanted = asked.split(" ").filter(Boolean);
  if (!wanted.every((scope) => scopes.includes(scope)))
    throw new OAuthError("invalid_scope", "More was asked for than was granted.");
  return wanted;
}
