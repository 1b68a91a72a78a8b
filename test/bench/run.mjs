// `npm run bench`: measures the targets against each other, see README.md in this folder.
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { availableParallelism, loadavg } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { openLane, sample, startUpstream } from "./lane.mjs";
import { hasNginx, nginxKinds } from "./nginx.mjs";
import { anonymous, canPin, stop } from "./processes.mjs";
import { report } from "./report.mjs";
import { runtimes } from "./runtimes.mjs";
import { chooseTargets } from "./targets.mjs";
import { workloads } from "./workloads.mjs";
import { hasWrk, load } from "./wrk.mjs";

const usage = `node test/bench/run.mjs [--targets direct,floor,…] [--work W1,W3,latency] [--rounds 7] [--seconds 2] [--quick]
                        [--upstream auto|node|nginx]   auto = nginx for W1, W2, latency where it is installed
                        [--runtime node|node24|bun|deno]   what floor and Penstock run on`;

function count(text, fallback) {
  const value = Number(text ?? fallback);
  if (!Number.isInteger(value) || value < 1) throw new Error(`not a count: ${text}`);
  return value;
}

function readOptions() {
  const string = { type: "string" };
  const { values } = parseArgs({
    options: {
      targets: string,
      work: string,
      rounds: string,
      seconds: string,
      quick: { type: "boolean" },
      upstream: string,
      runtime: string,
    },
  });
  const names = values.work?.split(",").map((name) => name.trim().toLowerCase());
  const works = workloads.filter((work) => !names || names.includes(work.name.toLowerCase()));
  if (works.length !== (names?.length ?? works.length))
    throw new Error(`--work knows ${workloads.map((work) => work.name).join(", ")}`);
  const runtime = values.runtime ?? "node";
  if (!(runtime in runtimes)) throw new Error(`--runtime ${runtime}? There are ${Object.keys(runtimes).join(", ")}`);
  if (!existsSync(runtimes[runtime].command))
    throw new Error(`${runtime} is not installed: npm ci --prefix test/runtimes`);
  const upstream = values.upstream ?? "auto";
  if (!["auto", "node", "nginx"].includes(upstream)) throw new Error(`--upstream ${upstream}?`);
  if (upstream === "nginx" && !hasNginx) throw new Error("--upstream nginx: nginx is not installed");
  return {
    targets: chooseTargets(values.targets),
    works: works.map((work) => ({ ...work })),
    rounds: count(values.rounds, values.quick ? 3 : 7),
    seconds: count(values.seconds, values.quick ? 1 : 2),
    upstream,
    runtime,
  };
}

/** All samples of one workload: every target is started anew, warmed up, and takes its turn in each round. */
async function measure(work, options, results) {
  const useNginx = options.upstream !== "node" && hasNginx && nginxKinds.includes(work.kind);
  work.upstream = useNginx ? "nginx" : "Node";
  const upstream = await startUpstream(work.kind, useNginx);
  const lanes = [];
  for (const target of options.targets) {
    const result = (results.get(target.name)[work.name] = { samples: [] });
    try {
      lanes.push({ ...(await openLane(target, upstream.url, work, options.runtime)), result });
    } catch (error) {
      result.error = error.message;
      console.error(`${work.name} ${target.name}: ${anonymous(error.message)}`);
    }
  }
  // Cold code runs at about half its speed. Nothing of the warm-up counts, so its errors do not either.
  for (const lane of lanes) await load({ ...work, url: lane.url, session: lane.session, seconds: 2 });
  for (let round = 0; round < options.rounds; round++) {
    // Each round starts with another target, so that none is always behind the same neighbour.
    const turn = round % Math.max(lanes.length, 1);
    for (const lane of [...lanes.slice(turn), ...lanes.slice(0, turn)]) {
      if (lane.result.error) continue;
      const one = await sample(lane, options.seconds);
      if (one.error) lane.result.error = `round ${round + 1}, twice: ${one.error}`;
      else lane.result.samples.push(one);
      const said = one.error ?? `${one.rate.toFixed(0)}/s, p50 ${one.p50} µs, p99 ${one.p99} µs`;
      console.error(`${work.name} round ${round + 1}/${options.rounds} ${lane.target.name}: ${said}`);
    }
  }
  for (const lane of lanes) if (lane.running) await stop(lane.running);
  for (const child of upstream.children) await stop(child);
}

async function main() {
  const options = readOptions();
  if (!hasWrk) throw new Error("wrk is missing, install it first: apt-get install wrk");
  const notes = [];
  if (!canPin)
    notes.push(
      `not pinned: taskset or a second core is missing (${availableParallelism()} usable), so all share the cores`,
    );
  if (loadavg()[0] > 0.5) notes.push(`the machine was not idle at the start: load ${loadavg()[0].toFixed(1)}`);
  for (const { name, missing } of options.targets) if (missing) notes.push(`${name} is left out: ${missing}`);
  options.targets = options.targets.filter((target) => !target.missing);
  for (const note of notes) console.error(note);

  const results = new Map(options.targets.map((target) => [target.name, {}]));
  for (const work of options.works) await measure(work, options, results);

  const text = report({ works: options.works, results, notes, options });
  const folder = join(import.meta.dirname, "results");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, options.runtime === "node" ? "latest.md" : `${options.runtime}.md`), text);
  console.log(`\n${text}`);
  const invalid = [...results.values()].some((byWork) => Object.values(byWork).some((result) => result.error));
  process.exit(invalid ? 1 : 0);
}

main().catch((error) => {
  console.error(anonymous(error.message));
  if (error.code?.startsWith("ERR_PARSE_ARGS") || error.message.startsWith("-")) console.error(usage);
  process.exit(1);
});
