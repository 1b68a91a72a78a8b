/** What both grants of the token endpoint refuse (RFC 6749 §5.2, RFC 8707 §2.2). */
import type { RouteRequest } from "../../core/index.ts";
import { type Broker, resourceNamed } from "./broker.ts";
import { OAuthError, type Params } from "./params.ts";

/** A client may name the resource again, and no other. @throws OAuthError `invalid_target` */
export function checkResource(broker: Broker, request: RouteRequest, form: Params, granted: string): void {
  for (const resource of form.all("resource"))
    if (resourceNamed(broker, request, resource) !== granted)
      throw new OAuthError("invalid_target", "resource is not what this was granted for.");
}

/** One answer for every reason that concerns others. */
export function invalidGrant(
  why: string = "It is not known here, has expired, or was used before. Log in again.",
): OAuthError {
  return new OAuthError("invalid_grant", why);
}

/** Nothing is over: the same request may succeed later. */
export function providerFailed(): OAuthError {
  return new OAuthError(
    "temporarily_unavailable",
    "The provider of this server's logins cannot be asked, or refused. The log of the proxy has the cause.",
    503,
    { "retry-after": "5" },
  );
}
