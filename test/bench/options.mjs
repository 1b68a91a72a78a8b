// The command line of `npm run bench`.
import { parseArgs } from "node:util";
import { mostStreams } from "./idle.mjs";
import { hasNginx } from "./nginx.mjs";
import { chooseRuntimes, runtimes } from "./runtimes.mjs";
import { chooseTargets } from "./targets.mjs";
import { workloads } from "./workloads.mjs";

export const usage = `node test/bench/run.mjs [--work W1,W3,latency] [--targets direct,floor,…] [--rounds 7] [--seconds 2] [--quick]
                        [--runtime node|node24|bun|deno|all]   what floor and Penstock run on; several: a list
                        [--upstream auto|node|nginx]   auto = nginx where it is installed and has the answer
                        [--variants no-op]   plugins: only those whose name contains this
                        [--streams 5000]   W5
                        [--out name]   name of the files in results/; a run of a part is only printed without it`;

function count(text, fallback) {
  const value = Number(text ?? fallback);
  if (!Number.isInteger(value) || value < 1) throw new Error(`not a count: ${text}`);
  return value;
}

/** One row per target and runtime. `floor` is the row that it is compared with. */
function rowsFor(targets, names) {
  const several = names.length > 1;
  const nameOn = (target, runtime) => (several ? `${target} (${runtimes[runtime].title})` : target);
  return targets.flatMap((target) => {
    if (!target.runtimes) return [{ name: target.name, target, runtime: names[0], floor: nameOn("floor", names[0]) }];
    const fit = target.runtimes === "all" ? names : names.filter((name) => name.startsWith("node"));
    return fit.map((runtime) => ({
      name: nameOn(target.name, runtime),
      target,
      runtime,
      floor: nameOn("floor", runtime),
    }));
  });
}

function worksFor(text, several, targets) {
  const names = text?.split(",").map((name) => name.trim().toLowerCase());
  // Side by side the runtimes are compared in the works that have a bar; all ten on four of them would take hours.
  // What plugins cost is measured with variants of the library, so a choice of targets leaves it out.
  const fallback = (work) => (several ? /^W[1-4]$/.test(work.name) : !targets || work.group !== "plugins");
  const works = workloads.filter((work) => (names ? names.includes(work.name.toLowerCase()) : fallback(work)));
  if (names && works.length !== names.length)
    throw new Error(`--work knows ${workloads.map((work) => work.name).join(", ")}`);
  return works.map((work) => ({ ...work }));
}

/** Files in `results/` of a whole run. */
function nameOf(names) {
  if (names.length > 1) return "runtimes";
  return names[0] === "node" ? "latest" : names[0];
}

/** Reads the command line; throws with a message for people. */
export function readOptions() {
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
      variants: string,
      streams: string,
      out: string,
    },
  });
  const names = chooseRuntimes(values.runtime);
  const upstream = values.upstream ?? "auto";
  if (!["auto", "node", "nginx"].includes(upstream)) throw new Error(`--upstream ${upstream}?`);
  if (upstream === "nginx" && !hasNginx) throw new Error("--upstream nginx: nginx is not installed");
  const works = worksFor(values.work, names.length > 1, values.targets);
  const byDefault = names.length > 1 && !values.targets ? "direct,nginx,floor,bare,standard" : values.targets;
  const isPart = [values.work, values.targets, values.variants, values.streams].some(Boolean);
  return {
    works,
    rows: rowsFor(chooseTargets(byDefault), names),
    rounds: count(values.rounds, values.quick ? 3 : 7),
    seconds: count(values.seconds, values.quick ? 1 : 2),
    streams: Math.min(count(values.streams, 5000), mostStreams()),
    variants: values.variants,
    upstream,
    runtimes: names,
    out: values.out ?? (isPart ? undefined : nameOf(names)),
  };
}
