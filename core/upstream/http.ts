/** The driver for Streamable HTTP servers: one request in, one answer out, raw in between. */
import { StreamBody } from "../body/body.ts";
import { writeMessage } from "../body/message.ts";
import { ProxyError } from "../errors.ts";
import { HeaderList, isEventStream } from "../headers.ts";
import { fillTimeouts } from "../timeouts.ts";
import type { Answer, HttpServerConfig, Message, UpstreamRequest } from "../types.ts";
import { decoded } from "./content-coding.ts";
import { responseHeaders } from "./fields.ts";
import { connectHttp1 } from "./http1/client.ts";
import type { Driver, DriverHost, OnAbort, WireAnswer, WireClient, WireRequest } from "./wire.ts";

const MAX_REDIRECTS = 3;

/** @param name the server's name, for error messages */
export function createHttpDriver(name: string, config: HttpServerConfig, { via }: DriverHost): Driver {
  const url = new URL(config.url);
  const timeouts = fillTimeouts(config.timeouts);
  const client: WireClient = connectHttp1(name, url, timeouts.connect, config.tls);
  const configured = Object.entries(config.headers ?? {}).flatMap(([key, value]) => [key.toLowerCase(), value]);

  async function send(
    request: Omit<UpstreamRequest, "signal">,
    onAbort: OnAbort,
    method?: string,
    idText?: string,
  ): Promise<Answer> {
    const own = request.timeouts;
    const wire: WireRequest = {
      method: request.method,
      path: request.path ?? url.pathname + url.search,
      headers: withConfigured(request.headers, configured),
      body:
        request.body === null || request.body instanceof Uint8Array
          ? request.body
          : Buffer.from(writeMessage(request.body as Message, idText)),
      headersTimeout: own?.headers ?? (method === "tools/call" ? timeouts.call : timeouts.headers),
      totalTimeout: own?.total ?? 0,
    };
    let answer = await client.send(wire, onAbort);
    for (let hops = 0; answer.status >= 300 && answer.status < 400; hops++) {
      const target = redirectTarget(answer, wire, url);
      answer.source.abort();
      if (!target || hops === MAX_REDIRECTS) throw new ProxyError("UPSTREAM_REDIRECT", { server: name });
      wire.path = target.pathname + target.search;
      answer = await client.send(wire, onAbort);
    }
    const headers = responseHeaders(answer.headers, via);
    const coding = headers.get("content-encoding");
    const source = coding === null ? answer.source : decoded(name, answer.source, coding, headers);
    answer.limitGap(isEventStream(headers) ? (own?.stream ?? timeouts.stream) : (own?.body ?? timeouts.body));
    return { status: answer.status, headers, body: new StreamBody(source) };
  }
  return { send, close: () => client.close() };
}

function withConfigured(headers: Headers, configured: readonly string[]): string[] {
  const list = headers instanceof HeaderList ? headers : HeaderList.from(headers);
  if (configured.length === 0) return list.flat;
  for (let i = 0; i < configured.length; i += 2) list.delete(configured[i]!);
  return [...list.flat, ...configured];
}

/**
 * Where to send the same request again: a redirect within the origin that keeps the method (RFC 9110 §15.4), such as the
 * trailing slash that many frameworks add. The request was not processed, so this is no second delivery.
 */
function redirectTarget(answer: WireAnswer, wire: WireRequest, url: URL): URL | undefined {
  const keepsMethod =
    answer.status === 307 || answer.status === 308 || (wire.method === "GET" && answer.status !== 304);
  const location = only(answer.headers, "location");
  if (!keepsMethod || location === undefined || !URL.canParse(location, url)) return undefined;
  const target = new URL(location, url);
  return target.origin === url.origin ? target : undefined;
}

/** The value of a field that stands there once. */
function only(flat: readonly string[], name: string): string | undefined {
  let found: string | undefined;
  for (let i = 0; i < flat.length; i += 2) {
    if (flat[i] !== name) continue;
    if (found !== undefined) return undefined;
    found = flat[i + 1];
  }
  return found;
}
