import {
  type App,
  type Exchange,
  type Message,
  type Mount,
  type Plugin,
  ProxyError,
  type State,
  defineState,
  isRecord,
} from "../core/index.ts";
import { compilePatterns } from "./_patterns.ts";

/** How much of something there is: `perMinute` come back evenly, at most `burst` at once. */
export interface Rate {
  /** Requests per minute. */
  perMinute: number;
  /** Requests that may come at once after a pause. @default perMinute */
  burst?: number;
}

/** Options of {@link rateLimit}. */
export interface RateLimitOptions extends Rate {
  /** Rates of single tools, by name or pattern with `*`. The first that fits counts, beside the general rate. */
  tools?: Record<string, Rate>;
}

interface Bucket {
  tokens: number;
  /** When `tokens` was right, in milliseconds of the process clock. */
  at: number;
}

interface Rule extends Required<Rate> {
  matches: (tool: string) => boolean;
  key: string;
}

/** Buckets of one mount, by principal and rule: a mount's traffic never counts for another. */
const buckets: State<Map<string, Bucket>> = defineState("rate-limit.buckets");
const MINUTE = 60_000;
/** A cap on what strangers can make the proxy remember; the bucket unused for longest goes first. */
const MAX_BUCKETS = 100_000;

/**
 * A token bucket per principal, mount and rule. What is too much is answered with HTTP 429, `Retry-After` and a JSON-RPC
 * error; the server is not asked. Requests and notifications count, answers to a server's questions do not.
 *
 * @throws ProxyError `BAD_OPTION`
 */
export function rateLimit(options: RateLimitOptions): Plugin {
  const general = toRule("", options);
  const tools = Object.entries(options.tools ?? {}).map(([pattern, rate]) => toRule(pattern, rate));
  const handler = (exchange: Exchange, message: Message): void => {
    const tool = message.method === "tools/call" && isRecord(message.params) ? message.params.name : undefined;
    const rule = typeof tool === "string" ? tools.find(({ matches }) => matches(tool)) : undefined;
    take(exchange, rule ? [general, rule] : [general], performance.now());
  };
  return {
    name: "rate-limit",
    setup(app: App) {
      app.every(MINUTE, () => app.mounts.forEach((mount) => forgetFull(mount, [general, ...tools], performance.now())));
    },
    message: [
      { filter: { direction: "up", kind: "request" }, handler },
      { filter: { direction: "up", kind: "notification" }, handler },
    ],
  };
}

/** One token of every rule, or none of any. */
function take(exchange: Exchange, rules: readonly Rule[], now: number): void {
  const { mount, principal } = exchange;
  const held = mount.get(buckets) ?? new Map<string, Bucket>();
  mount.set(buckets, held);
  const wanted = rules.map((rule) => ({ rule, bucket: refill(held, `${principal.id}\0${rule.key}`, rule, now) }));
  const wait = Math.max(...wanted.map(({ rule, bucket }) => ((1 - bucket.tokens) * MINUTE) / rule.perMinute));
  if (wait > 0)
    throw new ProxyError("RATE_LIMITED", {
      server: mount.server,
      headers: { "retry-after": String(Math.ceil(wait / 1000)) },
    });
  for (const { bucket } of wanted) bucket.tokens -= 1;
}

function refill(held: Map<string, Bucket>, key: string, rule: Rule, now: number): Bucket {
  const known = held.get(key);
  const bucket = known ?? { tokens: rule.burst, at: now };
  bucket.tokens = Math.min(rule.burst, bucket.tokens + ((now - bucket.at) * rule.perMinute) / MINUTE);
  bucket.at = now;
  if (!known) {
    held.set(key, bucket);
    if (held.size > MAX_BUCKETS) held.delete(held.keys().next().value!);
  }
  return bucket;
}

/** A full bucket says nothing that a new one would not. */
function forgetFull(mount: Mount, rules: readonly Rule[], now: number): void {
  const held = mount.get(buckets);
  for (const [key, bucket] of held ?? []) {
    const rule = rules.find((one) => key.endsWith(`\0${one.key}`))!;
    if (bucket.tokens + ((now - bucket.at) * rule.perMinute) / MINUTE >= rule.burst) held!.delete(key);
  }
}

function toRule(key: string, { perMinute, burst = perMinute }: Rate): Rule {
  for (const [name, value] of Object.entries({ perMinute, burst })) {
    if (!Number.isFinite(value) || value <= 0 || (name === "burst" && value < 1)) {
      throw new ProxyError("BAD_OPTION", {
        plugin: "plugin 'rate-limit'",
        hint: `${key ? `tools[${JSON.stringify(key)}].` : ""}${name} must be a number above 0${name === "burst" ? ", at least 1" : ""}.`,
      });
    }
  }
  return { key, perMinute, burst, matches: compilePatterns([key || "*"], "rate-limit") };
}
