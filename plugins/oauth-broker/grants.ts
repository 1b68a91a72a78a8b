/**
 * Grants: one for each login of a client. The store has the newest state of each, sealed; a grant that ended stays there as ended
 * for as long as one of its tokens could still come. Every change is a compare-and-swap, so that of several replicas one makes it.
 */
import type { App, Mount } from "../../core/index.ts";
import type { Provider } from "./provider.ts";
import { type Refreshed, RefreshFlights } from "./refresh-flights.ts";
import type { ProviderTokens, TokenClaims } from "./sealed.ts";

/** What is known of a grant. */
export interface Grant {
  /** Counts refreshes by the client. */
  generation: number;
  /** When the last of them was, in milliseconds since the epoch. */
  refreshedAt: number;
  provider: ProviderTokens;
  /** A replica asks the provider for new tokens, and has until then to do so. */
  claimed?: { by: string; until: number };
}

/** As it lies in the store, to be compared with what lies there later. */
export interface Held {
  text: string;
  /** Nothing: the grant has ended. */
  grant: Grant | undefined;
}

const ENDED = "ended";

/** The grants of one mount. */
export class Grants {
  readonly #app: App;
  readonly #mount: Mount;
  readonly #lifetime: number;
  readonly #provider: Provider;
  readonly #flights: RefreshFlights;
  /** Replicas share the store: what is not there is no grant. Else tokens bring along what another replica knows. */
  readonly isShared: boolean;

  /** @param lifetime of a grant that is not used, in milliseconds */
  constructor(app: App, mount: Mount, provider: Provider, lifetime: number, isShared: boolean) {
    this.#app = app;
    this.#mount = mount;
    this.#provider = provider;
    this.#lifetime = lifetime;
    this.isShared = isShared;
    this.#flights = new RefreshFlights(this, provider, app.deadlines);
  }

  /** Takes an id that can be used once. @returns whether this was the first time */
  async use(id: string, lifetime: number): Promise<boolean> {
    return this.#app.store.swap(this.#key("used", id), undefined, "1", lifetime);
  }

  /** Begins one. @returns whether it did: an id that was there before begins nothing */
  begin(id: string, provider: ProviderTokens): Promise<boolean> {
    return this.swap(id, undefined, { generation: 1, refreshedAt: Date.now(), provider });
  }

  async read(id: string): Promise<Held | undefined> {
    const text = await this.#app.store.get(this.#key("grant", id));
    if (text === undefined) return undefined;
    const plain = text === ENDED ? undefined : this.#app.sealer.open("oauth-broker.grant", text, this.#binding(id));
    return { text, grant: plain === undefined ? undefined : (JSON.parse(plain) as Grant) };
  }

  /**
   * The grant that a token belongs to.
   *
   * @returns nothing where it has ended, or is not known here
   */
  async of({ grant: id, generation, provider }: TokenClaims): Promise<Held | undefined> {
    for (;;) {
      const held = await this.read(id);
      if (held && !held.grant) return undefined;
      // What the token says is news only where replicas share nothing, and this one has seen less of the grant.
      const known = held?.grant;
      const isNews = !this.isShared && provider && (!known || known.generation < generation);
      if (!isNews) return held;
      await this.swap(id, held, { generation, refreshedAt: 0, provider });
    }
  }

  /** @param held as it was read; nothing: there was none @returns whether it was still so, and is now changed */
  async swap(id: string, held: Held | undefined, grant: Grant): Promise<boolean> {
    const text = this.#app.sealer.seal("oauth-broker.grant", JSON.stringify(grant), this.#binding(id));
    return this.#app.store.swap(this.#key("grant", id), held?.text, text, this.#lifetime);
  }

  /** New tokens from the provider, one request for all who want them. @param stale the access token that is no longer good */
  refresh(id: string, stale: string): Promise<Refreshed> {
    return this.#flights.refresh(id, stale);
  }

  /** Ends it here and, where it has an endpoint for that, at the provider. */
  async end(id: string, reason: string): Promise<void> {
    const held = await this.read(id);
    await this.#app.store.set(this.#key("grant", id), ENDED, this.#lifetime);
    if (!held?.grant) return;
    this.#app.log.info(() => `${this.#mount.server}: a login has ended: ${reason}`);
    await this.#provider.revoke(held.grant.provider);
  }

  #key(what: string, id: string): string {
    return `oauth-broker ${what} ${id} ${this.#mount.server}`;
  }

  #binding(id: string): readonly string[] {
    return [this.#mount.server, id];
  }
}
