/** Runs sequences, and makes those that fail shorter. */
import { generate } from "./generate.ts";
import type { Op, Sequence } from "./plan.ts";
import { World } from "./world.ts";

export interface CheckOptions {
  /** First seed. */
  from: number;
  count: number;
  /** Sequences at a time. */
  parallel: number;
  /** Failures to stop at. */
  most: number;
}

export interface Checked {
  sequences: number;
  failures: string[];
}

export async function check({ from, count, parallel, most }: CheckOptions): Promise<Checked> {
  const failures: string[] = [];
  const { PAIRS: pairs } = process.env;
  let next = from;
  let sequences = 0;
  const worker = async () => {
    while (next < from + count && failures.length < most) {
      const sequence = generate(next++);
      if (pairs !== undefined && !new RegExp(pairs).test(`${sequence.client} > ${sequence.server}`)) continue;
      const world = new World(sequence);
      const violations = await world.run();
      sequences++;
      if (violations.length > 0) failures.push(await report(world, sequence));
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
  return { sequences, failures };
}

async function report({ ledger }: World, sequence: Sequence): Promise<string> {
  const { seed, client, server } = sequence;
  const shorter = process.env.SHRINK === undefined ? undefined : await shrink(sequence);
  const shown = shorter?.sequence ?? sequence;
  if (process.env.BRIEF !== undefined)
    return `SEED=${seed}: ${client} > ${server}: ${ledger.violations.slice(0, 3).join(" | ")}`.slice(0, 600);
  return [
    `SEED=${seed}: ${client} client, ${server} server`,
    ...ledger.violations.slice(0, 8).map((text) => `  ${text}`),
    ...(shorter ? [`made shorter (${shorter.violations[0]}):`] : []),
    ...shown.ops.map((op) => `  ${JSON.stringify(op)}`),
    ...(process.env.STORY === undefined ? [] : (shorter?.story ?? ledger.story).filter((line) => line.length > 1)),
  ].join("\n");
}

/** Leaves out what is not needed for some violation. */
async function shrink(sequence: Sequence) {
  let best: { sequence: Sequence; violations: readonly string[]; story: string[] } | undefined;
  for (let at = 0; at < (best?.sequence ?? sequence).ops.length;) {
    const { ops } = best?.sequence ?? sequence;
    const fewer: Op[] = ops.filter((_, i) => i !== at);
    const world = new World({ ...sequence, ops: fewer });
    const violations = await world.run();
    if (violations.length === 0) at++;
    else best = { sequence: world.sequence, violations, story: world.ledger.story };
  }
  return best;
}
