/** Retries that a principal of one server may have at once after a calm time. */
const BURST = 10;
/** Without any traffic before it there is still one for a lone request, and its second attempt. */
const FLOOR = 2;
/** How often one of those comes back, in milliseconds. */
const REFILL = 10_000;
/** A cap on what strangers can make the proxy remember; who asked first goes first. */
const MAX_PRINCIPALS = 10_000;

/** What one principal may still send again. */
export class Bucket {
  tokens = FLOOR;
  #at = performance.now();

  /** One attempt more, if there is one left. */
  spend(): boolean {
    const now = performance.now();
    if (this.tokens < FLOOR) this.tokens = Math.min(FLOOR, this.tokens + (now - this.#at) / REFILL);
    this.#at = now;
    if (this.tokens < 1) return false;
    this.tokens -= 1;
    return true;
  }
}

/**
 * How much of the traffic may be retries (Finagle's retry budget): every request earns a part of one. By principal, so that one
 * whose requests fail takes nothing from the others; the sum stays within the same part of all traffic.
 */
export class Budget {
  readonly #part: number;
  readonly #buckets = new Map<string, Bucket>();

  /** @param part earned by each request */
  constructor(part: number) {
    this.#part = part;
  }

  /** For a request that is sent for the first time. */
  earn(principal: string): Bucket {
    let bucket = this.#buckets.get(principal);
    if (!bucket) {
      if (this.#buckets.size >= MAX_PRINCIPALS) this.#buckets.delete(this.#buckets.keys().next().value!);
      this.#buckets.set(principal, (bucket = new Bucket()));
    }
    if (bucket.tokens < BURST) bucket.tokens += this.#part;
    return bucket;
  }
}
