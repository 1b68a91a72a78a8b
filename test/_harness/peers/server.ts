import { createServer, type Socket } from "node:net";
import { type Closeable, closeable, listen, stop } from "../loopback.ts";
import { journal } from "../journal.ts";
import type { WaitOptions } from "../wait.ts";
import { type ParsedRequest, parseHttpRequest } from "./http.ts";
import { type Peer, peer, PeerGoneError } from "./peer.ts";

/** One connection that the raw server accepted. */
export interface RawConnection extends Peer {
  /** Its place in `server.connections`. */
  readonly index: number;
  /** Waits for one whole request and consumes it. */
  receiveRequest(options?: WaitOptions): Promise<ParsedRequest>;
  /** Every request until the other side leaves, for a script that serves a kept-alive connection of unknown length. */
  requests(): AsyncGenerator<ParsedRequest, void>;
}

/** What the server does on each connection. It may return early: the connection stays open until somebody closes it. */
export type Script = (connection: RawConnection) => void | Promise<void>;

/** The same as data, one thing per step. */
export type Step =
  | { receive: RegExp }
  | { send: string | Buffer }
  | { wait: Promise<unknown> }
  | { do: "fin" | "reset" | "pause" | "resume" };

/** A raw server on 127.0.0.1. */
export interface RawServer extends Closeable {
  readonly port: number;
  /** `http://127.0.0.1:<port>`, without a path. */
  readonly url: string;
  readonly connections: RawConnection[];
  /** How many whole requests the scripts have received with `receiveRequest()` or `requests()`. */
  readonly requests: number;
  /** Waits for the connection with this index. */
  connection(index?: number, options?: WaitOptions): Promise<RawConnection>;
  /**
   * Resets what is still open. Rejects with the first failure of a script, so that an `expect` in a script counts; that its
   * connection ended under it is not a failure.
   */
  close(): Promise<void>;
}

/** How a raw server behaves beside its script. */
export interface RawServerOptions {
  allowHalfOpen?: boolean;
  /** The script is shown the `initialize` that the plugin `sessions` sends by itself. @default false: it is refused */
  handshakes?: boolean;
  /** The script is shown what the proxy itself asks to find out its era. @default false: it is answered, as by a server of both */
  discovers?: boolean;
}

/** Of a server that knows no `initialize`, and so keeps no sessions: most scripts are about one request. */
const REFUSAL =
  'HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 68\r\n\r\n{"jsonrpc":"2.0","id":null,"error":{"code":-32601,"message":"none"}}';

/** The questions of the plugin `bridge`, where it does not know which era a server is of; posted in one piece. */
const PROBE = /^POST [^]*"penstock-probe"[^]*"method":"(server\/discover|initialize)"/;
const DISCOVERED =
  '{"jsonrpc":"2.0","id":"penstock-probe","result":{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{},"ttlMs":0,"cacheScope":"private"}}';
const INITIALIZED =
  '{"jsonrpc":"2.0","id":"penstock-probe","result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"raw","version":"1"}}}';
const ok = (json: string) =>
  `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${json.length}\r\n\r\n${json}`;

/** Starts a raw server that runs one script for every connection it accepts. */
export async function rawServer(
  script: Script | Step[] = [],
  { allowHalfOpen = false, ...shown }: RawServerOptions = {},
): Promise<RawServer> {
  const run = typeof script === "function" ? script : steps(script);
  const accepted = journal<RawConnection>((connection) => `connection ${connection.index}`);
  const failures: unknown[] = [];
  let requests = 0;
  const server = createServer({ allowHalfOpen }, (socket) => {
    const connection = rawConnection(socket, accepted.entries.length, shown, () => requests++);
    accepted.add(connection);
    (async () => run(connection))().catch((error: unknown) => {
      if (!(error instanceof PeerGoneError)) failures.push(error);
    });
  });
  const port = await listen(server);
  return closeable({
    port,
    url: `http://127.0.0.1:${port}`,
    connections: accepted.entries,
    get requests() {
      return requests;
    },
    connection: (index = 0, options?: WaitOptions) =>
      accepted.find((connection) => connection.index === index, `connection ${index}`, options),
    async close() {
      const stopped = stop(server);
      // A reset in the middle of an orderly end fails in libuv, and Node then never emits `close`.
      for (const { socket } of accepted.entries) {
        if (socket.writableEnded) socket.destroy();
        else if (!socket.destroyed) socket.resetAndDestroy();
      }
      await Promise.all([stopped, ...accepted.entries.map((connection) => connection.closed)]);
      if (failures.length > 0) throw failures[0];
    },
  });
}

function rawConnection(
  socket: Socket,
  index: number,
  { handshakes = false, discovers = false }: RawServerOptions,
  count: () => void,
): RawConnection {
  const base = peer(socket, (text) => {
    const asked = discovers ? undefined : PROBE.exec(text)?.[1];
    if (asked !== undefined) socket.write(ok(asked === "initialize" ? INITIALIZED : DISCOVERED));
    return asked !== undefined;
  });
  const receiveRequest = async (options?: WaitOptions): Promise<ParsedRequest> => {
    const request = await base.take(
      (pending) => {
        const value = parseHttpRequest(pending);
        return value?.complete ? { value, length: value.length } : undefined;
      },
      "a whole request",
      options,
    );
    if (!handshakes && request.body.includes('"penstock-initialize"')) {
      base.send(REFUSAL);
      return receiveRequest(options);
    }
    count();
    return request;
  };
  async function* requests(): AsyncGenerator<ParsedRequest, void> {
    try {
      for (;;) yield await receiveRequest({ timeout: Infinity });
    } catch (error) {
      if (!(error instanceof PeerGoneError)) throw error;
    }
  }
  // Assigned, not spread: `received` is a getter.
  return Object.assign(base, { index, receiveRequest, requests });
}

function steps(list: Step[]): Script {
  return async (connection) => {
    for (const step of list) {
      if ("receive" in step) await connection.receive(step.receive);
      else if ("send" in step) connection.send(step.send);
      else if ("wait" in step) await step.wait;
      else connection[step.do]();
    }
  };
}
