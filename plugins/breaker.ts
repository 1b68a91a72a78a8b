import {
  type Answer,
  type Logger,
  type Mount,
  type Plugin,
  ProxyError,
  type State,
  defineState,
  isProxyError,
} from "../core/index.ts";

/** Options of {@link breaker}. Times are in milliseconds. */
export interface BreakerOptions {
  /** Failures in a row before a server is left alone. @default 5 */
  failures?: number;
  /** How long at first; each time without success it doubles, and between a half and all of it is waited. @default 1000 */
  backoff?: number;
  /** Longest time without a new attempt. @default 30000 */
  maxBackoff?: number;
}

/** The server was not reached, or broke off before there was an answer. */
const FAILURES: ReadonlySet<string> = new Set([
  "UPSTREAM_UNREACHABLE",
  "UPSTREAM_CONNECT_TIMEOUT",
  "UPSTREAM_TLS",
  "UPSTREAM_TIMEOUT",
  "UPSTREAM_BROKE",
  "UPSTREAM_INVALID",
]);
/** The server, or what stands before it, as a whole. A 500 is about one request, and a caller could send more of those. */
const UNAVAILABLE: ReadonlySet<number> = new Set([502, 503, 504]);

/** What notifications are answered with, also by a server that answers nothing else any more. */
const ACCEPTED = 202;

const slot: State<Breaker> = defineState("breaker.state");

/**
 * Leaves a server alone that fails again and again: its clients get 503 at once, with `Retry-After`, in place of waiting for
 * time limits. After a while one request is let through; the first answer ends it.
 *
 * Posted requests count, since the event stream (GET) is optional. Connections that fail or break before an answer, time
 * limits, and 502, 503 and 504 are failures. A result or JSON-RPC error starts the count again. Clients that leave, 4xx and 500
 * do neither: a caller can bring them about. Nor does what the proxy sends by itself.
 *
 * @throws ProxyError `BAD_OPTION`
 */
export function breaker(options: BreakerOptions = {}): Plugin {
  const settings = readSettings(options);
  return {
    name: "breaker",
    setup(app) {
      for (const mount of app.mounts) mount.set(slot, new Breaker(mount, app.log, settings));
      app.health((mount) => mount.get(slot)?.report());
    },
    forward(exchange, request, next) {
      const state = exchange.mount.get(slot)!;
      const isProbe = exchange.origin !== "client";
      if (!state.isOpen) {
        if (isProbe || request.method !== "POST") return next(request);
        return next(request).then(state.answered, state.failed);
      }
      // The end of a session keeps nobody waiting, and is no reason to believe in a server.
      if (request.method === "DELETE") return next(request);
      // Probes of `health` come seldom, and are what finds out that a server is back.
      if (isProbe) return next(request).then(state.tried);
      return state.claim() ? next(request).then(state.tried, state.gaveUp) : Promise.reject(state.refusal());
    },
  };
}

/** Of one mount. Its functions are made once: a request costs no closure. */
class Breaker {
  isOpen = false;
  readonly #mount: Mount;
  readonly #log: Logger;
  readonly #settings: Required<BreakerOptions>;
  #failures = 0;
  /** How often it stayed open. */
  #rounds = 0;
  /** When the next request may try (`performance.now()`). */
  #nextTry = 0;
  #since: Date | undefined;

  constructor(mount: Mount, log: Logger, settings: Required<BreakerOptions>) {
    this.#mount = mount;
    this.#log = log;
    this.#settings = settings;
  }

  /** Closed: what an answer says. One that was asked for before it opened says nothing any more. */
  readonly answered = (answer: Answer): Answer => {
    const { status } = answer;
    if (UNAVAILABLE.has(status)) this.#count(`HTTP ${status}`);
    else if (status < 400 && status !== ACCEPTED && !this.isOpen) this.#failures = 0;
    return answer;
  };

  readonly failed = (cause: unknown): never => {
    if (isProxyError(cause) && FAILURES.has(cause.code)) this.#count(cause.code);
    throw cause;
  };

  /** Open: a refusal shows as well that the server is there again. */
  readonly tried = (answer: Answer): Answer => {
    if (answer.status === ACCEPTED) this.#nextTry = 0;
    else if (!UNAVAILABLE.has(answer.status)) this.#close();
    return answer;
  };

  /** Who left found out nothing: the next one may try. */
  readonly gaveUp = (cause: unknown): never => {
    if (!isProxyError(cause) || !FAILURES.has(cause.code)) this.#nextTry = 0;
    throw cause;
  };

  /** The right to try. However long that takes, after the next wait another one has it. */
  claim(): boolean {
    if (performance.now() < this.#nextTry) return false;
    this.#schedule();
    return true;
  }

  refusal(): ProxyError {
    const seconds = Math.max(1, Math.ceil((this.#nextTry - performance.now()) / 1000));
    return new ProxyError("SERVER_SUSPENDED", {
      server: this.#mount.server,
      headers: { "retry-after": String(seconds) },
    });
  }

  report(): { breaker: "open" | "closed"; breakerSince?: string } {
    return this.isOpen ? { breaker: "open", breakerSince: this.#since!.toISOString() } : { breaker: "closed" };
  }

  #count(why: string): void {
    if (this.isOpen || ++this.#failures < this.#settings.failures) return;
    this.isOpen = true;
    this.#since = new Date();
    this.#rounds = 0;
    this.#schedule();
    const { server } = this.#mount;
    this.#log.warn(
      () => `${server}: ${this.#failures} failures in a row (the last: ${why}); it is left alone for a moment`,
    );
  }

  #close(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.#failures = 0;
    const seconds = Math.round((Date.now() - this.#since!.getTime()) / 1000);
    this.#log.info(() => `${this.#mount.server} answers again, after ${seconds} s`);
  }

  #schedule(): void {
    const { backoff, maxBackoff } = this.#settings;
    const wait = Math.min(backoff * 2 ** this.#rounds++, maxBackoff);
    // Half of it is sure, so that attempts never come one upon the other.
    this.#nextTry = performance.now() + wait * (0.5 + Math.random() / 2);
  }
}

function readSettings({ failures = 5, backoff = 1000, maxBackoff = 30_000 }: BreakerOptions): Required<BreakerOptions> {
  const refuse = (hint: string): never => {
    throw new ProxyError("BAD_OPTION", { plugin: "plugin 'breaker'", hint });
  };
  if (!Number.isInteger(failures) || failures < 1) refuse("failures must be a whole number above 0.");
  if (!(backoff > 0 && backoff < 2 ** 31)) refuse("backoff must be a time above 0, in milliseconds.");
  if (!(maxBackoff >= backoff && maxBackoff < 2 ** 31))
    refuse("maxBackoff must be a time in milliseconds, not below backoff.");
  return { failures, backoff, maxBackoff };
}
