// The main way of measuring: all rows of one work run side by side and take turns in each round.
import { openLane, sample, startUpstream, warmUp } from "./lane.mjs";
import { hasNginx, nginxKinds } from "./nginx.mjs";
import { anonymous, stop } from "./processes.mjs";

/** The upstream of a work: nginx where it has the answer and is wanted, because it is faster than Node. */
export async function upstreamFor(work, options) {
  const useNginx = options.upstream !== "node" && hasNginx && nginxKinds.includes(work.kind);
  work.upstream = useNginx ? "nginx" : "Node";
  return startUpstream(work.kind, useNginx);
}

/** Which rows a work has: those that name it, or those that were asked for by name and can do it. */
export function rowsOf(work, options) {
  return options.rows.filter(({ target }) => target.works.includes(work.name));
}

function say(work, row, text) {
  console.error(`${work.name} ${row.name}: ${anonymous(text)}`);
}

/** Starts what a row measures and warms it up. */
async function begin(row, upstream, work, options) {
  const lane = await openLane(row.target, upstream.url, work, row.runtime);
  try {
    await warmUp(lane, options.seconds);
    return lane;
  } catch (error) {
    if (lane.running) await stop(lane.running);
    throw error;
  }
}

/** A sample; after an invalid one, which `failures` remembers, the target is started anew and has one more chance. */
async function turn(row, { lanes, failures }, upstream, work, options) {
  const first = await sample(lanes.get(row), options.seconds);
  if (!first.error) return first;
  say(work, row, `invalid, started anew: ${first.error}`);
  failures.push(first.error);
  if (lanes.get(row).running) await stop(lanes.get(row).running);
  lanes.delete(row);
  try {
    lanes.set(row, await begin(row, upstream, work, options));
    return await sample(lanes.get(row), options.seconds);
  } catch (error) {
    return { error: error.message };
  }
}

/**
 * All samples of one work: every row is started anew, warmed up, and takes its turn in each round.
 * @param {Map<string, Record<string, { samples: object[], error?: string }>>} results by row, then work
 */
export async function measure(work, options, results) {
  const upstream = await upstreamFor(work, options);
  const lanes = new Map();
  const rows = rowsOf(work, options);
  for (const row of rows) {
    const result = (results.get(row.name)[work.name] = { samples: [], failures: [] });
    try {
      lanes.set(row, await begin(row, upstream, work, options));
    } catch (error) {
      result.error = error.message;
      say(work, row, error.message);
    }
  }
  for (let round = 0; round < options.rounds; round++) {
    // Each round starts with another row, so that none is always behind the same neighbour.
    const shift = round % Math.max(rows.length, 1);
    for (const row of [...rows.slice(shift), ...rows.slice(0, shift)]) {
      const result = results.get(row.name)[work.name];
      if (result.error) continue;
      const one = await turn(row, { lanes, failures: result.failures }, upstream, work, options);
      if (one.error) result.error = `round ${round + 1}, twice: ${one.error}`;
      else result.samples.push(one);
      const figures = `${one.rate?.toFixed(0)}/s, p50 ${one.p50} µs, p99 ${one.p99} µs, CPU ${one.cpu?.toFixed(1)} µs`;
      say(work, row, `round ${round + 1}/${options.rounds}: ${one.error ?? figures}`);
    }
  }
  for (const lane of lanes.values()) if (lane.running) await stop(lane.running);
  for (const child of upstream.children) await stop(child);
}
