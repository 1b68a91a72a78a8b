import type { Use } from "./scope.ts";
import { type RawClient, rawClient } from "./peers.ts";
import type { ParsedResponse } from "./peers.ts";

/** A client of HTTP+SSE (MCP 2024-11-05), written byte by byte. */
export interface RawSseClient {
  /** The connection of its stream. */
  readonly stream: RawClient;
  /** As the `endpoint` event said it. */
  readonly endpoint: string;
  /** Posts one message over a connection of its own. @param fields whole lines, without CRLF, beside the JSON type */
  post(body: string, fields?: readonly string[], target?: string): Promise<ParsedResponse>;
  /** The next message that holds this text. */
  message(text: string): Promise<Record<string, unknown>>;
}

const JSON_TYPE = "content-type: application/json";

/** Opens the stream and reads its first event. @param fields of both, whole lines without CRLF */
export async function rawSse(
  use: Use,
  port: number,
  { path = "/sse", fields = [] }: { path?: string; fields?: readonly string[] } = {},
): Promise<RawSseClient> {
  const stream = await use(rawClient(port));
  stream.send([`GET ${path} HTTP/1.1`, "host: localhost", "accept: text/event-stream", ...fields, "", ""].join("\r\n"));
  const opening = await stream.receive(/event: endpoint\r?\ndata: (\S+)\r?\n\r?\n/);
  const endpoint = /data: (\S+)/.exec(opening)![1]!;
  return {
    stream,
    endpoint,
    async post(body, own = [JSON_TYPE], target = endpoint) {
      const client = await use(rawClient(port));
      const length = `content-length: ${Buffer.byteLength(body)}`;
      client.send([`POST ${target} HTTP/1.1`, "host: localhost", ...fields, ...own, length, "", body].join("\r\n"));
      const answer = await client.receiveResponse({ method: "POST" });
      await client.close();
      return answer;
    },
    async message(text) {
      const pattern = new RegExp(`event: message\\ndata: ([^\\n]*${escape(text)}[^\\n]*)\\n\\n`);
      const found = pattern.exec(await stream.receive(pattern))!;
      return JSON.parse(Buffer.from(found[1]!, "latin1").toString()) as Record<string, unknown>;
    },
  };
}

function escape(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

/** What a client begins with. */
export const INITIALIZE =
  '{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2024-11-05","capabilities":{},"clientInfo":{"name":"raw","version":"1"}}}';
export const INITIALIZED = '{"jsonrpc":"2.0","method":"notifications/initialized"}';
