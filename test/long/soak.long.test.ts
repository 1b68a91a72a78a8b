import { type ChildProcess, fork } from "node:child_process";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { type Closeable, closeable } from "../_harness/loopback.ts";
import { apiKeys, standard, toolFilter } from "../_harness/plugins.ts";
import { startProxy } from "../_harness/proxy.ts";
import { otherRuntime } from "../_harness/runtimes.ts";
import { testScope } from "../_harness/scope.ts";
import { type Vitals, vitals } from "../_harness/vitals.ts";

const use = testScope();
const { PENSTOCK_SOAK_MINUTES = "60", PENSTOCK_SOAK_RATE = "200" } = process.env;
const MS = Number(PENSTOCK_SOAK_MINUTES) * 60_000;
/** Before it is measured, everything has been used once. */
const WARM_UP = 10_000;
const STREAMS = 60;
const RESTART_EVERY = 10_000;
/** So long after a server is back all calls must succeed again. */
const RECOVERY = 2000;
/** Connections that are kept for reuse close after 4 s. */
const SETTLE = 6000;
/** The heap may grow by this much in an hour; in a shorter run than {@link SLOPE_FROM} in that run, as nothing finer can be told then. */
const MOST_GROWTH = 2 ** 20;
const SLOPE_FROM = 30 * 60_000;
const KEY = "soak-0123456789abcdef0123456789abcdef";
const MIB = 2 ** 20;

interface Failure {
  mount: string;
  from: number;
  to: number;
  detail: string;
}
interface Latency {
  count: number;
  p50: number;
  p99: number;
  max: number;
}
interface ClientReport {
  sent: number;
  seconds: number;
  outcomes: Record<string, number>;
  latencies: Record<string, Latency>;
  errors: Failure[];
  lost: unknown[];
  duplicated: unknown[];
  misrouted: unknown[];
  events: number;
}
interface ServerReport {
  executed: number;
  twice: number[];
  windows: { mount: string; from: number; to: number }[];
}

/** A process of the soak; it and the test exchange messages. */
interface Part extends Closeable {
  ask<T>(message: object | undefined, reply: string): Promise<T>;
}

function part(file: string): Part {
  const child: ChildProcess = fork(fileURLToPath(new URL(`soak/${file}`, import.meta.url)), { execArgv: [] });
  const exited = new Promise<never>((_, reject) => {
    child.once("exit", (code) => reject(new Error(`${file} ended with ${code}`)));
  });
  exited.catch(() => {});
  const running: Omit<Part, typeof Symbol.asyncDispose> = {
    ask<T>(message: object | undefined, reply: string): Promise<T> {
      const told = new Promise<T>((resolve) => {
        const listener = (value: Record<string, T>) => {
          if (!(reply in value)) return;
          child.off("message", listener);
          resolve(value[reply]!);
        };
        child.on("message", listener);
      });
      if (message) child.send(message);
      return Promise.race([told, exited]);
    },
    async close() {
      child.kill("SIGKILL");
      await exited.catch(() => {});
    },
  };
  return closeable(running);
}

/** By how much the last quarter of the samples is above the first one, in bytes. */
function growthOf(samples: readonly { heap: number }[]): number {
  const quarter = Math.ceil(samples.length / 4);
  const median = (part: readonly { heap: number }[]) =>
    part.map(({ heap }) => heap).sort((a, b) => a - b)[part.length >> 1]!;
  return median(samples.slice(-quarter)) - median(samples.slice(0, quarter));
}

/** The least squares line through the heap sizes: bytes per hour, and how uncertain that is. */
function slopeOf(samples: readonly { at: number; heap: number }[]): { slope: number; error: number } {
  const n = samples.length;
  const hours = samples.map(({ at }) => at / 3_600_000);
  const mean = (list: readonly number[]) => list.reduce((sum, value) => sum + value, 0) / list.length;
  const [meanX, meanY] = [mean(hours), mean(samples.map(({ heap }) => heap))];
  const xx = hours.reduce((sum, x) => sum + (x - meanX) ** 2, 0);
  const slope = samples.reduce((sum, { heap }, i) => sum + (hours[i]! - meanX) * (heap - meanY), 0) / xx;
  const rest = samples.reduce((sum, { heap }, i) => sum + (heap - meanY - slope * (hours[i]! - meanX)) ** 2, 0);
  return { slope, error: Math.sqrt(rest / Math.max(1, n - 2) / xx) };
}

