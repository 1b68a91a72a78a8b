/** What a server of 2026-07-28 that reads bodies must look at before it does anything: the envelope, and header fields that mirror the body. */
import {
  type Exchange,
  type Message,
  ProxyError,
  type UpstreamRequest,
  checkMirrors,
  decideEra,
} from "../../core/index.ts";

/** A modern request, looked at. */
export interface Checked {
  message: Message;
  /** The revision that it names. */
  version: string;
  /** Why it may not be served: the envelope first (MCP 2026-07-28, Base Protocol), then the mirrors (Transports, Standard Headers). */
  envelope?: ProxyError;
  mirrors?: ProxyError;
}

/** Looks at a posted modern message, as it goes to the server. */
export function checkModernRequest(exchange: Exchange, { headers, body }: UpstreamRequest): Checked {
  const message = body instanceof Uint8Array ? exchange.message! : body!;
  const { refusal, version } = decideEra("POST", headers, message);
  if (refusal) return { message, version, envelope: refusal };
  try {
    checkMirrors([...headers].flat(), message, "modern");
  } catch (cause) {
    if (cause instanceof ProxyError) return { message, version, mirrors: cause };
    throw cause;
  }
  return { message, version };
}
