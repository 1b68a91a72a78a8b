/**
 * The HTTP/1.1 server of Penstock, over plain sockets: the same on every runtime. The servers that runtimes bring along accept
 * requests that can be read in two ways, each others than the next, and cost more than everything else on the way.
 */
import { type Server, type Socket, createServer } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { Bag } from "../../bag.ts";
import type { Outgoing } from "../../down.ts";
import { Deadlines } from "../../deadlines.ts";
import { ProxyError } from "../../errors.ts";
import type { PublicOrigin } from "../../public-url.ts";
import { CLIENT_LIMITS } from "../../timeouts.ts";
import type { Awaitable, ClientLimits, ListenTls } from "../../types.ts";
import type { Inbound } from "../inbound.ts";
import { Connection, type ConnectionOwner } from "./connection.ts";
import { writeResponseHead } from "./response-head.ts";

/** What answers requests. */
export interface Handler {
  readonly origin: PublicOrigin;
  /** Never rejects. */
  handle(request: Inbound): Awaitable<Outgoing>;
  /** What is said where there is no request. */
  refuse(error: ProxyError): Outgoing;
}

export interface HttpServer {
  /** @throws the system's error when the address cannot be had */
  listen(where: { port: number; host: string } | { path: string }): Promise<void>;
  /** 0 for a Unix socket. */
  readonly port: number;
  /** No new connections, and no further request on those that are there. Idle ones end. */
  drain(): void;
  /** Whether a client still waits for a byte. */
  readonly isBusy: boolean;
  /** Cuts what is left. */
  close(): Promise<void>;
}

/** Clients that are told at a time that there is no room; more are closed without a word, since each takes a descriptor. */
const MAX_TURNED_AWAY = 8;
/** How often connections are looked at whose time is over, in milliseconds. */
const SWEEP = 1000;
const HANDSHAKE_TIMEOUT = 15_000;
/** How long idle connections stay in a drain, in milliseconds: a request that is on its way already is answered. */
const GRACE = 100;

/** @param options with `isPrivate` every caller comes from this machine, as over a Unix socket */
export function createHttpServer(
  handler: Handler,
  options: { tls?: ListenTls; limits?: ClientLimits; isPrivate?: boolean; onError?(error: Error): void } = {},
): HttpServer {
  return new SocketServer(handler, options);
}

class SocketServer implements HttpServer, ConnectionOwner {
  readonly origin: PublicOrigin;
  readonly scheme: "http" | "https";
  readonly isPrivate: boolean;
  readonly deadlines = new Deadlines();
  readonly headersTimeout: number;
  readonly bodyTimeout: number;
  readonly keepAliveTimeout: number;
  readonly writeTimeout: number;
  closing = false;
  now: number = performance.now();
  date: string = new Date().toUTCString();
  readonly #maxConnections: number;
  readonly #handler: Handler;
  readonly #server: Server;
  readonly #onError: (error: Error) => void;
  readonly #open = new Bag<Connection>();
  #turnedAway = 0;
  #sweep: ReturnType<typeof setInterval> | undefined;
  #stopped: Promise<void> | undefined;
  /** Runs out while the server drains; `null` when it has. */
  #grace: ReturnType<typeof setTimeout> | null | undefined;

  constructor(handler: Handler, options: Parameters<typeof createHttpServer>[1] = {}) {
    const { tls, isPrivate = false, onError = () => {} } = options;
    const limits = { ...CLIENT_LIMITS, ...options.limits };
    this.#handler = handler;
    this.#onError = onError;
    this.origin = handler.origin;
    this.scheme = tls ? "https" : "http";
    this.isPrivate = isPrivate;
    this.headersTimeout = limits.headers;
    this.bodyTimeout = limits.body;
    this.keepAliveTimeout = limits.idle;
    this.writeTimeout = limits.write;
    this.#maxConnections = limits.connections || Number.POSITIVE_INFINITY;
    // A client that has sent its FIN may still be told why it is refused.
    // Pieces of an answer are handed on as they come; a client that does not read holds this much, and its server waits.
    const half = { allowHalfOpen: true, noDelay: true, highWaterMark: 256 * 1024 };
    const accept = (socket: Socket): void => this.#accept(socket);
    this.#server = tls
      ? createTlsServer({ ...tls, ...half, ALPNProtocols: ["http/1.1"], handshakeTimeout: HANDSHAKE_TIMEOUT }, accept)
      : createServer(half, accept);
  }

  get isBusy(): boolean {
    return !!this.#grace || this.#open.values().some((connection) => connection.isBusy);
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  async listen(where: { port: number; host: string } | { path: string }): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(where, () => {
        this.#server.off("error", reject);
        resolve();
      });
    });
    // Out of file descriptors, as a rule: what is open goes on, and new connections come when there is room again.
    this.#server.on("error", this.#onError);
    const { headersTimeout, keepAliveTimeout } = this;
    const shortest = Math.min(headersTimeout || SWEEP * 4, keepAliveTimeout || SWEEP * 4, SWEEP * 4);
    this.#sweep = setInterval(() => this.#look(), shortest / 4);
    this.#sweep.unref?.();
  }

  handle(request: Inbound): Awaitable<Outgoing> {
    return this.#handler.handle(request);
  }

  refuse(error: ProxyError): Outgoing {
    return this.#handler.refuse(error);
  }

  gone(connection: Connection): void {
    if (connection.entry) this.#open.remove(connection.entry);
  }

  drain(): void {
    this.closing = true;
    this.#stopped ??= new Promise((resolve) => {
      this.#server.close(() => resolve());
    });
    this.#grace ??= setTimeout(() => {
      this.#grace = null;
      for (const connection of this.#open.values()) if (connection.isIdle) connection.end();
    }, GRACE);
  }

  async close(): Promise<void> {
    this.drain();
    for (const connection of this.#open.values()) connection.destroy();
    await this.#stopped;
    clearInterval(this.#sweep);
    clearTimeout(this.#grace ?? undefined);
    this.deadlines.close();
  }

  #accept(socket: Socket): void {
    // Deno takes the option only on clients.
    socket.setNoDelay(true);
    if (this.#open.size >= this.#maxConnections) return this.#turnAway(socket);
    const connection = new Connection(socket, this);
    connection.entry = this.#open.add(connection);
  }

  #turnAway(socket: Socket): void {
    if (this.#turnedAway >= MAX_TURNED_AWAY) return void socket.destroy();
    this.#turnedAway++;
    socket.once("close", () => this.#turnedAway--);
    const { status, headers, body } = this.refuse(new ProxyError("OVERLOADED", { headers: { "retry-after": "1" } }));
    const bytes = body as Uint8Array;
    const { date } = this;
    const head = { status, headers, framing: bytes.length, keepAlive: false, isOld: false, date };
    socket.on("error", () => {});
    socket.end(Buffer.concat([Buffer.from(writeResponseHead(head, 0), "latin1"), bytes]), () => socket.destroy());
  }

  #look(): void {
    const now = performance.now();
    this.now = now;
    this.date = new Date().toUTCString();
    for (const connection of this.#open.values()) if (connection.due > 0 && connection.due <= now) connection.expire();
  }
}
