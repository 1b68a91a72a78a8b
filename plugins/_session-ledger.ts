/** What replicas tell each other of sessions, by way of the store: which server session is theirs now, and which have ended. */
import { type App, type Logger, describeFailure } from "../core/index.ts";

/** What is known of a session beside its token. */
export interface Known {
  upstreamId: string | undefined;
  /** Milliseconds since the epoch. */
  usedAt: number;
  /** As it stands in the store. */
  text: string;
}

/** An ended session is remembered this long, in milliseconds. Later its id would begin a new one for the same caller, which harms nobody. */
const TOMBSTONE_MS = 3_600_000;
const ENDED = "sessions:ended";
const PURPOSE = "session-lease";

/** Of one proxy. A store that fails is one that knows nothing: the token says enough to go on. */
export class Ledger {
  readonly #store: App["store"];
  readonly #sealer: App["sealer"];
  readonly #log: Logger;
  /** In milliseconds. */
  readonly #ttl: number;
  #toldSharing = false;

  /** @param idleTimeout of sessions, in milliseconds */
  constructor({ store, sealer, log }: App, idleTimeout: number) {
    this.#store = store;
    this.#sealer = sealer;
    this.#log = log;
    this.#ttl = 2 * idleTimeout;
  }

  /** Says once that callers share sessions. */
  tellSharing(): void {
    if (this.#toldSharing) return;
    this.#toldSharing = true;
    this.#log.info(
      () =>
        "Calls without a session share one per server, as no plugin tells callers apart. " +
        'sessions({ sessionless: "fresh" }) gives each call its own.',
    );
  }

  async hasEnded(key: string): Promise<boolean> {
    return (await this.#try(() => this.#store.get(`${ENDED}:${key}`))) !== undefined;
  }

  /** Tells everybody that a session has ended. */
  async end(key: string): Promise<void> {
    await this.#try(() => this.#store.set(`${ENDED}:${key}`, "1", TOMBSTONE_MS));
    await this.forget(key);
    await this.#try(() => this.#store.publish(ENDED, key));
  }

  /** @param listener called with the key of each session that ends, here or elsewhere */
  async onEnd(listener: (key: string) => void): Promise<() => void> {
    return (await this.#try(() => this.#store.subscribe(ENDED, listener))) ?? (() => {});
  }

  async find(key: string): Promise<Known | undefined> {
    const text = await this.#try(() => this.#store.get(leaseOf(key)));
    const opened = text === undefined ? undefined : this.#sealer.open(PURPOSE, text, key);
    if (opened === undefined) return undefined;
    const [upstreamId, usedAt] = JSON.parse(opened) as [string | null, number];
    return { upstreamId: upstreamId ?? undefined, usedAt, text: text! };
  }

  /** Says that the session is in use here; what another replica has opened in the meantime stays. */
  async touch(key: string, upstreamId: string | undefined): Promise<void> {
    const known = await this.find(key);
    if (known === undefined || known.upstreamId === upstreamId) await this.#swap(key, known?.text, upstreamId);
  }

  /** Nobody uses it any more. */
  async forget(key: string): Promise<void> {
    await this.#try(() => this.#store.delete(leaseOf(key)));
  }

  /**
   * Says which session of the server it is from now on. Of several replicas that opened one, the first decides.
   *
   * @param lost the one that the server does not know any more
   * @param before what was known
   * @returns the one that counts
   */
  async replace(
    key: string,
    lost: string | undefined,
    before: Known | undefined,
    upstreamId: string | undefined,
  ): Promise<string | undefined> {
    if ((await this.#swap(key, before?.text, upstreamId)) !== false) return upstreamId;
    const other = await this.find(key);
    // Somebody may only have said that the lost one is in use.
    if (other && other.upstreamId !== lost) return other.upstreamId;
    await this.#swap(key, other?.text, upstreamId);
    return upstreamId;
  }

  /** @returns `undefined` where the store failed */
  #swap(key: string, expected: string | undefined, upstreamId: string | undefined): Promise<boolean | undefined> {
    const text = JSON.stringify([upstreamId ?? null, Date.now()]);
    // Sealed, as whoever reads the store could use the session.
    return this.#try(() => this.#store.swap(leaseOf(key), expected, this.#sealer.seal(PURPOSE, text, key), this.#ttl));
  }

  async #try<T>(run: () => T | Promise<T>): Promise<T | undefined> {
    try {
      return await run();
    } catch (cause) {
      this.#log.warn(() => `sessions: the store failed (${describeFailure(cause)})`);
      return undefined;
    }
  }
}

function leaseOf(key: string): string {
  return `sessions:lease:${key}`;
}
