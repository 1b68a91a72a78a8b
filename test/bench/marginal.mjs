// What plugins cost: variants of the library against their base. A process differs from the next one with the same code by more
// than a plugin costs, and the machine drifts, so every round starts each variant anew and compares it with its base of
// that round; the medians of these ratios are shown. CPU time per request is the steadier measure, because it does not
// count what other processes took away; instructions are steadier still, where the machine has a counter.
import { cpuMicros, withInstructions } from "./cpu.mjs";
import { openLane, warmUp } from "./lane.mjs";
import { load } from "./loads/loads.mjs";
import { upstreamFor } from "./measure.mjs";
import { anonymous, stop } from "./processes.mjs";
import { library } from "./targets.mjs";
import { workloads } from "./workloads.mjs";

/** Blocks of variants: `base` is what the others are compared with. The plugins of the preset are read from the built package. */
async function blocks() {
  const { standard } = await import("mcp-penstock/plugins/standard");
  const preset = [standard()].flat(Infinity).filter(Boolean);
  const names = preset.map((plugin) => plugin.name);
  const noop = (count) => ({ name: `standard + ${count} no-op`, choice: { standard: true, noop: count } });
  const message = (direction) => ({
    name: `standard + message hook ${direction}`,
    choice: { standard: true, messages: [direction] },
  });
  const base = { name: "standard", choice: { standard: true } };
  const bare = { name: "bare", choice: {} };
  return [
    { work: "W1", base, variants: [noop(1), noop(5), noop(20), message("up"), message("down")] },
    { work: "W2", base, variants: [message("up"), message("down")] },
    { work: "W3", base, variants: [message("up"), message("down")] },
    { work: "W1", base: bare, variants: [{ name: "bare + 20 no-op", choice: { noop: 20 } }] },
    {
      work: "W1",
      base,
      variants: names.map((name) => ({ name: `standard − ${name}`, choice: { standard: true, minus: [name] } })),
    },
    { work: "W1", base: bare, variants: names.map((name) => ({ name: `bare + ${name}`, choice: { plus: [name] } })) },
  ];
}

/** Starts a variant, warms it up and measures it once: requests/s, CPU microseconds and instructions per request. */
async function once({ choice }, upstream, work, options) {
  const target = { path: "/bench/mcp", start: library(choice), works: [], runtimes: "all" };
  const lane = await openLane(target, upstream.url, work, options.runtimes[0]);
  try {
    await warmUp(lane, options.seconds);
    const { pid } = lane.running.child;
    const before = cpuMicros(pid);
    const { url, session } = lane;
    const run = () => load({ ...work, url, session, seconds: options.seconds });
    const { result, instructions } = await withInstructions(pid, run);
    if (result.error) throw new Error(result.error);
    const after = cpuMicros(pid);
    return {
      rate: result.rate,
      cpu: after === undefined ? undefined : (after - before) / result.requests,
      instructions: instructions && instructions / result.requests,
    };
  } finally {
    await stop(lane.running);
  }
}

/** The same, once more if it fails. */
async function onceOrTwice(variant, upstream, work, options) {
  try {
    return await once(variant, upstream, work, options);
  } catch (error) {
    console.error(`${work.name} ${variant.name}: ${anonymous(error.message)}, started anew`);
    return once(variant, upstream, work, options);
  }
}

/** The base before and after its variants, so that a drift of the machine is the same for both. */
async function measureBlock(block, upstream, work, options, { results, round }) {
  const bases = [];
  const owns = new Map();
  for (const variant of [block.base, ...block.variants, block.base]) {
    const result = results.find((one) => one.name === variant.name && one.work === block.work);
    try {
      const own = await onceOrTwice(variant, upstream, work, options);
      if (result) owns.set(result, own);
      else bases.push(own);
      const figures = `${own.rate.toFixed(0)}/s, CPU ${own.cpu?.toFixed(1)} µs`;
      console.error(`plugins round ${round} ${block.work} ${variant.name}: ${figures}`);
    } catch (error) {
      console.error(`plugins ${block.work} ${variant.name}: ${anonymous(error.message)}`);
      if (result) result.error = error.message;
    }
  }
  // Without a base there is nothing to compare with in this round.
  if (bases.length === 0) return;
  const mean = (name) => bases.reduce((sum, one) => sum + one[name], 0) / bases.length;
  const base = { rate: mean("rate"), cpu: mean("cpu"), instructions: mean("instructions") };
  for (const [result, own] of owns) result.pairs.push({ own, base });
}

/**
 * Measures all variants, or those whose name contains `options.variants`.
 * @returns {Promise<{ name: string, base: string, work: string, pairs: { own: object, base: object }[], error?: string }[]>}
 */
export async function measureMarginal(options) {
  const chosen = (await blocks())
    .map((block) => ({
      ...block,
      variants: block.variants.filter(({ name }) => name.includes(options.variants ?? "")),
    }))
    .filter(({ variants }) => variants.length > 0);
  const results = chosen.flatMap(({ work, base, variants }) =>
    variants.map(({ name }) => ({ name, base: base.name, work, pairs: [] })),
  );
  const upstreams = new Map();
  for (const { work: name } of chosen) {
    const work = { ...workloads.find((one) => one.name === name) };
    if (!upstreams.has(name)) upstreams.set(name, { work, upstream: await upstreamFor(work, options) });
  }
  const rounds = Math.min(options.rounds, 5);
  for (let round = 0; round < rounds; round++) {
    for (const block of chosen) {
      const { work, upstream } = upstreams.get(block.work);
      await measureBlock(block, upstream, work, options, { results, round: `${round + 1}/${rounds}` });
    }
  }
  for (const { upstream } of upstreams.values()) for (const child of upstream.children) await stop(child);
  return results;
}
