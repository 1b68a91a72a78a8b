import { type Principal, ProxyError } from "../core/index.ts";

/** In seconds: a session may end at any time. */
const RETRY_AFTER = "10";

/** How many sessions there may be with one server. */
export class Caps {
  readonly #server: string;
  readonly #limits: { maxPerPrincipal: number; maxSessions: number };
  /** By the id of a principal. */
  readonly #counts = new Map<string, number>();
  #total = 0;

  constructor(server: string, limits: { maxPerPrincipal: number; maxSessions: number }) {
    this.#server = server;
    this.#limits = limits;
  }

  /** One session more. @throws ProxyError where there are as many as may be */
  claim({ id }: Principal): void {
    const { maxPerPrincipal, maxSessions } = this.#limits;
    const count = this.#counts.get(id) ?? 0;
    const details = { server: this.#server, headers: { "retry-after": RETRY_AFTER } };
    if (count >= maxPerPrincipal) throw new ProxyError("TOO_MANY_SESSIONS", details);
    if (this.#total >= maxSessions) throw new ProxyError("SESSIONS_EXHAUSTED", details);
    this.#counts.set(id, count + 1);
    this.#total++;
  }

  release({ id }: Principal): void {
    const count = this.#counts.get(id)! - 1;
    if (count > 0) this.#counts.set(id, count);
    else this.#counts.delete(id);
    this.#total--;
  }
}
