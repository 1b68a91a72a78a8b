/** `npm run fuzz`: options, progress, the report, and the exit code. */
import { parseArgs } from "node:util";
import type { RuntimeName } from "../_harness/runtimes.ts";
import { fuzz } from "./fuzzer.ts";
import { startChildren, startInProcess } from "./lanes.ts";
import { startServer } from "./server.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 1e9)) },
    cases: { type: "string" },
    runtime: { type: "string" },
    parallel: { type: "string", default: "24" },
    most: { type: "string", default: "5" },
  },
});

const server = await startServer();
const proxies =
  values.runtime === undefined
    ? await startInProcess(server.url)
    : await startChildren(server.url, values.runtime as RuntimeName);
const seed = Number(values.seed);
console.log(`fuzzing from seed ${seed} for ${values.seconds} s${values.runtime ? ` on ${values.runtime}` : ""}`);
const report = await fuzz({
  seed,
  seconds: Number(values.seconds),
  cases: values.cases === undefined ? undefined : Number(values.cases),
  parallel: Number(values.parallel),
  most: Number(values.most),
  server,
  ports: proxies.ports,
});
for (const { seed, lane, direction, text, again, simpler } of report.failures) {
  const how = [
    again ? "fails again alone" : "did not fail again alone",
    simpler ? "and in one write each" : "but not in one write each",
  ];
  console.log(
    `\nseed ${seed}, ${direction}, lane ${lane}: ${text}\n  ${how.join(" ")}\n  again: npm run fuzz -- --seed ${seed} --cases 1${values.runtime ? ` --runtime ${values.runtime}` : ""}`,
  );
}
const accidents = [...proxies.accidents()];
if (report.failures.length === 0) {
  const { leftOpen } = await import("./leaks.ts");
  accidents.push(...(await leftOpen(proxies, server)));
}
for (const text of accidents) console.log(`\n${text}`);
console.log(
  `\n${report.cases} cases in ${(report.ms / 1000).toFixed(1)} s (${Math.round((report.cases / report.ms) * 1000)}/s), ${report.failures.length} failed`,
);
await proxies.close();
await server.close();
process.exitCode = report.failures.length + accidents.length > 0 ? 1 : 0;
