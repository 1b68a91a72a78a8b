/** How often strangers may register: as often as people do, not as often as programs can. */
import type { RequestHead } from "../../core/index.ts";
import { OAuthError } from "./params.ts";

const WINDOW = 60_000;
const PER_ADDRESS = 30;
const MAX_ADDRESSES = 1000;

/** Counts by address in windows of a minute. */
export class RateLimit {
  readonly #counts = new Map<string, number>();
  #since = 0;

  /** @throws OAuthError 429 */
  count({ ip }: RequestHead): void {
    const now = performance.now();
    if (now - this.#since >= WINDOW) {
      this.#counts.clear();
      this.#since = now;
    }
    const count = (this.#counts.get(ip) ?? 0) + 1;
    if (count > PER_ADDRESS || (count === 1 && this.#counts.size >= MAX_ADDRESSES))
      throw new OAuthError("temporarily_unavailable", "Too many registrations. Try again in a minute.", 429, {
        "retry-after": "60",
      });
    this.#counts.set(ip, count);
  }
}
