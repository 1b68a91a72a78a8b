// Where the time goes: one target under `node --cpu-prof` with one workload, then its functions by self time.
//   node test/bench/profile.mjs standard [--work W1|bridge|…] [--seconds 5] [--top 25] [--save target.cpuprofile]
import { copyFileSync, mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { openLane, startUpstream } from "./lane.mjs";
import { hasNginx, nginxKinds } from "./nginx.mjs";
import { anonymous, folder } from "./processes.mjs";
import { chooseTargets } from "./targets.mjs";
import { workloads } from "./workloads.mjs";
import { load } from "./loads/loads.mjs";
import { hasWrk } from "./loads/wrk.mjs";

/** Self time by function in microseconds, without the time in which nothing ran. */
function selfTimes({ nodes, samples, timeDeltas }) {
  const byNode = new Map();
  for (const [i, id] of samples.entries()) byNode.set(id, (byNode.get(id) ?? 0) + timeDeltas[i]);
  const byFunction = new Map();
  let total = 0;
  for (const { id, callFrame } of nodes) {
    const time = byNode.get(id) ?? 0;
    if (time === 0 || callFrame.functionName === "(idle)") continue;
    total += time;
    const place = callFrame.url ? `${anonymous(callFrame.url)}:${callFrame.lineNumber + 1}` : "";
    const key = `${callFrame.functionName || "(anonymous)"}\t${place}`;
    byFunction.set(key, (byFunction.get(key) ?? 0) + time);
  }
  return { total, rows: [...byFunction].toSorted((a, b) => b[1] - a[1]) };
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      work: { type: "string", default: "W1" },
      seconds: { type: "string", default: "5" },
      top: { type: "string", default: "25" },
      save: { type: "string" },
    },
  });
  if (!hasWrk) throw new Error("wrk is missing, install it first: apt-get install wrk");
  const [target] = chooseTargets(positionals[0] ?? "standard");
  const known = workloads.filter(({ load: kind = "wrk" }) => kind === "wrk" || kind === "mcp");
  const work = known.find((one) => one.name.toLowerCase() === values.work.toLowerCase());
  if (!work) throw new Error(`--work knows ${known.map((one) => one.name).join(", ")}`);

  const profiles = mkdtempSync(join(folder, "profile-"));
  // V8 writes the profile on a regular exit. A signal of our own gives one without the target's own way of shutting down.
  const exit = "data:text/javascript,process.on('SIGUSR2',()=>process.exit(0))";
  const flags = ["--cpu-prof", `--cpu-prof-dir=${profiles}`, "--cpu-prof-interval=500", `--import=${exit}`];
  const upstream = await startUpstream(work.kind, hasNginx && nginxKinds.includes(work.kind));
  const lane = await openLane(target, upstream.url, work, "node", ({ command, args }) => {
    if (command !== process.execPath) throw new Error(`${target.name} is not a Node program`);
    return { command, args: [...flags, ...args] };
  });
  if (!lane.running) throw new Error(`${target.name} has no process of its own`);
  const { rate, error } = await load({
    ...work,
    url: lane.url,
    session: lane.session,
    transport: target.transport,
    seconds: Number(values.seconds),
  });
  lane.running.child.kill("SIGUSR2");
  await lane.running.exit;

  const [file] = readdirSync(profiles);
  if (!file) throw new Error("the target wrote no profile");
  if (values.save) copyFileSync(join(profiles, file), values.save);
  const { total, rows } = selfTimes(JSON.parse(readFileSync(join(profiles, file), "utf8")));
  console.log(
    `${target.name}, ${work.name}: ${error ?? `${rate.toFixed(0)}/s`} under the profiler; busy ${(total / 1e6).toFixed(1)} s, start-up included`,
  );
  for (const [key, time] of rows.slice(0, Number(values.top))) {
    const [name, place] = key.split("\t");
    console.log(`${((100 * time) / total).toFixed(1).padStart(5)} %  ${name.padEnd(32)} ${place}`);
  }
  process.exit(0);
}

main().catch((error) => {
  console.error(anonymous(error.message));
  process.exit(1);
});
