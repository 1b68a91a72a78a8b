// `npm run bench`: measures the targets against each other, see README.md in this folder.
import { mkdirSync, writeFileSync } from "node:fs";
import { availableParallelism, loadavg } from "node:os";
import { join } from "node:path";
import { chart } from "./report/charts.mjs";
import { measureIdle } from "./idle.mjs";
import { measureMarginal } from "./marginal.mjs";
import { measure, rowsOf } from "./measure.mjs";
import { readOptions, usage } from "./options.mjs";
import { installPeers } from "./peers.mjs";
import { anonymous, canPin } from "./processes.mjs";
import { pluginLines } from "./report/plugins.mjs";
import { report } from "./report/report.mjs";
import { measureSessions } from "./sessions.mjs";
import { hasWrk } from "./loads/wrk.mjs";

/** Works that are not measured by taking turns. */
const ways = { idle: measureIdle, sessions: measureSessions };

/** What keeps targets from running here; they leave the table with a note. */
function leaveOut(options) {
  const used = options.rows.filter((row) => options.works.some((work) => row.target.works.includes(work.name)));
  const noPeers = used.some(({ target }) => target.peer) ? installPeers() : undefined;
  const missing = ({ target }) => target.missing ?? (target.peer ? noPeers : undefined);
  options.rows = used.filter((row) => !missing(row));
  return used.filter(missing).map((row) => `${row.name} is left out: ${missing(row)}`);
}

function notesOn(options) {
  const notes = leaveOut(options);
  if (!canPin)
    notes.push(
      `not pinned: taskset or a second core is missing (${availableParallelism()} usable), so all share the cores`,
    );
  if (loadavg()[0] > 0.5) notes.push(`the machine was not idle at the start: load ${loadavg()[0].toFixed(1)}`);
  for (const note of notes) console.error(note);
  return notes;
}

function save(out, text, picture) {
  const folder = join(import.meta.dirname, "results");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${out}.md`), text);
  if (picture) writeFileSync(join(folder, `${out}.svg`), picture);
}

async function main() {
  const options = readOptions();
  if (!hasWrk) throw new Error("wrk is missing, install it first: apt-get install wrk");
  const notes = notesOn(options);
  const { works } = options;
  const results = new Map(options.rows.map((row) => [row.name, {}]));
  let plugins;
  for (const work of works) {
    if (work.group === "plugins") plugins = await measureMarginal(options);
    else if (rowsOf(work, options).length === 0) console.error(`${work.name}: none of the targets takes part in it`);
    else await (ways[work.group] ?? measure)(work, options, results);
  }
  const text = report({ works, results, plugins: pluginLines(plugins), notes, options });
  if (options.out) save(options.out, text, chart({ works, results, options, cores: availableParallelism() }));
  console.log(`\n${text}`);
  const failed = [...results.values()].some((byWork) => Object.values(byWork).some((result) => result.error));
  process.exit(failed || plugins?.some((one) => one.error) ? 1 : 0);
}

main().catch((error) => {
  console.error(anonymous(error.message));
  if (error.code?.startsWith("ERR_PARSE_ARGS") || error.message.startsWith("-")) console.error(usage);
  process.exit(1);
});
