/** Sessions of the proxy's own: one for all calls of a caller, or one for each. */
import type { Principal } from "../core/index.ts";
import { openSession } from "./_session-handshake.ts";
import type { MountSessions } from "./_session-mount.ts";
import { OWN_HANDSHAKE, PooledLease } from "./_session-pooled.ts";

export class Pool {
  readonly #sessions: MountSessions;
  /** Part of every id that the proxy gives: nobody else's ids begin like it. */
  readonly name: string = crypto.randomUUID().slice(0, 13);
  /** By the id of a principal. */
  readonly #shared = new Map<string, Promise<PooledLease | number | undefined>>();
  readonly #open = new Set<PooledLease>();

  constructor(sessions: MountSessions) {
    this.#sessions = sessions;
  }

  get size(): number {
    return this.#open.size;
  }

  /**
   * @param fields of a client's request
   * @returns nothing where the server keeps no sessions; the HTTP status where it refuses
   * @throws ProxyError
   */
  lease(principal: Principal, fields: Headers): Promise<PooledLease | number | undefined> {
    if (this.#sessions.settings.sessionless === "fresh") return this.#begin(principal, fields);
    const { id } = principal;
    const shared = this.#shared.get(id);
    if (shared) return shared;
    const begun = this.#begin(principal, fields).then(
      (lease) => {
        if (!(lease instanceof PooledLease)) this.#shared.delete(id);
        return lease;
      },
      (cause: unknown) => {
        this.#shared.delete(id);
        throw cause;
      },
    );
    this.#shared.set(id, begun);
    return begun;
  }

  async #begin(principal: Principal, fields: Headers): Promise<PooledLease | number | undefined> {
    const sessions = this.#sessions;
    const { app, mount } = sessions;
    sessions.caps.claim(principal);
    let lease: PooledLease | undefined;
    try {
      const reason = "a session for calls that have none";
      const opened = await openSession(
        (request) => app.call(mount, request, { principal, reason }),
        mount,
        OWN_HANDSHAKE,
        fields,
      );
      if (typeof opened === "number" || opened.id === undefined) return typeof opened === "number" ? opened : undefined;
      lease = new PooledLease(sessions, principal, opened);
      lease.fields = fields;
      this.#open.add(lease);
      return lease;
    } finally {
      if (lease === undefined) sessions.caps.release(principal);
    }
  }

  /** A call on a lease has ended. */
  left(lease: PooledLease): void {
    if (this.#sessions.settings.sessionless === "fresh") void this.#end(lease);
  }

  /** Called now and then: ends what is idle. */
  look(): void {
    const { clock, settings } = this.#sessions;
    for (const lease of this.#open) {
      if (lease.open > 0) lease.usedAt = clock;
      else if (clock - lease.usedAt > settings.idleTimeout) void this.#end(lease);
    }
  }

  #end(lease: PooledLease): Promise<void> {
    lease.ended = true;
    this.#open.delete(lease);
    if (this.#sessions.settings.sessionless === "pooled") this.#shared.delete(lease.principal.id);
    this.#sessions.caps.release(lease.principal);
    return lease.goodbye();
  }

  /** Nobody else knows them: they do not outlive this process. */
  async close(): Promise<void> {
    await Promise.all([...this.#open].map((lease) => this.#end(lease)));
  }
}
