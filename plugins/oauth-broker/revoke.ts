/** Token revocation (RFC 7009): either token ends the grant, here and at the provider. */
import { type Answer, type RouteRequest, empty } from "../../core/index.ts";
import type { Broker } from "./broker.ts";
import { authenticateClient } from "./client-auth.ts";
import { OAuthError, readForm } from "./params.ts";
import { isEqual, sha256 } from "./random.ts";

/** @throws OAuthError */
export async function revoke(broker: Broker, request: RouteRequest): Promise<Answer> {
  const { seals, grants } = broker;
  const form = await readForm(request);
  const client = await sha256(await authenticateClient(broker, request, form));
  const token = form.get("token");
  if (token === undefined) throw new OAuthError("invalid_request", "token is missing.");
  const claims = seals.open("refresh", token) ?? seals.open("access", token);
  if (claims && isEqual(claims.client, client) && (await grants.of(claims)))
    await grants.end(claims.grant, "the client gave it back");
  // A token that is no good is no good: there is nothing to tell (RFC 7009 §2.2).
  return empty(200, { "access-control-allow-origin": "*", "cache-control": "no-store" });
}
