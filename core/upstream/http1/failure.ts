/** What a broken connection means, from the codes of Node, Bun and Deno. */
import { ProxyError, isProxyError } from "../../errors.ts";
import { InvalidMessage } from "../../http1/fields.ts";

/** The limit for setting up a connection has passed. */
export class ConnectTimeout extends Error {
  override readonly name = "ConnectTimeout";
}

const TLS = /^(?:ERR_TLS|ERR_SSL|ERR_OSSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|HOSTNAME_MISMATCH|INVALID_CA|EPROTO)/;
const UNREACHABLE =
  /^(?:ECONNREFUSED|ENOTFOUND|ENODATA|EAI_AGAIN|EAI_FAIL|EHOSTUNREACH|EHOSTDOWN|ENETUNREACH|ENETDOWN|EADDRNOTAVAIL|EACCES|EPERM|ENOENT)$/;

/**
 * @param server its name
 * @param cause what the socket said
 * @param started the head of the answer had come already
 */
export function toProxyError(server: string, cause: unknown, started: boolean): ProxyError {
  if (isProxyError(cause)) return cause;
  const { code = "", name = "" } = (cause ?? {}) as { code?: string; name?: string };
  if (cause instanceof InvalidMessage)
    return new ProxyError(started ? "UPSTREAM_BROKE" : "UPSTREAM_INVALID", { server, cause });
  if (cause instanceof ConnectTimeout || (code === "ETIMEDOUT" && !started))
    return new ProxyError("UPSTREAM_CONNECT_TIMEOUT", { server, cause });
  // Out of file descriptors: that is this proxy's state, and passes.
  if (code === "EMFILE" || code === "ENFILE")
    return new ProxyError("OVERLOADED", { server, cause, headers: { "retry-after": "1" } });
  if (TLS.test(code)) return new ProxyError("UPSTREAM_TLS", { server, cause });
  // Deno without the permission for this host; an address that both families refused.
  if (UNREACHABLE.test(code) || name === "NotCapable" || cause instanceof AggregateError)
    return new ProxyError("UPSTREAM_UNREACHABLE", { server, cause });
  return new ProxyError("UPSTREAM_BROKE", { server, cause });
}
