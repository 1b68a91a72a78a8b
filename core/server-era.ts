/**
 * Which eras a server speaks (MCP 2026-07-28, Versioning, "Era detection"). Only conclusive answers are kept, for a while: a server
 * that was taken for modern and is not fails loudly, but one that was taken for legacy goes on answering `initialize` after it has
 * learned more. Outages are never kept.
 */
import type { Call } from "./ask.ts";
import { type Probe, probeServer } from "./probe.ts";
import type { Era, Json, Mount } from "./types.ts";

/** Options of {@link ServerEras}. Times are in milliseconds. */
export interface ServerErasOptions {
  /** For how long an answer counts, more or less. @default 3600000 */
  horizon?: number;
  /** For one probe. @default 15000 */
  timeout?: number;
  /** After a probe that said nothing, or nothing new: for so long it is not asked again. @default 60000 */
  pause?: number;
}

interface Known {
  legacy: boolean | undefined;
  modern: boolean | undefined;
  /** `performance.now()` from when on it should be asked anew. */
  until: number;
  /** The same for a doubt: a server that was asked just now has nothing new to say. */
  settledUntil: number;
  readonly asking: Map<Era, Promise<Probe>>;
}

/** Credentials whose answers are remembered. */
const MAX_KEYS = 1000;
/** Over stdio silence may have had another reason; the driver knows, and starts no process for a question that is answered. */
const STDIO_HORIZON = 60_000;

/** What is known of one mount's server. */
export class ServerEras {
  readonly #mount: Mount;
  readonly #horizon: number;
  readonly #timeout: number;
  readonly #pause: number;
  readonly #known = new Map<string, Known>();

  constructor(mount: Mount, { horizon = 3_600_000, timeout = 15_000, pause = 60_000 }: ServerErasOptions = {}) {
    this.#mount = mount;
    this.#horizon = horizon;
    this.#timeout = timeout;
    this.#pause = pause;
  }

  /** The configuration or the transport says it: the server is never asked. HTTP+SSE was never anything but 2024-11-05. */
  get isFixed(): boolean {
    return this.#mount.era !== "auto" || this.#mount.transport === "sse";
  }

  /**
   * What is known without asking.
   *
   * @param key of the credential with which the server is asked: it may show callers different things
   */
  speaks(era: Era, key = ""): boolean | undefined {
    const { era: configured, transport } = this.#mount;
    if (configured !== "auto") return configured === era;
    if (transport === "sse") return era === "legacy";
    return this.#known.get(key)?.[era];
  }

  /** An answer that leaves no doubt. */
  learn(era: Era, speaks: boolean, key = ""): void {
    const known = this.#of(key);
    const isShort = this.#mount.transport === "stdio" && era === "modern" && !speaks;
    // Not all mounts at once.
    const horizon = Math.min(this.#horizon, isShort ? STDIO_HORIZON : Number.POSITIVE_INFINITY);
    known[era] = speaks;
    // A legacy server that is no longer one says so by itself.
    if (era === "legacy" && speaks) return;
    known.until = performance.now() + horizon * (0.9 + Math.random() / 5);
  }

  /** Whether what is known should be asked anew; meanwhile it counts. */
  isOld(key = ""): boolean {
    const known = this.#known.get(key);
    return known !== undefined && performance.now() > known.until && known.asking.size === 0;
  }

  /** Whether an answer that does not fit what is known is a reason to ask. */
  mayDoubt(key = ""): boolean {
    const known = this.#known.get(key);
    return !this.isFixed && (known === undefined || performance.now() > known.settledUntil);
  }

  /**
   * Asks whether the server speaks an era, once for all who want to know at the same time.
   *
   * @returns never rejects; what leaves no doubt is remembered
   */
  probe(era: Era, call: Call, key = ""): Promise<Probe> {
    const { transport } = this.#mount;
    const options = { timeout: this.#timeout, transport, push: false } as const;
    return this.#asking(era, key, () =>
      probeServer(call, era === "modern" ? { ...options, initialize: false } : { ...options, known: "legacy" }),
    );
  }

  /** Asks anew what is old. Nobody waits for it. */
  refresh(call: Call, key = ""): void {
    // Of a server that spoke no legacy revision the first question is whether it does by now.
    void this.probe(this.speaks("legacy", key) === false ? "legacy" : "modern", call, key);
  }

  /**
   * Somebody else asks `server/discover` anyhow: others who want to know wait for that.
   *
   * @param answered with what it said; `undefined` when there was no answer
   */
  lend(answered: Promise<Probe | undefined>, key = ""): void {
    const unknown: Probe = { verdict: "down", transport: this.#mount.transport, latencyMs: 0 };
    void this.#asking("modern", key, () =>
      answered.then(
        (probe) => probe ?? unknown,
        () => unknown,
      ),
    );
  }

  /** The question that is under way. */
  asking(era: Era, key = ""): Promise<Probe> | undefined {
    return this.#known.get(key)?.asking.get(era);
  }

  /** For `/health`. */
  report(): Json {
    const [legacy, modern] = [this.speaks("legacy"), this.speaks("modern")];
    return { eras: { configured: this.#mount.era, legacy: legacy ?? "unknown", modern: modern ?? "unknown" } };
  }

  #asking(era: Era, key: string, ask: () => Promise<Probe>): Promise<Probe> {
    const { asking } = this.#of(key);
    const running = asking.get(era);
    if (running) return running;
    const probe = ask().then((found) => {
      asking.delete(era);
      this.#note(era, found, key);
      return found;
    });
    asking.set(era, probe);
    return probe;
  }

  #note(era: Era, { verdict, versions }: Probe, key: string): void {
    const known = this.#of(key);
    const said = verdict !== "down" && verdict !== "busy";
    known.settledUntil = performance.now() + (said ? this.#pause : Math.min(this.#pause, 1000));
    // What answers with revisions that this proxy does not know is a modern server all the same, and refuses by itself.
    const isModern = verdict === "modern" || (verdict === "unsupported" && versions !== undefined);
    if (era === "modern" && (isModern || verdict === "legacy")) return this.learn("modern", isModern, key);
    if (era === "legacy" && verdict === "legacy") return this.learn("legacy", true, key);
    if (era === "legacy" && isModern) {
      this.learn("legacy", false, key);
      return this.learn("modern", true, key);
    }
    // Nothing was learned: what is known counts on, and is not asked with every request.
    known.until = Math.max(known.until, performance.now() + this.#pause);
  }

  #of(key: string): Known {
    let known = this.#known.get(key);
    if (known) this.#known.delete(key);
    else {
      if (this.#known.size >= MAX_KEYS) this.#known.delete(this.#known.keys().next().value!);
      known = {
        legacy: undefined,
        modern: undefined,
        until: Number.POSITIVE_INFINITY,
        settledUntil: 0,
        asking: new Map(),
      };
    }
    // The one that was used last goes last.
    this.#known.set(key, known);
    return known;
  }
}
