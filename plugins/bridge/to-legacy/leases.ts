/**
 * The sessions with one legacy server, for clients that have none: opened when they are needed, shared by the calls of one caller
 * that declare the same capabilities, ended when they are idle.
 *
 * Over HTTP a server's question comes on the stream of the call that it belongs to, so that calls can share a session. Other
 * transports have one channel for all: there a call that may be asked something has its session for itself while it runs.
 */
import { type App, type Logger, type Mount, ProxyError, type ServerEras, isProxyError } from "../../../core/index.ts";
import { Caps } from "../../_session-caps.ts";
import { briefly } from "../../_session-handshake.ts";
import type { LeaseHost } from "../../_session-lease.ts";
import type { BridgeHost, BridgeSettings } from "../host.ts";
import type { Caller } from "./caller.ts";
import { ServerLease } from "./lease.ts";

/** Sessions with one server, of all callers. */
const MAX_LEASES = 1000;
/** Where the server sets no limit, in milliseconds. */
const WAIT_MS = 60_000;

export class Leases implements LeaseHost {
  readonly app: App;
  readonly mount: Mount;
  readonly eras: ServerEras;
  healed = 0;
  /** The server asks without saying for which call: a call that may be asked has its session for itself. */
  isCrowded: boolean;
  readonly #settings: BridgeSettings;
  readonly #caps: Caps;
  readonly #all = new Set<ServerLease>();
  readonly #opening = new Map<string, Promise<ServerLease>>();
  readonly #waiting = new Set<() => void>();
  #closed = false;

  constructor({ app, mount, eras, settings }: BridgeHost) {
    this.app = app;
    this.mount = mount;
    this.eras = eras;
    this.#settings = settings;
    this.#caps = new Caps(mount.server, { maxPerPrincipal: settings.maxLeases, maxSessions: MAX_LEASES });
    this.isCrowded = mount.transport !== "http";
  }

  get log(): Logger {
    return this.app.log;
  }
  get clock(): number {
    return performance.now();
  }
  get size(): number {
    return this.#all.size;
  }

  /**
   * A session for what may be done beside anything else.
   *
   * @param fields of the client's request @throws ProxyError, or HandshakeRefused
   */
  get(caller: Caller, fields: Headers): Promise<ServerLease> {
    // Behind a call that holds up its server it might wait for long.
    const found = this.#find(caller, ({ askers }) => askers === 0) ?? this.#find(caller, () => true);
    return found ? Promise.resolve(found) : this.#begin(caller, fields);
  }

  /**
   * A session for a request in which the server may ask something: its `askers` counts it until `left` is called.
   *
   * @param hears it wants what the server says without naming a request: log messages
   * @param onGone takes a function that is called when nobody waits any more
   * @throws ProxyError, or HandshakeRefused
   */
  async take(caller: Caller, fields: Headers, hears: boolean, onGone: (run: () => void) => void): Promise<ServerLease> {
    let gone = false;
    let limit: number | undefined;
    onGone(() => {
      gone = true;
      this.freed();
    });
    for (;;) {
      if (gone) throw new ProxyError("CLIENT_GONE", { server: this.mount.server });
      const alone = this.isCrowded && (caller.isAskable || hears);
      const found = this.#find(caller, ({ askers }) => !alone || askers === 0);
      if (found) {
        found.askers++;
        return found;
      }
      try {
        await this.#begin(caller, fields);
      } catch (cause) {
        const others = this.#find(caller, () => true) !== undefined;
        if (!isProxyError(cause) || cause.code !== "TOO_MANY_SESSIONS" || !others) throw cause;
        limit ??= performance.now() + (this.mount.timeouts.headers || WAIT_MS);
        if (performance.now() >= limit) throw cause;
        await this.#room(limit - performance.now());
      }
    }
  }

  /** A session may be free now. */
  freed(): void {
    for (const wake of this.#waiting) wake();
  }

  /** Called now and then: ends what is idle. */
  look(): void {
    for (const lease of this.#all)
      if (lease.isIdle && this.clock - lease.usedAt > this.#settings.idleTimeout) void this.#end(lease);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.freed();
    await Promise.all([...this.#all].map((lease) => this.#end(lease)));
    // What the server opens now would stay with it.
    await briefly(Promise.allSettled(this.#opening.values()));
  }

  #find({ key }: Caller, fits: (lease: ServerLease) => boolean): ServerLease | undefined {
    // The oldest first: calls that follow one another find what the server remembers of them.
    for (const lease of this.#all) if (lease.caller.key === key && fits(lease)) return lease;
    return undefined;
  }

  /** One more, opened once for all who want it at the same time. */
  #begin(caller: Caller, fields: Headers): Promise<ServerLease> {
    const { key } = caller;
    const known = this.#opening.get(key);
    if (known) return known;
    const begun = this.#open(caller, fields).finally(() => this.#opening.delete(key));
    this.#opening.set(key, begun);
    return begun;
  }

  async #open(caller: Caller, fields: Headers): Promise<ServerLease> {
    if (this.#closed) throw new ProxyError("STOPPING", { server: this.mount.server });
    this.#claim(caller);
    try {
      const lease = await ServerLease.open(this, caller, fields);
      this.#all.add(lease);
      if (this.#closed) await this.#end(lease);
      return lease;
    } catch (cause) {
      this.#caps.release(caller.principal);
      throw cause;
    }
  }

  /** @throws ProxyError */
  #claim({ principal }: Caller): void {
    try {
      this.#caps.claim(principal);
    } catch (cause) {
      const idle = [...this.#all].filter((lease) => lease.isIdle && lease.principal.id === principal.id);
      const oldest = idle.sort((a, b) => a.usedAt - b.usedAt)[0];
      if (!oldest) throw cause;
      void this.#end(oldest);
      this.#caps.claim(principal);
    }
  }

  #end(lease: ServerLease): Promise<void> {
    if (!this.#all.delete(lease)) return Promise.resolve();
    this.#caps.release(lease.principal);
    return lease.end();
  }

  /** Waits until a session may be free. */
  #room(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        limit.cancel();
        this.#waiting.delete(wake);
        resolve();
      };
      // Lengths of their own would each have a timer.
      const limit = this.app.deadlines.after(Math.ceil(ms / 1000) * 1000, wake);
      this.#waiting.add(wake);
    });
  }
}
