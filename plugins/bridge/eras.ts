/** Which way a request goes: as it is, or through one of the two directions of the bridge. */
import { type Answer, type Call, type Era, type Exchange, type Next, type UpstreamRequest } from "../../core/index.ts";
import type { BridgeHost } from "./host.ts";
import type { ModernClients } from "./to-legacy/modern-clients.ts";

/** The era of what is sent: a hook around the bridge may have something of its own to say. */
export function eraOfRequest(exchange: Exchange, request: UpstreamRequest): Era {
  if (request.method !== "POST") return "legacy";
  return exchange.client.era;
}

/** A question of the proxy's own on behalf of the caller, with the same credential. */
export function callOf({ app, mount }: BridgeHost, exchange: Exchange, request: UpstreamRequest): Call {
  const authorization = mount.auth === "passthrough" ? request.headers.get("authorization") : null;
  return (asked) => {
    const headers = new Headers(asked.headers ? [...asked.headers] : []);
    if (authorization !== null) headers.set("authorization", authorization);
    const { principal } = exchange;
    return app.call(mount, { ...asked, headers }, { principal, reason: "which era", probe: true });
  };
}

/** Sends a legacy request to a server of which it is not known yet whether it speaks anything but modern revisions. */
export async function relayLegacy(_host: BridgeHost, request: UpstreamRequest, next: Next): Promise<Answer> {
  return next(request);
}

/** Sends a modern request to a server of which it is not known yet whether it is modern: it is asked first. */
export async function relayModern(
  host: BridgeHost,
  exchange: Exchange,
  request: UpstreamRequest,
  next: Next,
  toLegacy: ModernClients,
): Promise<Answer> {
  const verdict = await host.eras.probe(callOf(host, exchange, request));
  return verdict === "legacy" ? toLegacy.forward(exchange, request, next) : next(request);
}
