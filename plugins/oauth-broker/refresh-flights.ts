/**
 * Refreshes at the provider, which may replace its refresh token with each: whoever sends an old one twice loses the grant. So one
 * request at a time for each grant: in this process by a promise that all share, between replicas by a claim in the store.
 */
import type { Deadlines } from "../../core/index.ts";
import type { Grant, Grants, Held } from "./grants.ts";
import { type Provider, ProviderError } from "./provider.ts";
import { randomText } from "./random.ts";
import type { ProviderTokens } from "./sealed.ts";

/** What came of it: new tokens · the grant has ended, or cannot be refreshed · the provider could not be asked, try again. */
export type Refreshed = { tokens: ProviderTokens } | "ended" | "failed";

/** For one refresh by another replica, in milliseconds: a fetch takes 5 s at most. */
const CLAIM = 10_000;
/** Between two looks at what the other replica does. */
const LOOK_AGAIN = 50;

export class RefreshFlights {
  readonly #grants: Grants;
  readonly #provider: Provider;
  readonly #deadlines: Deadlines;
  readonly #flights = new Map<string, Promise<Refreshed>>();

  constructor(grants: Grants, provider: Provider, deadlines: Deadlines) {
    this.#grants = grants;
    this.#provider = provider;
    this.#deadlines = deadlines;
  }

  refresh(id: string, stale: string): Promise<Refreshed> {
    const under = this.#flights.get(id);
    if (under) return under;
    const flight = this.#refresh(id, stale).finally(() => this.#flights.delete(id));
    this.#flights.set(id, flight);
    return flight;
  }

  async #refresh(id: string, stale: string): Promise<Refreshed> {
    const by = randomText();
    for (;;) {
      const held = await this.#grants.read(id);
      const grant = held?.grant;
      if (!grant) return "ended";
      // Somebody was faster: what is there was not known to whoever asked.
      if (grant.provider.access !== stale) return { tokens: grant.provider };
      if (grant.provider.refresh === undefined) return "ended";
      if (grant.claimed && grant.claimed.until > Date.now()) {
        await new Promise<void>((resolve) => void this.#deadlines.after(LOOK_AGAIN, resolve));
        continue;
      }
      const claimed: Grant = { ...grant, claimed: { by, until: Date.now() + CLAIM } };
      if (await this.#grants.swap(id, held, claimed)) return this.#ask(id, by, grant.provider.refresh);
    }
  }

  /** Asks the provider, and keeps what it says before anybody uses it. */
  async #ask(id: string, by: string, refresh: string): Promise<Refreshed> {
    let tokens: ProviderTokens | undefined;
    let failed: Refreshed = "failed";
    try {
      tokens = await this.#provider.refresh(refresh);
    } catch (cause) {
      if (cause instanceof ProviderError && cause.isOver) failed = "ended";
    }
    if (!tokens && failed === "ended") {
      await this.#grants.end(id, "the provider does not refresh it");
      return "ended";
    }
    for (;;) {
      const held: Held | undefined = await this.#grants.read(id);
      const grant = held?.grant;
      if (!grant) {
        // It ended meanwhile: nobody is left to use what was given.
        if (tokens) await this.#provider.revoke(tokens);
        return "ended";
      }
      if (grant.claimed?.by !== by) return "failed";
      const { claimed: _claimed, ...rest } = grant;
      if (await this.#grants.swap(id, held, { ...rest, provider: tokens ?? grant.provider }))
        return tokens ? { tokens } : failed;
    }
  }
}
