/** Listening, and the orderly stop: no new work, streams brought to their end, a deadline for the rest. */
import type { Server } from "node:http";
import { serve } from "srvx/node";
import type { Penstock } from "./app.ts";
import { ProxyError } from "./errors.ts";
import { readListenTls } from "./pem.ts";
import { isLoopbackHost } from "./public-url.ts";
import type { ListenTls } from "./types.ts";
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

/** A head must be there within 15 s; bodies have a limit of their own, and streams none. Strict, whatever NODE_OPTIONS says. */
const NODE_LIMITS = {
  headersTimeout: 15_000,
  requestTimeout: 0,
  keepAliveTimeout: 75_000,
  handshakeTimeout: 15_000,
  connectionsCheckingInterval: 5000,
  maxHeaderSize: 16 * 1024,
  insecureHTTPParser: false,
  requireHostHeader: true,
};

/** @throws ProxyError `BAD_CONFIG`, or the system's error when the address cannot be had */
export async function listen(penstock: Penstock, options: ServeOptions): Promise<PenstockServer> {
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
  // node:http on every runtime: Bun and Deno have it, and there it sends heads at once and notices clients that leave.
  const server = serve({
    fetch: penstock.fetch,
    port,
    hostname: host,
    silent: true,
    // srvx installs signal handlers of its own, but not where CI or TEST is set; a stop must be the same everywhere.
    gracefulShutdown: false,
    // With TLS srvx would speak HTTP/2: another data path.
    node: { ...NODE_LIMITS, ...tls, http2: false, ...(socket && { path: options.socket }) },
    manual: true,
  });
  const node = server.node?.server as Server | undefined;
  if (socket) await socket.bind(() => server.serve());
  else await server.serve();
  const url = socket ? `unix:${options.socket}` : server.url!.replace(/\/$/, "");
  const idle = () => penstock.active === 0;
  let closed: Promise<void> | undefined;

  async function close(): Promise<void> {
    await Promise.all([penstock.close(), server.close(true)]);
    socket?.release();
  }
  return {
    url,
    port: socket ? 0 : Number(new URL(url).port),
    async stop() {
      penstock.announceStop();
      if (lameDuck > 0) await new Promise((resolve) => setTimeout(resolve, lameDuck));
      // Requests that still arrive are told that their connection ends with the answer; exchanges under way know by drain().
      node?.prependListener("request", (_request, response) => response.setHeader("connection", "close"));
      const refused = server.close(false);
      penstock.drain();
      const deadline = performance.now() + drainTimeout;
      while (!idle() && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20));
      node?.closeIdleConnections();
      await (closed ??= close());
      await refused;
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
