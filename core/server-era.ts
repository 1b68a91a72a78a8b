/**
 * Which eras a server speaks (MCP 2026-07-28, Versioning, "Era detection"): asked once, and only conclusive answers are kept, with a
 * date. A server that was taken for modern and is not fails loudly; one that was taken for legacy goes on answering
 * `initialize` after it has learned more, so what is known is asked anew after a while.
 */
import type { Call } from "./ask.ts";
import { ProxyError } from "./errors.ts";
import { type Probe, probeServer } from "./probe.ts";
import type { Era, Json, Mount } from "./types.ts";

/** Options of {@link ServerEras}. Times are in milliseconds. */
export interface ServerErasOptions {
  /** For how long an answer counts. @default 3600000 */
  horizon?: number;
  /** For one question. @default 10000 */
  timeout?: number;
}

interface Known {
  legacy: boolean | undefined;
  modern: boolean | undefined;
  /** `performance.now()` of the last answer. */
  at: number;
  asking: Promise<Probe["verdict"]> | undefined;
}

/** Credentials whose answers are remembered. */
const MAX_KEYS = 1000;

export class ServerEras {
  readonly #mount: Mount;
  readonly #horizon: number;
  readonly #timeout: number;
  readonly #known = new Map<string, Known>();

  constructor(mount: Mount, { horizon = 3_600_000, timeout = 10_000 }: ServerErasOptions = {}) {
    this.#mount = mount;
    this.#horizon = horizon;
    this.#timeout = timeout;
  }

  /**
   * What is known without asking.
   *
   * @param key of the credential with which the server is asked: it may show callers different things
   */
  speaks(era: Era, key = ""): boolean | undefined {
    const { era: configured, transport } = this.#mount;
    if (configured !== "auto") return configured === era;
    // HTTP+SSE is of 2024-11-05, and was never anything else.
    if (transport === "sse") return era === "legacy";
    return this.#known.get(key)?.[era];
  }

  /** An answer that leaves no doubt. */
  learn(era: Era, speaks: boolean, key = ""): void {
    const known = this.#of(key);
    known[era] = speaks;
    known.at = performance.now();
  }

  /** Whether what is known is so old that it should be asked anew; meanwhile it counts. */
  isOld(key = ""): boolean {
    const known = this.#known.get(key);
    return known !== undefined && performance.now() - known.at > this.#horizon;
  }

  /**
   * Asks whether the server is modern, once for all who want to know at the same time.
   *
   * @returns what it is: only `modern` and `legacy` are remembered
   * @throws ProxyError when it cannot be reached, or has other troubles
   */
  async probe(call: Call, key = ""): Promise<Probe["verdict"]> {
    const known = this.#of(key);
    return (known.asking ??= this.#ask(call, key).finally(() => (known.asking = undefined)));
  }

  report(): Json {
    const { legacy, modern } = this.#known.get("") ?? {};
    return {
      era: this.#mount.era,
      speaks: { legacy: this.speaks("legacy") ?? legacy, modern: this.speaks("modern") ?? modern },
    };
  }

  async #ask(call: Call, key: string): Promise<Probe["verdict"]> {
    const { transport, server } = this.#mount;
    const probe = await probeServer(call, { timeout: this.#timeout, transport, initialize: false });
    const { verdict, reason } = probe;
    if (verdict === "modern" || verdict === "legacy") this.learn("modern", verdict === "modern", key);
    if (verdict === "down" || verdict === "busy")
      throw new ProxyError("UPSTREAM_UNREACHABLE", { server, detail: reason });
    return verdict;
  }

  #of(key: string): Known {
    let known = this.#known.get(key);
    if (!known) {
      if (this.#known.size >= MAX_KEYS) this.#known.delete(this.#known.keys().next().value!);
      this.#known.set(key, (known = { legacy: undefined, modern: undefined, at: 0, asking: undefined }));
    }
    return known;
  }
}
