/** What a broken connection means, from the codes of Node, Bun and Deno. */
import { ProxyError, isProxyError } from "../../errors.ts";
import { InvalidMessage } from "../../http1/fields.ts";

/** The limit for setting up a connection has passed. */
export class ConnectTimeout extends Error {
  override readonly name = "ConnectTimeout";
}

/** How far a request came: a connection is being set up · bytes of it may have left · bytes of an answer came · its head is there. */
export type Phase = "connecting" | "sent" | "answering" | "answered";

const TLS = /^(?:ERR_TLS|ERR_SSL|ERR_OSSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|HOSTNAME_MISMATCH|INVALID_CA|EPROTO)/;
const UNREACHABLE =
  /^(?:ECONNREFUSED|ENOTFOUND|ENODATA|EAI_AGAIN|EAI_FAIL|EHOSTUNREACH|EHOSTDOWN|ENETUNREACH|ENETDOWN|EADDRNOTAVAIL|EACCES|EPERM|ENOENT)$/;

/**
 * @param server its name
 * @param cause what the socket said
 * @param phase how far the request came. "Unreachable" and "connect timeout" promise that no byte of it left, and a call is
 * sent again for that: a broken route tells the same of a connection that has been in use.
 */
export function toProxyError(server: string, cause: unknown, phase: Phase): ProxyError {
  if (isProxyError(cause)) return cause;
  const { code = "", name = "" } = (cause ?? {}) as { code?: string; name?: string };
  if (cause instanceof InvalidMessage)
    return new ProxyError(phase === "answered" ? "UPSTREAM_BROKE" : "UPSTREAM_INVALID", { server, cause });
  if (TLS.test(code)) return new ProxyError("UPSTREAM_TLS", { server, cause });
  if (phase !== "connecting") return new ProxyError("UPSTREAM_BROKE", { server, cause, answered: phase !== "sent" });
  if (cause instanceof ConnectTimeout || code === "ETIMEDOUT")
    return new ProxyError("UPSTREAM_CONNECT_TIMEOUT", { server, cause });
  // Deno without the permission for this host; an address that both families refused.
  if (UNREACHABLE.test(code) || name === "NotCapable" || cause instanceof AggregateError)
    return new ProxyError("UPSTREAM_UNREACHABLE", { server, cause });
  return new ProxyError("UPSTREAM_BROKE", { server, cause });
}
