/** What went wrong at an authorization server, in one sentence without a code, token or state in it. */
import {
  AuthorizationResponseError,
  OperationProcessingError,
  ResponseBodyError,
  WWWAuthenticateChallengeError,
} from "oauth4webapi";
import { isProxyError } from "../../errors.ts";
import { shown } from "./findings.ts";

export function describeOAuth(cause: unknown): string {
  if (cause instanceof AuthorizationResponseError)
    return cause.error === "access_denied"
      ? "access was denied"
      : `the authorization server says ${shown(cause.error)}`;
  if (cause instanceof ResponseBodyError)
    return `the authorization server answers HTTP ${cause.status} ${shown(cause.error)}`;
  if (cause instanceof WWWAuthenticateChallengeError)
    return `the authorization server answers HTTP ${cause.status}: it does not accept this client`;
  // Texts of the library hold names of members, never values.
  if (cause instanceof OperationProcessingError)
    return `the authorization server's answer is not valid (${cause.message})`;
  if (isProxyError(cause)) return (cause.details.detail ?? cause.message).replace(/[.]$/, "");
  return cause instanceof Error ? cause.message : "it failed";
}

/** The refresh token is worth nothing any more (RFC 6749 §5.2); everything else may pass. */
export function isOver(cause: unknown): boolean {
  return (
    cause instanceof ResponseBodyError &&
    ["invalid_grant", "invalid_client", "unauthorized_client"].includes(cause.error)
  );
}
