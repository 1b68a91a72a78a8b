import { type App, type Plugin, ProxyError, type State, defineState } from "../core/index.ts";
import { Attempt, MAX_BACKOFF, type RetrySettings } from "./_retry-attempt.ts";
import { Budget } from "./_retry-budget.ts";

/** Options of {@link retry}. Times are in milliseconds. */
export interface RetryOptions {
  /** How often a request is sent again at most. @default 2 */
  retries?: number;
  /** Longest wait before the first time; it doubles each time, up to 5 s, and any part of it is waited (full jitter). @default 250 */
  backoff?: number;
  /** Longest `Retry-After` of a server that is waited for; after a longer one its 503 goes to the client. @default 5000 */
  maxRetryAfter?: number;
  /** Which part of the requests of one principal to one server may be sent again, beside the few of a quiet time. @default 0.2 */
  budget?: number;
}

/** What belongs to a mount. */
interface Retries {
  app: App;
  budget: Budget;
}

const slot: State<Retries> = defineState("retry.state");

/**
 * Sends a request again where that can do no harm: any request that did not leave, because there was no connection; and
 * `initialize`, `ping`, `server/discover`, lists and a GET that opens a stream, when the server broke off before the first byte
 * of an answer. After a 503 those that are posted. A `tools/call` that may have arrived is never sent again.
 *
 * It waits with full jitter, never beyond the limit for the head of the answer, not for a client that left, and not while the
 * proxy stops. A budget per server and principal keeps it from multiplying the load of a server in trouble.
 *
 * @throws ProxyError `BAD_OPTION`
 */
export function retry(options: RetryOptions = {}): Plugin {
  const settings = readSettings(options);
  const part = options.budget ?? 0.2;
  return {
    name: "retry",
    setup(app) {
      for (const mount of app.mounts) mount.set(slot, { app, budget: new Budget(part) });
    },
    forward(exchange, request, next) {
      // A plugin's own call wants to know how the server is.
      if (exchange.origin !== "client") return next(request);
      const { app, budget } = exchange.mount.get(slot)!;
      const bucket = budget.earn(exchange.principal.id);
      const startedAt = performance.now();
      const attempt = () => new Attempt({ exchange, request, next, app, bucket, startedAt, settings });
      return next(request).then(
        (answer) => (answer.status === 503 ? attempt().refused(answer) : answer),
        (cause: unknown) => attempt().failed(cause),
      );
    },
  };
}

function readSettings({ retries = 2, backoff = 250, maxRetryAfter = 5000, budget = 0.2 }: RetryOptions): RetrySettings {
  const refuse = (hint: string): never => {
    throw new ProxyError("BAD_OPTION", { plugin: "plugin 'retry'", hint });
  };
  if (!Number.isInteger(retries) || retries < 0 || retries > 10) refuse("retries must be a whole number from 0 to 10.");
  if (!(backoff > 0 && backoff <= MAX_BACKOFF)) refuse(`backoff must be a time above 0, ${MAX_BACKOFF} ms at most.`);
  if (!(maxRetryAfter >= 0 && maxRetryAfter <= 60_000)) refuse("maxRetryAfter must be a time, 60000 ms at most.");
  if (!(budget >= 0 && budget <= 1)) refuse("budget must be a number from 0 to 1.");
  return { retries, backoff, maxRetryAfter };
}
