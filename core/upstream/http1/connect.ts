/** Setting up connections: TCP, TLS, and the way through an HTTP proxy. */
import { type Socket, connect as connectTcp, isIP } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import type { TlsOptions } from "../../types.ts";
import type { Carrier } from "./call.ts";
import { ConnectTimeout } from "./failure.ts";
import { type HttpProxy, openTunnel } from "./http-proxy.ts";

/** An attempt to connect. Destroyed, it says that it failed. */
export interface Dialing extends Carrier {
  fail(error: unknown): void;
}

/** Starts an attempt to connect; `done` is called once, later, with the one or the other. */
export type Dial = (done: (error: unknown, socket?: Socket) => void) => Dialing;

/**
 * @param url of the server; its origin counts
 * @param timeout in milliseconds, for everything up to the end of the TLS handshake
 * @param proxy an HTTP proxy in between
 * @param address where the host of the URL was found to be; it is not looked up again. The certificate is that of the host
 */
export function createDial(url: URL, timeout: number, tls: TlsOptions = {}, proxy?: HttpProxy, address?: string): Dial {
  const isSecure = url.protocol === "https:";
  const secure: ConnectionOptions = { ...tls, ...peerOf(url), ALPNProtocols: ["http/1.1"] };
  /** The last session that the server gave: the next handshake is shorter with it. */
  let session: Buffer | undefined;

  function upgrade(socket?: Socket): Socket {
    const upgraded = connectTls({
      ...secure,
      ...(socket ? { socket } : tcpOptions(url, address)),
      ...(session && { session }),
    });
    upgraded.on("session", (given) => (session = given));
    upgraded.once("error", () => (session = undefined));
    return upgraded;
  }

  return (done) => {
    const attempt = new Attempt(timeout, done);
    attempt.run(() => {
      if (!proxy) {
        const socket = isSecure ? upgrade() : connectTcp(tcpOptions(url, address));
        return attempt.wait(socket, isSecure ? "secureConnect" : "connect", () => attempt.succeed(socket));
      }
      const { url: via } = proxy;
      const toProxy =
        via.protocol === "https:"
          ? connectTls({ ...peerOf(via), ...tcpOptions(via), ALPNProtocols: ["http/1.1"] })
          : connectTcp(tcpOptions(via));
      attempt.wait(toProxy, via.protocol === "https:" ? "secureConnect" : "connect", () => {
        if (!isSecure) return attempt.succeed(toProxy);
        openTunnel(toProxy, proxy, url, () =>
          attempt.run(() => {
            const socket = upgrade(toProxy);
            attempt.wait(socket, "secureConnect", () => attempt.succeed(socket));
          }),
        );
      });
    });
    return attempt;
  };
}

/** One attempt: sockets that are waited for, a limit, and one outcome. */
class Attempt implements Dialing {
  #done: ((error: unknown, socket?: Socket) => void) | undefined;
  readonly #timer: ReturnType<typeof setTimeout> | undefined;
  #sockets: Socket[] = [];

  constructor(timeout: number, done: (error: unknown, socket?: Socket) => void) {
    this.#done = done;
    if (timeout > 0) this.#timer = setTimeout(() => this.fail(new ConnectTimeout(`not within ${timeout} ms`)), timeout);
  }

  pause(): void {}
  resume(): void {}

  /** Does a step. One that throws, as a key that cannot be read does, fails the attempt, but not before the caller knows of it. */
  run(step: () => void): void {
    try {
      step();
    } catch (error) {
      queueMicrotask(() => this.fail(error));
    }
  }

  /** @param then called when the socket says `event` */
  wait(socket: Socket, event: "connect" | "secureConnect", then: () => void): void {
    this.#sockets.push(socket);
    socket.on("error", (error) => this.fail(error));
    socket.on("close", () => this.fail(new Error("closed before it was set up")));
    socket.once(event, () => {
      if (this.#done) this.run(then);
    });
  }

  succeed(socket: Socket): void {
    // Errors of a socket underneath are told by the one above.
    this.#finish()?.(undefined, socket);
  }

  fail(error: unknown): void {
    const sockets = this.#sockets;
    const done = this.#finish();
    for (const socket of sockets) socket.destroy();
    done?.(error);
  }

  destroy(): void {
    this.fail(new Error("given up"));
  }

  /** The listeners live as long as their socket, and must not keep the call alive that first used it. */
  #finish() {
    const done = this.#done;
    this.#done = undefined;
    this.#sockets = [];
    clearTimeout(this.#timer);
    return done;
  }
}

function tcpOptions(url: URL, address?: string) {
  const host = address ?? url.hostname.replace(/^\[|\]$/g, "");
  return {
    host,
    port: Number(url.port) || (url.protocol === "https:" ? 443 : 80),
    noDelay: true,
    // Finds out about peers that vanished without a word.
    keepAlive: true,
    keepAliveInitialDelay: 60_000,
    autoSelectFamily: true,
    ...(host === "localhost" && { lookup: lookupLocalhost }),
  };
}

/** Whose certificate is expected. A server name must be a name (RFC 6066 §3), and an address is compared as `host`. */
function peerOf(url: URL): { host: string; servername?: string } {
  const host = url.hostname.replace(/^\[|\]$/g, "");
  return isIP(host) === 0 ? { host, servername: host } : { host };
}

type LookupCallback = (error: null, addresses: { address: string; family: number }[]) => void;

/** `localhost` means both loopback addresses, whatever the hosts file says: many servers listen on one of them only. */
function lookupLocalhost(_hostname: string, _options: object, callback: LookupCallback): void {
  callback(null, [
    { address: "::1", family: 6 },
    { address: "127.0.0.1", family: 4 },
  ]);
}
