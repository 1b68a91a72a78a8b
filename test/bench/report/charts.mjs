// Which charts a run gives, and what stands in them.
import { barChart } from "./chart.mjs";
import { ratio } from "./report.mjs";
import { described } from "../runtimes.mjs";
import { short, spread } from "./statistics.mjs";

const ours = new Set(["bare", "standard"]);

function kindOf({ target }) {
  if (ours.has(target.name)) return "ours";
  return target.name === "floor" ? "floor" : "other";
}

function measured(row, work, results) {
  const result = results.get(row.name)[work.name];
  return result?.samples.length && !result.error ? result : undefined;
}

/** Ratios to the floor. `direct` is no relay and so far above them that it would flatten all other bars. */
function relayPanel(work, { rows }, results) {
  const bars = rows.flatMap((row) => {
    const result = row.target.start && measured(row, work, results);
    const value = result && ratio(result, results.get(row.floor)?.[work.name], work);
    if (value === undefined) return [];
    const own = spread(result.samples, work.latency ? "p50" : "rate");
    const scale = (figure) => (work.latency ? (value * own.middle) / figure : (value * figure) / own.middle);
    const [low, high] = work.latency ? [scale(own.high), scale(own.low)] : [scale(own.low), scale(own.high)];
    const label = `${value.toFixed(2)}× · ${short(own.middle)}${work.latency ? " µs" : "/s"}`;
    return [{ name: row.name, kind: kindOf(row), value, low, high, label }];
  });
  return {
    title: `${work.name}: ${work.title}`,
    unit: "× floor of the same runtime, longer is better",
    reference: 1,
    bars,
  };
}

function mcpPanel(work, { rows }, results) {
  const bars = rows.flatMap((row) => {
    const result = row.target.start && measured(row, work, results);
    if (!result) return [];
    const { middle, low, high } = spread(result.samples, "rate");
    return [{ name: row.name, kind: kindOf(row), value: middle, low, high, label: `${short(middle)} calls/s` }];
  });
  return {
    title: work.name === "stdio" ? "MCP proxies for one stdio server" : "MCP proxies: tools/call in a session",
    unit: "calls/s, longer is better",
    bars,
  };
}

function idlePanel(work, { rows, streams }, results) {
  const bars = rows.flatMap((row) => {
    const result = measured(row, work, results);
    if (!result) return [];
    const { middle, low, high } = spread(result.samples, "kilobytes");
    return [{ name: row.name, kind: kindOf(row), value: middle, low, high, label: `${middle.toFixed(1)} KB` }];
  });
  return {
    title: `${work.name}: memory, ${streams} idle event streams`,
    unit: "KB per stream, shorter is better",
    bars,
  };
}

const panels = { relay: relayPanel, mcp: mcpPanel, idle: idlePanel };

/** The chart of a run, or nothing where no bar can be drawn. */
export function chart({ works, results, options, cores }) {
  const drawn = works
    .filter((work) => work.group in panels)
    .map((work) => panels[work.group](work, options, results))
    .filter((panel) => panel.bars.length > 0);
  if (drawn.length === 0) return;
  const on = options.runtimes.map(described).join(", ");
  const subtitle = `${on}, ${cores} cores, proxy on one of them; medians of ${options.rounds} rounds of ${options.seconds} s, thin lines from lowest to highest.`;
  return barChart({ title: "Penstock and other relays", subtitle, panels: drawn });
}
