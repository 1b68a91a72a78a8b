// W5: what thousands of idle event streams cost. Memory only grows once in a process, so every round starts it anew.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { residentKilobytes } from "./cpu.mjs";
import { openLane, warmUp } from "./lane.mjs";
import { load } from "./loads/loads.mjs";
import { rowsOf, upstreamFor } from "./measure.mjs";
import { anonymous, cores, said, start, stop } from "./processes.mjs";

/** A relay needs two descriptors for each stream. Returns how many it may have, after `ulimit -n`. */
export function mostStreams() {
  const limit = spawnSync("sh", ["-c", "ulimit -Hn"], { encoding: "utf8" }).stdout.trim();
  return limit === "unlimited" ? Number.POSITIVE_INFINITY : Math.floor((Number(limit) - 500) / 2);
}

async function valid(running) {
  const one = await running;
  if (one.error) throw new Error(one.error);
  return one;
}

async function withStreams(lane, options) {
  const { url, session, work } = lane;
  const pid = lane.running.child.pid;
  const calls = () => valid(load({ ...work, url, session, seconds: options.seconds }));
  await warmUp(lane, options.seconds);
  const before = await calls();
  await sleep(500);
  const resident = residentKilobytes(pid);
  const args = [
    join(import.meta.dirname, "loads/idle-load.mjs"),
    JSON.stringify({ url, session, streams: options.streams }),
  ];
  const clients = start({ command: process.execPath, args }, cores.load);
  try {
    const [, openRate] = await said(clients, /^OPEN (\S+)$/m, 60);
    await sleep(500);
    const kilobytes = (residentKilobytes(pid) - resident) / options.streams;
    const during = await calls();
    if (clients.ended) throw new Error(`streams did not stay open: ${clients.stderr}`);
    const ratio = during.rate / before.rate;
    return { kilobytes, openRate: Number(openRate), before: before.rate, during: during.rate, ratio };
  } finally {
    await stop(clients);
  }
}

/** One round of a row. An invalid one is repeated once, with a new process as always. */
async function round(row, upstream, work, options, failures) {
  for (let attempt = 1; ; attempt++) {
    let lane;
    try {
      lane = await openLane(row.target, upstream.url, work, row.runtime);
      return await withStreams(lane, options);
    } catch (error) {
      console.error(`${work.name} ${row.name}: ${anonymous(error.message)}`);
      failures.push(error.message);
      if (attempt === 2) return { error: error.message };
    } finally {
      if (lane?.running) await stop(lane.running);
    }
  }
}

/** Measures W5. Samples: KB per stream, streams opened per second, calls per second before and while they are open. */
export async function measureIdle(work, options, results) {
  const upstream = await upstreamFor(work, options);
  for (const row of rowsOf(work, options)) {
    results.get(row.name)[work.name] = { samples: [], failures: [] };
  }
  const rounds = Math.min(options.rounds, 3);
  for (let i = 0; i < rounds; i++) {
    for (const row of rowsOf(work, options)) {
      const result = results.get(row.name)[work.name];
      if (result.error) continue;
      const one = await round(row, upstream, work, options, result.failures);
      if (one.error) result.error = `round ${i + 1}, twice: ${one.error}`;
      else result.samples.push(one);
      const figures = `${one.kilobytes?.toFixed(1)} KB, opened ${one.openRate?.toFixed(0)}/s, W1 × ${one.ratio?.toFixed(2)}`;
      console.error(`${work.name} round ${i + 1}/${rounds} ${row.name}: ${anonymous(one.error ?? figures)}`);
    }
  }
  for (const child of upstream.children) await stop(child);
}
