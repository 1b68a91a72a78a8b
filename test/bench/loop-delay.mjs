// Preloaded into targets that run JavaScript: SIGUSR2 prints how late the event loop was since the last SIGUSR2.
import { monitorEventLoopDelay } from "node:perf_hooks";

const resolution = 10;
const histogram = monitorEventLoopDelay({ resolution });
histogram.enable();
// Node counts from one sample to the next, so an idle loop shows the resolution itself; Bun and Deno count the delay.
const idle = process.versions.bun || process.versions.deno ? 0 : resolution * 1e6;

process.on("SIGUSR2", () => {
  const micros = Math.max(0, Math.round((histogram.percentile(99) - idle) / 1000));
  process.stdout.write(`LOOP ${micros}\n`);
  histogram.reset();
});