test(
  `LC-04 ${PENSTOCK_SOAK_MINUTES} minutes of mixed traffic while servers restart`,
  { timeout: MS + 180_000 },
  async () => {
    const servers = await use(part("servers.mjs"));
    const ports = await servers.ask<Record<string, number>>(undefined, "ports");
    const proxy = await use(
      startProxy({
        servers: Object.fromEntries(
          Object.entries(ports).map(([name, port]) => [name, { url: `http://127.0.0.1:${port}/mcp` }]),
        ),
        plugins: [standard(), apiKeys({ keys: { soak: KEY } }), toolFilter({ deny: ["hidden_*"] })],
      }),
    );
    const load = { url: proxy.url, key: KEY, rate: Number(PENSTOCK_SOAK_RATE), streams: STREAMS };
    const early = await use(part("clients.mjs"));
    const warm = await early.ask<ClientReport>({ ...load, ms: WARM_UP, first: 1 }, "report");
    await early.close();
    expect(warm.errors, "errors while no server restarts").toEqual([]);
    await pause(SETTLE);
    const net = await vitals(proxy);

    const clients = await use(part("clients.mjs"));
    servers.ask({ restartEvery: RESTART_EVERY }, "never").catch(() => {});
    const began = performance.now();
    const over = clients.ask<ClientReport>({ ...load, ms: MS, first: warm.sent + 1 }, "report");
    const samples: (Vitals & { at: number; heap: number })[] = [];
    const every = Math.max(2000, MS / 60);
    let going = true;
    void over.finally(() => (going = false)).catch(() => {});
    // oxlint-disable-next-line no-unmodified-loop-condition -- the clients end it
    while (going) {
      await Promise.race([pause(every), over]);
      const now = await net.now();
      samples.push({ ...now, heap: now.heap!, at: performance.now() - began });
    }
    samples.pop();
    const client = await over;
    const server = await servers.ask<ServerReport>({ report: true }, "report");
    await clients.close();

    const settled = samples.slice(Math.floor(samples.length / 5));
    const { slope, error } = slopeOf(settled);
    const growth = growthOf(settled);
    const outside = client.errors.filter(
      ({ mount, from, to }) =>
        !server.windows.some(
          (window) => window.mount === mount && to >= window.from - 50 && from <= window.to + RECOVERY,
        ),
    );
    const told = (list: readonly number[], unit: number) =>
      `${(Math.min(...list) / unit).toFixed(1)} to ${(Math.max(...list) / unit).toFixed(1)}`;
    const latency = ({ count, p50, p99, max }: Latency) =>
      `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, max ${max.toFixed(0)} ms (${count})`;
    const left = await net.backToBaseline().then(
      ({ fds, heap }) =>
        `${fds} descriptors, heap ${(heap! / MIB).toFixed(1)} MiB (${(net.baseline.heap! / MIB).toFixed(1)} before), back at the baseline`,
      (error: Error) => error.message,
    );
    console.log(
      [
        `soak on ${otherRuntime ?? "node"}, ${PENSTOCK_SOAK_MINUTES} min, ${(client.sent / client.seconds).toFixed(0)} calls/s, ${STREAMS} streams, ${server.windows.length} restarts`,
        `  calls       ${client.sent}: ${Object.entries(client.outcomes)
          .map(([name, count]) => `${count} ${name}`)
          .join(", ")}; ${client.events} pushed events`,
        `  ledger      lost ${client.lost.length}, duplicated ${client.duplicated.length}, misrouted ${client.misrouted.length}; ${server.executed} executed, ${server.twice.length} of them twice`,
        `  errors      ${client.errors.length}, ${outside.length} of them outside of restarts`,
        `  JSON        ${latency(client.latencies.json!)}`,
        `  SSE         ${latency(client.latencies.sse!)}`,
        `  heap        ${told(
          samples.map(({ heap }) => heap),
          MIB,
        )} MiB after GC, ${(slope / MIB).toFixed(2)} ± ${((2 * error) / MIB).toFixed(2)} MiB/h, ${(growth / MIB).toFixed(2)} MiB from the first to the last quarter`,
        `  RSS         ${told(
          samples.map(({ rss }) => rss),
          MIB,
        )} MiB`,
        `  descriptors ${told(
          samples.map(({ fds }) => fds),
          1,
        )}, ${net.baseline.fds} before`,
        `  afterwards  ${left}`,
      ].join("\n"),
    );
    expect(client.lost.slice(0, 10), "lost").toEqual([]);
    expect(client.duplicated.slice(0, 10), "duplicated").toEqual([]);
    expect(client.misrouted.slice(0, 10), "misrouted").toEqual([]);
    expect(server.twice.slice(0, 10), "executed twice").toEqual([]);
    expect(outside.slice(0, 10), "errors outside of restarts").toEqual([]);
    const grown = MS < SLOPE_FROM ? growth : slope - 2 * error;
    expect(grown, "bytes of heap").toBeLessThanOrEqual(MOST_GROWTH);
    expect(left, "what is left").toContain("back at the baseline");
  },
);
