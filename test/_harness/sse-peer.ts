/** A scripted server of HTTP+SSE (MCP 2024-11-05): each GET is a session, whose messages are posted to `/messages?s=<number>`. */
import { type ParsedRequest, type RawConnection, type RawServer } from "./peers.ts";
import { type Scripted, idOf, methodOf, scripted } from "./scripted.ts";
import { SSE_HEAD, chunk } from "./wire.ts";

/** What `initialize` is answered with. */
export const INITIALIZED =
  '{"protocolVersion":"2024-11-05","capabilities":{"tools":{}},"serverInfo":{"name":"old","version":"1"}}';
export const ACCEPTED = "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";

/** One event stream that was opened. */
export interface SseStream {
  connection: RawConnection;
  /** Bytes of the stream, as one chunk. */
  write(text: string | Buffer): void;
  /** One message. */
  message(text: string): void;
  end(): void;
}

export interface SsePeerOptions {
  /** The first bytes of a stream. @param number of the session, from 0 @default an `endpoint` event */
  opening?: (number: number, port: number) => string | Buffer | undefined;
  /** In place of a stream. */
  get?: (request: ParsedRequest) => Scripted | undefined;
  /**
   * A message that was posted, but for `initialize` and notifications, which are answered as they should be where this says nothing.
   *
   * @returns what the POST is answered with @default the response `{}` on the stream, and 202
   */
  post?: (request: ParsedRequest, stream: SseStream) => Scripted | undefined | Promise<Scripted | undefined>;
}

export interface SsePeer {
  server: RawServer;
  /** Of the event stream. */
  url: string;
  /** Each request as `GET`, `POST initialize` …, in order. */
  seen: string[];
  requests: ParsedRequest[];
  streams: SseStream[];
}

/** Starts one; it is closed by whoever called. */
export async function ssePeer({ opening, get, post }: SsePeerOptions = {}): Promise<SsePeer> {
  const streams: SseStream[] = [];
  const made = await scripted(async (request, connection) => {
    if (request.method === "GET") {
      const instead = get?.(request);
      if (instead !== undefined) return instead;
      const { port } = made.server;
      const number = streams.push(streamOn(connection)) - 1;
      connection.send(SSE_HEAD);
      const first = opening ? opening(number, port) : `event: endpoint\ndata: /messages?s=${number}\n\n`;
      if (first !== undefined) streams[number]!.write(first);
      return "hang";
    }
    const number = Number(/[?&]s=(\d+)/.exec(request.target)?.[1] ?? streams.length - 1);
    const stream = streams[number]!;
    const said = await post?.(request, stream);
    if (said !== undefined) return said;
    const method = methodOf(request);
    if (idOf(request) !== undefined && method !== undefined)
      stream.message(
        `{"jsonrpc":"2.0","id":${idOf(request)},"result":${method === "initialize" ? INITIALIZED : "{}"}}`,
      );
    return ACCEPTED;
  });
  return { ...made, url: `${made.server.url}/sse`, streams };
}

function streamOn(connection: RawConnection): SseStream {
  const write = (text: string | Buffer) => {
    const bytes = Buffer.from(text);
    // An empty chunk would be the last one.
    if (bytes.length === 0) return;
    connection.send(Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from("\r\n")]));
  };
  return {
    connection,
    write,
    message: (text) => write(`event: message\ndata: ${text}\n\n`),
    end: () => void connection.send(chunk("")),
  };
}
