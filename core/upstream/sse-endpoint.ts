/** Where the messages of an HTTP+SSE session are posted (MCP 2024-11-05, Transports, "HTTP with SSE"). */
import { ProxyError } from "../errors.ts";

/** It goes onto a request line, where other servers stop at 8 KiB. */
const MAX_LENGTH = 4096;

/**
 * What an `endpoint` event names. A server may lead to itself only: what is posted there carries credentials, and a stranger
 * behind it could use the proxy to reach what only the proxy can.
 *
 * @param server its name
 * @param text the event's data: relative, or absolute with the same origin
 * @param url of the stream
 * @returns path and query
 * @throws ProxyError `UPSTREAM_INVALID`
 */
export function resolveEndpoint(server: string, text: string, url: URL): string {
  const refuse = (hint: string, detail?: string): never => {
    throw new ProxyError("UPSTREAM_INVALID", { server, hint: `Its endpoint event ${hint}.`, detail });
  };
  if (text.length > MAX_LENGTH) refuse(`is longer than ${MAX_LENGTH} bytes`);
  if (!URL.canParse(text, url)) return refuse("names no URL");
  const target = new URL(text, url);
  // The query is the session's secret, and a path may hold one too.
  if (target.protocol !== "http:" && target.protocol !== "https:")
    refuse("names something else than http: or https:", target.protocol);
  if (target.origin !== url.origin) refuse("leads to another origin", target.origin);
  if (target.username || target.password) refuse("has a user or a password", target.origin);
  return target.pathname + target.search;
}
