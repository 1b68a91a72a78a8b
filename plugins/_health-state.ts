import { type Json, type Logger, type Mount, type Probe, type Push, type State, defineState } from "../core/index.ts";

/**
 * What is known of a server. `degraded`: the last signals contradict the state that it is in. `idle`: it is started when
 * somebody needs it.
 */
export type HealthStatus = "healthy" | "auth-required" | "degraded" | "down" | "idle" | "unknown";

/** What one answer, or the lack of one, says. */
export type Verdict = "healthy" | "auth-required" | "down";

export interface Thresholds {
  /** Bad signals in a row before a healthy server is something else. */
  fall: number;
  /** Good signals in a row before a server is healthy again. */
  rise: number;
}

/** A probe of a server that is down comes at most this many times later. */
const MAX_BACK_OFF = 8;
/** "No stream here" is final for a while (MCP 2025-11-25, Transports: 405); other refusals may pass. */
const FINAL = /^HTTP (?:404|405)$/;

/** Where a mount keeps its health. */
export const slot: State<Health> = defineState("health.state");
/** What is taken for granted this long, in milliseconds: that a legacy server is no modern one, and that it has no event stream. */
export const HORIZON = 600_000;

/** Health of one mount: what the signals make of it, and when to ask again. Times are in milliseconds. */
export class Health {
  status: HealthStatus;
  reason: string | undefined;
  since: Date = new Date();
  /** The last conclusive probe. */
  probe: Probe | undefined;
  push: Push | undefined;
  /** A probe that is under way. */
  probing: Promise<void> | undefined;
  /** By the process clock, as all that follows. */
  nextProbe = 0;
  lastSignal: number = Number.NEGATIVE_INFINITY;
  discoveredAt: number = Number.NEGATIVE_INFINITY;
  closed = false;
  readonly #mount: Mount;
  readonly #log: Logger;
  readonly #thresholds: Thresholds;
  #settled: HealthStatus = "unknown";
  #streak = 0;
  #failures = 0;
  #pushTries = 0;
  #nextPush = Number.NEGATIVE_INFINITY;

  constructor(mount: Mount, log: Logger, thresholds: Thresholds) {
    this.#mount = mount;
    this.status = mount.transport === "stdio" ? "idle" : "unknown";
    this.#log = log;
    this.#thresholds = thresholds;
  }

  /** Takes a signal. From `unknown` the first one decides; later ones need company. */
  record(verdict: Verdict, reason?: string): void {
    this.#failures = verdict === "down" ? this.#failures + 1 : 0;
    if (verdict === this.#settled) {
      this.#streak = 0;
      if (this.status !== verdict) this.#show(verdict, reason);
      return;
    }
    this.#streak++;
    if (this.#streak < this.#needed(verdict)) {
      const why = verdict === "healthy" ? `recovering from: ${this.#first}` : reason;
      if (this.status !== "degraded") this.#show("degraded", why);
      return;
    }
    const before = this.#settled;
    this.#settled = verdict;
    this.#streak = 0;
    this.#show(verdict, reason);
    this.#tell(before, verdict, reason);
  }

  /** Why it came into the state that it is settled in. */
  get #first(): string {
    return this.reason ?? this.#settled;
  }

  #needed(verdict: Verdict): number {
    if (this.#settled === "unknown") return 1;
    if (verdict === "healthy") return this.#thresholds.rise;
    // A server that asks for a credential is not down; between two bad states nothing flaps that was good.
    return verdict === "auth-required" && this.#settled === "down" ? 1 : this.#thresholds.fall;
  }

  #show(status: HealthStatus, reason: string | undefined): void {
    this.status = status;
    this.reason = status === "healthy" ? undefined : reason;
    this.since = new Date();
  }

  /** One line per change of the settled state: probes that find the same again say nothing. */
  #tell(before: HealthStatus, now: Verdict, reason: string | undefined): void {
    const line = () => `${this.#mount.server} is ${now}${reason === undefined ? "" : ` (${reason})`}`;
    const expected = now === "auth-required" && this.#mount.auth === "passthrough";
    if (expected || (now === "healthy" && before === "unknown")) this.#log.debug(line);
    else if (now !== "healthy") this.#log.warn(line);
    else this.#log.info(() => `${line()} again`);
  }

  /** Notes whether the server has an event stream. A server without one is none the worse, so this is for debugging only. */
  notePush(push: Push): void {
    const changed = push.available !== this.push?.available || push.reason !== this.push.reason;
    this.push = push;
    if (push.available || FINAL.test(push.reason)) this.#nextPush = performance.now() + HORIZON;
    if (changed)
      this.#log.debug(
        () => `${this.#mount.server}: push ${push.available ? "available" : "unavailable"} (${push.reason})`,
      );
  }

  /** What a client's own GET met: a refusal may be about its session or its caller, and is then no news about the server. */
  notePushOfClient(push: Push): void {
    if (push.available || this.push === undefined || push.reason === "HTTP 405") this.notePush(push);
  }

  /** Whether a probe should try the event stream: until there is a final answer, less and less often. */
  wantsPush(now: number, interval: number): boolean {
    if (now < this.#nextPush) return false;
    this.#nextPush = now + Math.min(interval * 2 ** ++this.#pushTries, HORIZON);
    return true;
  }

  /** When to probe next: later and later while it is down, and never all servers at one time. */
  schedule(now: number, interval: number): void {
    const backOff = this.#settled === "down" ? Math.min(2 ** Math.max(0, this.#failures - 1), MAX_BACK_OFF) : 1;
    this.nextProbe = now + jittered(interval * backOff);
  }

  /** What others are told. */
  report(): Json {
    const { probe } = this;
    const known = probe?.verdict === "modern" || probe?.verdict === "legacy" ? probe : undefined;
    return JSON.parse(
      JSON.stringify({
        status: this.status,
        reason: this.reason,
        since: this.since.toISOString(),
        era: known?.verdict,
        version: known?.version,
        transport: probe?.transport,
        latencyMs: known?.latencyMs,
        push: this.push,
      }),
    ) as Json;
  }
}

/** ±20 %: servers that were started together need not be asked together. */
export function jittered(ms: number): number {
  return ms * (0.8 + Math.random() * 0.4);
}
