/** Listening, and the orderly stop: no new work, streams brought to their end, a deadline for the rest. */
import type { Penstock } from "./app.ts";
import { ProxyError } from "./errors.ts";
import { type Handler, createHttpServer } from "./front/http1/server.ts";
import { roomForConnections } from "./open-files.ts";
import { readListenTls } from "./pem.ts";
import { isLoopbackHost } from "./public-url.ts";
import type { ClientLimits, ListenTls } from "./types.ts";
import { claimSocket } from "./unix-socket.ts";

export interface ServeOptions {
  /** 0 picks a free one. @default 3333 */
  port?: number;
  /** @default "127.0.0.1" */
  host?: string;
  /** Path of a Unix socket to listen on instead of a port. Only this user may connect (mode 0600). */
  socket?: string;
  /** Listen with TLS. */
  tls?: ListenTls;
  /** Towards clients. */
  clientLimits?: ClientLimits;
  /** How long a stop waits for answers under way, in milliseconds. @default 20000 */
  drainTimeout?: number;
  /** How long a stop still takes new connections, and lets streams be, while `/readyz` says 503 already, in milliseconds. @default 0 */
  lameDuck?: number;
  /** Listen on an address that others can reach, although no plugin authenticates. @default false */
  allowUnauthenticated?: boolean;
}

/** A listening proxy. */
export interface PenstockServer {
  /** Without trailing slash, e.g. `http://127.0.0.1:3333`; of a Unix socket `unix:/run/penstock.sock`. */
  readonly url: string;
  /** 0 for a Unix socket. */
  readonly port: number;
  /** Stops in order; at the deadline what is left is cut. Then closes the proxy. */
  stop(): Promise<void>;
  /** Cuts everything and closes the proxy. */
  close(): Promise<void>;
}

/** @throws ProxyError `BAD_CONFIG`, or the system's error when the address cannot be had */
export async function listen(penstock: Penstock, handler: Handler, options: ServeOptions): Promise<PenstockServer> {
  const {
    port = 3333,
    host = "127.0.0.1",
    allowUnauthenticated = false,
    drainTimeout = 20_000,
    lameDuck = 0,
  } = options;
  if (options.socket === undefined) checkHost(penstock, host, allowUnauthenticated);
  const tls = options.tls && readListenTls(options.tls, ".");
  const socket = options.socket === undefined ? undefined : await claimSocket(options.socket);
  const server = createHttpServer(handler, {
    tls,
    isPrivate: socket !== undefined,
    limits: { connections: roomForConnections(), ...options.clientLimits },
    onError: (error) => penstock.log.warn(() => `A connection could not be accepted: ${error.message}`),
  });
  if (socket) await socket.bind(() => server.listen({ path: options.socket! }));
  else await server.listen({ port, host });
  const scheme = tls ? "https" : "http";
  const url = socket
    ? `unix:${options.socket}`
    : `${scheme}://${host.includes(":") ? `[${host}]` : host}:${server.port}`;
  let closed: Promise<void> | undefined;

  async function close(): Promise<void> {
    await Promise.all([penstock.close(), server.close()]);
    socket?.release();
  }
  return {
    url,
    port: server.port,
    async stop() {
      penstock.announceStop();
      if (lameDuck > 0) await new Promise((resolve) => setTimeout(resolve, lameDuck));
      server.drain();
      penstock.drain();
      const deadline = performance.now() + drainTimeout;
      while ((penstock.active > 0 || server.isBusy) && performance.now() < deadline)
        await new Promise((resolve) => setTimeout(resolve, 20));
      await (closed ??= close());
    },
    close: () => (closed ??= close()),
  };
}

/** @throws ProxyError `BAD_CONFIG` where callers from outside would be let in unasked */
export function checkHost(penstock: Penstock, host = "127.0.0.1", allowUnauthenticated = false): void {
  if (isLoopbackHost(host)) return;
  if (!penstock.guarded)
    throw new ProxyError("BAD_CONFIG", {
      hint: `host: ${JSON.stringify(host)} can be reached from other machines, and no plugin checks Host and Origin. Add the plugin host-guard, or listen on 127.0.0.1.`,
    });
  if (penstock.authenticates || allowUnauthenticated) return;
  throw new ProxyError("BAD_CONFIG", {
    hint: `host: ${JSON.stringify(host)} can be reached from other machines, and no plugin asks callers who they are. Listen on 127.0.0.1, or set allowUnauthenticated: true.`,
  });
}
