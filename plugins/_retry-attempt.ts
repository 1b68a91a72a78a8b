import {
  type Answer,
  type App,
  type Exchange,
  type Next,
  ProxyError,
  type UpstreamRequest,
  collect,
  isProxyError,
} from "../core/index.ts";
import { postedMethod } from "./_posted.ts";
import type { Bucket } from "./_retry-budget.ts";

/** Options with nothing left open. Times are in milliseconds. */
export interface RetrySettings {
  retries: number;
  backoff: number;
  maxRetryAfter: number;
}

/** What a request is sent again with. */
interface Again {
  exchange: Exchange;
  request: UpstreamRequest;
  next: Next;
  app: App;
  bucket: Bucket;
  /** When it was sent for the first time (`performance.now()`). */
  startedAt: number;
  settings: RetrySettings;
}

export const MAX_BACKOFF = 5000;
/** Largest 503 that is read to its end, in bytes. */
const MAX_REFUSAL = 64 * 1024;
/** Asking twice changes nothing. The lists are `tools/list`, `resources/templates/list` … */
const SAFE = /^(?:initialize|ping|server\/discover|[a-z]+(?:\/[a-z]+)?\/list)$/;
/** Limits of one length share a timer, so that there are but so many lengths. */
const STEPS = 20;

/** One request whose first attempt failed. */
export class Attempt {
  readonly #again: Again;
  readonly #method: string | undefined;
  /** The limit for the head, in milliseconds; 0 for none. All attempts together have the time of one. */
  readonly #limit: number;
  #count = 0;

  constructor(again: Again) {
    const { exchange, request } = again;
    const { timeouts } = exchange.mount;
    this.#again = again;
    this.#method = postedMethod(request);
    this.#limit = request.timeouts?.headers ?? (this.#method === "tools/call" ? timeouts.call : timeouts.headers);
  }

  /** @throws what it was told, where the request may not be sent again */
  async failed(cause: unknown): Promise<Answer> {
    if (!isProxyError(cause) || !this.#mayRepeat(cause) || !this.#claim(0)) throw cause;
    await this.#wait(this.#jitter());
    return this.#send();
  }

  /** @param answer a 503 @returns it, where the request may not be sent again */
  async refused(answer: Answer): Promise<Answer> {
    const { request, settings } = this.#again;
    const wait = retryAfter(answer.headers.get("retry-after"));
    const mayRepeat = request.method === "POST" && this.#isSafe() && wait <= settings.maxRetryAfter && isSmall(answer);
    if (!mayRepeat || !this.#claim(wait)) return answer;
    // Whole: one that breaks is a server that breaks off in the middle of an answer.
    await collect(answer, MAX_REFUSAL);
    await this.#wait(wait + this.#jitter());
    return this.#send();
  }

  #send(): Promise<Answer> {
    const { exchange, request, next } = this.#again;
    const count = ++this.#count;
    exchange.log.debug(
      () => `${exchange.mount.server}: ${this.#method ?? request.method} is sent again (${count}) id=${exchange.id}`,
    );
    const step = this.#limit / STEPS;
    const headers = Math.max(Math.ceil(this.#left / step), 1) * step;
    const timeouts = { ...request.timeouts, ...(this.#limit > 0 && { headers }) };
    return next({ ...request, timeouts }).then(
      (answer) => (answer.status === 503 ? this.refused(answer) : answer),
      (cause: unknown) => this.failed(cause),
    );
  }

  #mayRepeat({ code, details }: ProxyError): boolean {
    if (code === "UPSTREAM_UNREACHABLE" || code === "UPSTREAM_CONNECT_TIMEOUT") return true;
    return code === "UPSTREAM_BROKE" && !details.answered && this.#isSafe();
  }

  #isSafe(): boolean {
    const { method, headers } = this.#again.request;
    // Whoever resumes a stream asks again by itself; the first attempt may have taken the replay with it.
    if (method === "GET") return !headers.has("last-event-id");
    return method === "POST" && this.#method !== undefined && SAFE.test(this.#method);
  }

  /** Whether there is one more attempt, with time for it and a budget. @param wait how long the server asks to be left alone */
  #claim(wait: number): boolean {
    const { app, bucket, settings } = this.#again;
    if (this.#count >= settings.retries || app.draining || this.#isGone()) return false;
    if (this.#limit > 0 && this.#left <= wait + this.#longest) return false;
    return bucket.spend();
  }

  get #left(): number {
    return this.#limit - (performance.now() - this.#again.startedAt);
  }

  /** Longest wait before the next attempt. */
  get #longest(): number {
    return Math.min(this.#again.settings.backoff * 2 ** this.#count, MAX_BACKOFF);
  }

  #jitter(): number {
    return Math.random() * this.#longest;
  }

  #isGone(): boolean {
    const { exchange, request } = this.#again;
    return exchange.signal.aborted || (request.signal?.aborted ?? false);
  }

  /** @throws ProxyError `CLIENT_GONE` */
  async #wait(ms: number): Promise<void> {
    const { signal } = this.#again.exchange;
    await new Promise<void>((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal.addEventListener("abort", done);
    });
    if (this.#isGone()) throw new ProxyError("CLIENT_GONE");
  }
}

function isSmall({ headers }: Answer): boolean {
  return Number(headers.get("content-length") ?? 0) <= MAX_REFUSAL;
}

/** Seconds, or a date (RFC 9110 §10.2.3), as milliseconds from now. */
function retryAfter(text: string | null): number {
  if (text === null) return 0;
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const date = Date.parse(text);
  return Number.isNaN(date) ? 0 : Math.max(0, date - Date.now());
}
