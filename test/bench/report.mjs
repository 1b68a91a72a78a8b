// Samples in, Markdown out.
import { cpus } from "node:os";
import { anonymous } from "./processes.mjs";

/** Spread above which a cell is marked with `~`: such a number needs another run. */
const tooWide = 0.3;
/** An upstream slower than this many floors would itself be part of what is measured. */
const headroom = 2.5;

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function short(rate) {
  if (rate >= 10_000) return `${(rate / 1000).toFixed(1)}k`;
  return rate >= 100 ? rate.toFixed(0) : rate.toFixed(1);
}

function summarise(samples) {
  const rates = samples.map((sample) => sample.rate);
  const [middle, low, high] = [median(rates), Math.min(...rates), Math.max(...rates)];
  const p = (name) => median(samples.map((sample) => sample[name]));
  return { middle, low, high, wide: (high - low) / middle > tooWide, p50: p("p50"), p99: p("p99") };
}

function cell(result, floor, work) {
  if (!result) return "";
  if (result.error) return "invalid";
  const { middle, low, high, wide, p50, p99 } = summarise(result.samples);
  const ratio =
    floor?.samples?.length && !floor.error ? ` **${(middle / summarise(floor.samples).middle).toFixed(2)}×**` : "";
  const latency = work.latency ? `, p50 ${p50} µs, p99 ${p99} µs` : "";
  return `${wide ? "~" : ""}${short(middle)} (${short(low)}–${short(high)})${ratio}${latency}`;
}

/** A table with aligned columns: it is read in the terminal too, and the formatter leaves it as it is. */
function table(rows) {
  const widths = rows[0].map((_, column) => Math.max(3, ...rows.map((row) => row[column].length)));
  const lines = rows.map((row) => `| ${row.map((text, column) => text.padEnd(widths[column])).join(" | ")} |`);
  lines.splice(1, 0, `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`);
  return lines;
}

/** Warnings where direct / floor is too small for the floor to be the limit. */
function upstreamNotes(works, results) {
  return works.flatMap((work) => {
    const direct = results.get("direct")?.[work.name];
    const floor = results.get("floor")?.[work.name];
    if (work.latency || !direct?.samples.length || !floor?.samples.length) return [];
    const factor = summarise(direct.samples).middle / summarise(floor.samples).middle;
    const verdict =
      factor < headroom ? `below ${headroom}: upstream and load generator are part of the limit` : "enough";
    return [`- ${work.name}: upstream ${work.upstream}, direct is ${factor.toFixed(1)} × floor (${verdict})`];
  });
}

/**
 * The whole report.
 * @param {object} run
 * @param {object[]} run.works workloads, each with the `upstream` that served it
 * @param {Map<string, Record<string, { samples: object[], error?: string }>>} run.results by target, then workload
 * @param {string[]} run.notes
 * @param {{ rounds: number, seconds: number }} run.options
 */
export function report({ works, results, notes, options }) {
  const rows = [...results].map(([name, byWork]) => {
    const cells = works.map((work) => cell(byWork[work.name], results.get("floor")?.[work.name], work));
    return [name, ...cells];
  });
  const errors = [...results].flatMap(([name, byWork]) =>
    Object.entries(byWork)
      .filter(([, result]) => result.error)
      .map(([work, result]) => `- ${name}, ${work}: ${anonymous(result.error)}`),
  );
  const head = works.map(
    (work) => `${work.name}: ${work.title}${work.connections > 1 ? ` (${work.connections} conn.)` : ""}`,
  );
  const date = new Date().toISOString().slice(0, 10);
  return [
    `${date}, ${options.runtime === "node" ? `Node ${process.versions.node}` : options.runtime}, ${cpus().length} cores, ${cpus()[0]?.model.trim()}; ${options.rounds} rounds of ${options.seconds} s.`,
    "Cells: median (min–max) **ratio to floor**; `~` = range wider than 30 % of the median.",
    "",
    ...table([["target", ...head], ...rows]),
    "",
    ...upstreamNotes(works, results),
    ...notes.map((note) => `- ${note}`),
    ...(errors.length > 0 ? ["", "Errors:", "", ...errors] : ["- no errors"]),
    "",
  ].join("\n");
}
