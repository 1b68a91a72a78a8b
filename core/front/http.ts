/** Streamable HTTP clients (MCP 2025-11-25 and 2026-07-28, Transports): a request becomes an exchange, its outcome what is written. */
import type { Bag } from "../bag.ts";
import { type AnyBody, discard, fromResponse } from "../body/body.ts";
import { Pipe } from "../body/pipe.ts";
import type { Outgoing } from "../down.ts";
import { ProxyError } from "../errors.ts";
import { ExchangeRun } from "../exchange.ts";
import { HeaderList, isFinalStatus } from "../headers.ts";
import type { MountRuntime } from "../mount.ts";
import type { RoutePath } from "../routes.ts";
import type { Answer } from "../types.ts";
import type { Inbound } from "./inbound.ts";
import { isPlainJson } from "./media-type.ts";

const ALLOW = "GET, POST, DELETE";

/** Runs of the proxy that have not ended; a stop brings them to their end. */
export type Running = Bag<ExchangeRun>;

/** Serves one request to a mount. Never rejects. */
export function serveMount(mount: MountRuntime, inbound: Inbound, running: Running): Promise<Outgoing> {
  const exchange = new ExchangeRun(mount, inbound);
  const entry = running.add(exchange);
  inbound.onClosed = (whole) => {
    running.remove(entry);
    exchange.closed(whole);
  };
  // It may have left while h3 looked for the mount.
  if (inbound.isOver) inbound.onClosed(false);
  return exchange.run(verdict(inbound));
}

/** What is refused before anything is looked at. */
function verdict(inbound: Inbound): ProxyError | undefined {
  const { method, fields } = inbound;
  if (method === "GET" || method === "DELETE") return undefined;
  if (method !== "POST") return new ProxyError("METHOD_NOT_ALLOWED", { headers: { allow: ALLOW } });
  if (!isPlainJson(fields)) return new ProxyError("UNSUPPORTED_MEDIA_TYPE");
}

/** Largest body of a request to a plugin's route, in bytes. */
const MAX_ROUTE_BODY = 256 * 1024;

/** Serves one request to a plugin's route. @throws ProxyError */
export async function serveRoute(route: RoutePath, inbound: Inbound): Promise<Outgoing> {
  const text = async () => new TextDecoder().decode(await inbound.read(MAX_ROUTE_BODY));
  return toOutgoing(await route.serve(inbound, text), inbound);
}

/** An answer that belongs to no exchange. @throws ProxyError `INTERNAL` for a status that ends nothing */
export function toOutgoing(early: Answer | Response, inbound: Inbound | undefined): Outgoing {
  const { status, headers: given, body: any } = early instanceof Response ? fromResponse(early) : early;
  if (!isFinalStatus(status))
    throw new ProxyError("INTERNAL", { detail: `the answer of a plugin's route or guard has the status ${status}` });
  const headers = HeaderList.from(given);
  const body = any as AnyBody;
  if (inbound?.method === "HEAD") {
    // RFC 9110 §9.3.2: the same head, and no content.
    if (body.kind === "bytes") headers.set("content-length", String(body.bytes.length));
    discard({ body });
    return { status, headers, body: null };
  }
  if (body.kind !== "stream") return { status, headers, body: body.kind === "bytes" ? body.bytes : null };
  const pipe = new Pipe({ source: body.source, transforms: [], onEnd() {} });
  if (inbound) inbound.onClosed = () => pipe.abort();
  return { status, headers, body: pipe };
}
