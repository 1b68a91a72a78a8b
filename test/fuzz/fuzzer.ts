/** The loop: cases by seed, many at a time, until the time is over or one fails. */
import { random } from "../core/random.ts";
import { downCase, type World } from "./down-case.ts";
import type { Manner } from "./pieces.ts";
import { LANES, type Lane } from "./proxy.config.ts";
import type { FuzzServer } from "./server.ts";
import { upCase } from "./up-case.ts";

export interface FuzzOptions {
  /** The first case's; each case adds one. */
  seed: number;
  /** How long to go on. */
  seconds: number;
  /** The most cases. @default no limit */
  cases?: number;
  server: FuzzServer;
  /** Port of the proxy of each lane. */
  ports: Readonly<Record<Lane, number>>;
  /** Which lanes. @default all */
  lanes?: readonly Lane[];
  /** Cases at a time. @default 24 */
  parallel?: number;
  /** Findings to stop at. @default 1 */
  most?: number;
}

/** A case that failed. */
export interface Failure {
  seed: number;
  lane: Lane;
  direction: string;
  text: string;
  /** It fails in one write each too. */
  simpler: boolean;
  /** It failed again when it was run alone. */
  again: boolean;
}

export interface FuzzReport {
  cases: number;
  ms: number;
  failures: Failure[];
}

interface Case {
  lane: Lane;
  direction: "down" | "up";
  run(manner: Manner): Promise<void>;
}

export async function fuzz(options: FuzzOptions): Promise<FuzzReport> {
  const { seed, seconds, cases = Number.POSITIVE_INFINITY, parallel = 24, most = 1 } = options;
  const started = performance.now();
  const failures: Failure[] = [];
  let next = 0;
  const failed: [seed: number, error: Error][] = [];
  const run = (own: number, whole: boolean) => makeCase(own, `${own}-${runs++}`, options).run({ whole });
  let runs = 0;
  const worker = async () => {
    while (next < cases && performance.now() - started < seconds * 1000 && failed.length < most) {
      const own = seed + next++;
      await run(own, false).catch((error: Error) => failed.push([own, error]));
      for (const text of options.server.accidents()) failed.push([seedIn(text) ?? own, new Error(text)]);
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
  const ms = performance.now() - started;
  for (const [own, error] of failed.slice(0, most)) failures.push(await lookAgain(own, error, run, options));
  return { cases: next, ms, failures };
}

/** What comes to the server unasked says by its number from which case it is. */
function seedIn(text: string): number | undefined {
  const number = /(?:x-case: |case )(\d+)-/.exec(text)?.[1];
  return number === undefined ? undefined : Number(number);
}

/** @param id unique in this run */
function makeCase(seed: number, id: string, { server, ports, lanes = LANES }: FuzzOptions): Case {
  const rnd = random(seed);
  const lane = rnd.pick(lanes);
  const direction = rnd.chance(0.6) ? "down" : "up";
  const world: World = { lane, port: ports[lane], server, id };
  return {
    lane,
    direction,
    run: (manner) => (direction === "down" ? downCase(rnd, manner, world) : upCase(rnd, manner, world)),
  };
}

/** Alone, and then in one write each: what still fails is the simpler one to look at. */
async function lookAgain(
  seed: number,
  first: Error,
  run: (seed: number, whole: boolean) => Promise<void>,
  options: FuzzOptions,
): Promise<Failure> {
  const tries: (Error | undefined)[] = [];
  for (const whole of [false, true]) {
    const error = await run(seed, whole).then(
      () => undefined,
      (error: Error) => error,
    );
    tries.push(error ?? accident(options.server));
  }
  const [again, simpler] = tries;
  const { lane, direction } = makeCase(seed, "", options);
  return {
    seed,
    lane,
    direction,
    text: (simpler ?? again ?? first).message,
    simpler: simpler !== undefined,
    again: again !== undefined,
  };
}

function accident(server: FuzzServer): Error | undefined {
  const [text] = server.accidents();
  return text === undefined ? undefined : new Error(text);
}
