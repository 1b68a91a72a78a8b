import { type RunningProxy, startProxy } from "./proxy.ts";

/** The text of HTTP messages, as raw peers send them, and a proxy in front of one raw server. */

/** Head of a chunked event stream. */
export const SSE_HEAD = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/** One chunk of a chunked body; `chunk("")` is the last one. */
export function chunk(text: string): string {
  return `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
}

/** A whole answer with a JSON body. */
export function jsonAnswer(body: string, status = "200 OK", headers = ""): string {
  return `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\n${headers}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

/** The text of a JSON-RPC request. `id` is written as it is, so a string id needs its quotes. */
export function call(id: number | string = 1, method = "tools/list", params = "{}"): string {
  return `{"jsonrpc":"2.0","id":${id},"method":"${method}","params":${params}}`;
}

/** A POST of JSON text. @param headers whole lines, each with its CRLF */
export function post(body: string, path = "/mcp", headers = "content-type: application/json\r\n"): string {
  return `POST ${path} HTTP/1.1\r\nhost: localhost\r\naccept: application/json, text/event-stream\r\n${headers}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

/** A request without a body. */
export function plain(method = "GET", path = "/mcp", headers = ""): string {
  return `${method} ${path} HTTP/1.1\r\nhost: localhost\r\n${headers}\r\n`;
}

/** A proxy for one server. */
export interface Front extends RunningProxy {
  readonly port: number;
}

/** Serves one server at `/mcp`. @param plugins none: the bare core @param server more of its configuration */
export async function front(upstreamUrl: string, plugins: unknown = [], server: object = {}): Promise<Front> {
  const url = upstreamUrl.endsWith("/mcp") ? upstreamUrl : `${upstreamUrl}/mcp`;
  const proxy = await startProxy({ servers: { one: { url, path: "/mcp", ...server } }, plugins });
  return { ...proxy, port: Number(new URL(proxy.url).port) };
}
