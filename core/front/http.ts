/** Streamable HTTP clients (MCP 2025-11-25 and 2026-07-28, Transports): a request becomes an exchange, its outcome a response. */
import type { ServerRequest } from "srvx";
import { FastResponse } from "srvx/node";
import type { Bag } from "../bag.ts";
import { type AnyBody, discard } from "../body/body.ts";
import { Pipe } from "../body/pipe.ts";
import { ProxyError } from "../errors.ts";
import { HeaderList, isEventStream } from "../headers.ts";
import type { Outgoing } from "../down.ts";
import { ExchangeRun } from "../exchange.ts";
import type { Incoming } from "../exchange-state.ts";
import type { MountRuntime } from "../mount.ts";
import type { Deadlines } from "../deadlines.ts";
import type { RoutePath } from "../routes.ts";
import type { Answer } from "../types.ts";
import type { Head } from "./head.ts";
import { type NodeReadable, readNodeBody, readWebBody } from "./read-body.ts";
import { type NodeWritable, PipeableBody, toWebStream } from "./outlet.ts";

const ALLOW = "GET, POST, DELETE";
const JSON_TYPE = /^application\/json\s*(?:;|$)/i;

/** Runs of the proxy that have not ended; a stop brings them to their end. */
export type Running = Bag<ExchangeRun>;

/** Serves one request to a mount. Never rejects. */
export async function serveMount(
  mount: MountRuntime,
  request: ServerRequest,
  head: Head,
  running: Running,
): Promise<Response> {
  const { method } = request;
  const node = request.runtime?.node as { req: NodeReadable; res?: NodeResponse } | undefined;
  const incoming: Incoming = {
    head,
    method: method as Incoming["method"],
    fields: node ? node.req.rawHeaders : [...request.headers].flat(),
    read: () =>
      node
        ? readNodeBody(node, mount.maxRequestBytes, mount.deadlines)
        : readWebBody(request, mount.maxRequestBytes, mount.deadlines),
  };
  const exchange = new ExchangeRun(mount, incoming);
  const entry = running.add(exchange);
  const { res } = node ?? {};
  const closed = (whole: boolean) => {
    running.remove(entry);
    exchange.closed(whole);
  };
  // From the start: a client may leave while nothing has been sent yet.
  res?.on("close", () => closed(res.writableFinished));
  if (res?.destroyed) closed(false);
  if (!node) request.signal.addEventListener("abort", () => closed(false), { once: true });
  const outgoing = await exchange.run(
    node ? verdict(method, (name) => node.req.headers[name]) : verdict(method, (name) => request.headers.get(name)),
  );
  if (res && exchange.draining) outgoing.headers.set("connection", "close");
  if (res) return nodeResponse(outgoing);
  return webResponse(outgoing, closed);
}

type NodeResponse = NodeWritable & {
  on(event: "close", listener: () => void): unknown;
  setHeader(name: string, value: string): unknown;
  writableFinished: boolean;
  destroyed: boolean;
};

/** What is refused before anything is looked at. */
function verdict(
  method: string,
  header: (name: string) => string | string[] | null | undefined,
): ProxyError | undefined {
  if (method === "GET" || method === "DELETE") return undefined;
  if (method !== "POST") return new ProxyError("METHOD_NOT_ALLOWED", { headers: { allow: ALLOW } });
  const type = header("content-type");
  const isJson = type === "application/json" || (typeof type === "string" && JSON_TYPE.test(type));
  if (!isJson || header("content-encoding")) return new ProxyError("UNSUPPORTED_MEDIA_TYPE");
}

function nodeResponse({ status, headers, body }: Outgoing): Response {
  const init = { status, headers: headers.toPairs() };
  if (body === null || body instanceof Uint8Array)
    return new FastResponse(body as Uint8Array<ArrayBuffer> | null, init);
  return new FastResponse(new PipeableBody(body) as unknown as BodyInit, init);
}

/** Largest body of a request to a plugin's route, in bytes. */
const MAX_ROUTE_BODY = 256 * 1024;

/** Serves one request to a plugin's route. @throws ProxyError */
export async function serveRoute(
  route: RoutePath,
  request: ServerRequest,
  head: Head,
  deadlines: Deadlines,
): Promise<Response> {
  const node = request.runtime?.node as { req: NodeReadable; res?: NodeResponse } | undefined;
  const text = async () =>
    new TextDecoder().decode(
      await (node ? readNodeBody(node, MAX_ROUTE_BODY, deadlines) : readWebBody(request, MAX_ROUTE_BODY, deadlines)),
    );
  return toResponse(await route.serve(head, text), request);
}

/** An answer that belongs to no exchange. */
export function toResponse(early: Answer | Response, request: ServerRequest): Response {
  if (early instanceof Response) return early;
  const { status } = early;
  const headers = HeaderList.from(early.headers);
  const body = early.body as AnyBody;
  if (request.method === "HEAD") {
    // RFC 9110 §9.3.2: the same head, and no content.
    if (body.kind === "bytes") headers.set("content-length", String(body.bytes.length));
    discard(early);
    return webResponse({ status, headers, body: null }, () => {});
  }
  const res = request.runtime?.node?.res as NodeResponse | undefined;
  if (body.kind !== "stream") {
    const outgoing = { status, headers, body: body.kind === "bytes" ? body.bytes : null };
    return res ? nodeResponse(outgoing) : webResponse(outgoing, () => {});
  }
  const pipe = new Pipe({ source: body.source, transforms: [], onEnd() {} });
  res?.on("close", () => pipe.abort());
  return res ? nodeResponse({ status, headers, body: pipe }) : webResponse({ status, headers, body: pipe }, () => {});
}

function webResponse({ status, headers, body }: Outgoing, closed: (whole: boolean) => void): Response {
  const init = { status, headers: headers.toPairs() };
  if (body === null || body instanceof Uint8Array) {
    closed(true);
    return new Response(body as Uint8Array<ArrayBuffer> | null, init);
  }
  return new Response(toWebStream(body, isEventStream(headers), closed), init);
}
