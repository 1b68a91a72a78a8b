// What a session with a stdio server costs in memory: of the proxy, and of the processes that it starts. Memory only grows once in a
// process, so every round starts the target anew.
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { callOnce, openSession } from "./check.mjs";
import { residentKilobytes } from "./cpu.mjs";
import { openLane } from "./lane.mjs";
import { rowsOf, upstreamFor } from "./measure.mjs";
import { anonymous, stop } from "./processes.mjs";

/** Sessions that are open before it is measured: what the first ones load is no price of a session. */
const first = 3;
const settleMs = 500;

/** All processes below one. */
function descendants(pid) {
  const parents = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        return [[Number(name), Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${name}/status`, "utf8"))[1])]];
      } catch {
        // It has ended meanwhile.
        return [];
      }
    });
  const below = (parent) => parents.filter(([, of]) => of === parent).flatMap(([id]) => [id, ...below(id)]);
  return below(pid);
}

function memory(pid) {
  const below = descendants(pid);
  const resident = below.reduce((sum, id) => sum + (residentKilobytes(id) ?? 0), 0);
  return { own: residentKilobytes(pid), below: resident, processes: below.length };
}

async function openSessions(url, count) {
  for (let i = 0; i < count; i++) await callOnce(url, await openSession(url));
}

async function round(row, upstream, work) {
  const lane = await openLane(row.target, upstream.url, { ...work, load: "mcp" }, row.runtime);
  try {
    const { pid } = lane.running.child;
    await openSessions(lane.url, first);
    await sleep(settleMs);
    const before = memory(pid);
    const began = performance.now();
    await openSessions(lane.url, work.connections);
    const rate = work.connections / ((performance.now() - began) / 1000);
    await sleep(settleMs);
    const after = memory(pid);
    const each = (name) => (after[name] - before[name]) / work.connections;
    return { own: each("own"), below: each("below"), processes: each("processes"), rate };
  } finally {
    await stop(lane.running);
  }
}

/** Samples: KB of the proxy and of processes below it, processes, each per session; sessions opened per second, one after the other. */
export async function measureSessions(work, options, results) {
  const upstream = await upstreamFor(work, options);
  const rounds = Math.min(options.rounds, 3);
  for (const row of rowsOf(work, options)) {
    const result = (results.get(row.name)[work.name] = { samples: [], failures: [] });
    for (let i = 0; i < rounds && !result.error; i++) {
      try {
        const one = await round(row, upstream, work);
        result.samples.push(one);
        const figures = `${one.own.toFixed(0)} KB, ${one.below.toFixed(0)} KB in ${one.processes.toFixed(1)} processes`;
        console.error(`${work.name} round ${i + 1}/${rounds} ${row.name}: ${figures}`);
      } catch (error) {
        result.error = error.message;
        console.error(`${work.name} ${row.name}: ${anonymous(error.message)}`);
      }
    }
  }
  for (const child of upstream.children) await stop(child);
}
