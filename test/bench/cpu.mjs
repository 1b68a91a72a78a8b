// What a process has used so far, from /proc; nothing where there is none (macOS).
import { spawn, spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

/** CPU time of all threads in microseconds. The scheduler's own count is in nanoseconds, `stat` only in ticks of 10 ms. */
export function cpuMicros(pid) {
  try {
    let nanoseconds = 0;
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const [running] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ");
      nanoseconds += Number(running);
    }
    return nanoseconds / 1000;
  } catch {
    return undefined;
  }
}

/** How long the main thread has wanted the core: it ran, or waited because something else did. In microseconds. */
export function wantedMicros(pid) {
  try {
    const [ran, waited] = readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ");
    return (Number(ran) + Number(waited)) / 1000;
  } catch {
    return undefined;
  }
}

/** Resident memory in KB. */
export function residentKilobytes(pid) {
  try {
    return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
  } catch {
    return undefined;
  }
}

const event = "instructions:u";

/** Whether `perf` can count instructions here: many virtual machines have no such counter. */
export const hasInstructions = countIn(spawnSync("perf", ["stat", "-x,", "-e", event, "true"]).stderr) > 0;

/** perf's CSV: value, unit, event, … ; the value is `<not supported>` where there is no counter. */
function countIn(output) {
  const line = `${output ?? ""}`.split("\n").find((line) => line.includes(event));
  return line ? Number(line.split(",")[0]) || 0 : 0;
}

/** Counts the user-space instructions of a process while `work` runs. */
export async function withInstructions(pid, work) {
  if (!hasInstructions) return { result: await work() };
  const perf = spawn("perf", ["stat", "-x,", "-e", event, "-p", `${pid}`], { stdio: ["ignore", "ignore", "pipe"] });
  let output = "";
  perf.stderr.on("data", (data) => (output += data));
  const closed = new Promise((done) => perf.on("close", done).on("error", done));
  const result = await work();
  perf.kill("SIGINT");
  await closed;
  return { result, instructions: countIn(output) || undefined };
}
