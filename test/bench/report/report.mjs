// Samples in, Markdown out.
import { availableParallelism, cpus } from "node:os";
import { anonymous } from "../processes.mjs";
import { described } from "../runtimes.mjs";
import { short, spread, table, written } from "./statistics.mjs";

/** An upstream slower than this many floors would itself be part of what is measured. */
const headroom = 2.5;
/** A proxy whose main thread wanted the core for less of the time than this was not the limit. */
const saturated = 0.85;

const milliseconds = (micros) => `${(micros / 1000).toFixed(1)} ms`;

/** The figure by which a work is compared, over the same of the reference row: above 1 is better than it, for times too. */
export function ratio(result, reference, work) {
  if (!result?.samples.length || result.error || !reference?.samples.length || reference.error) return;
  const name = work.latency ? "p50" : "rate";
  const [own, other] = [spread(result.samples, name).middle, spread(reference.samples, name).middle];
  return work.latency ? other / own : own / other;
}

function relayCell(result, floor, work) {
  if (!result) return "";
  if (result.error) return "invalid";
  const { samples } = result;
  const times = ratio(result, floor, work);
  const compared = times === undefined ? "" : ` **${times.toFixed(2)}×**`;
  if (!work.latency) return `${written(spread(samples, "rate"))}${compared}`;
  const loop = spread(samples, "loop");
  const pace = spread(samples, "pace");
  return [
    `${written(spread(samples, "p50"), (micros) => micros.toFixed(0))}${compared}`,
    `p99 ${short(spread(samples, "p99").middle)}`,
    loop && `loop p99 ${milliseconds(loop.middle)}`,
    pace && `at ${short(pace.middle)}/s`,
  ]
    .filter(Boolean)
    .join(", ");
}

/** Warnings where direct / floor is too small for the floor to be the limit. */
function upstreamNotes(works, results, floor) {
  return works.flatMap((work) => {
    const factor = work.latency
      ? undefined
      : ratio(results.get("direct")?.[work.name], results.get(floor)?.[work.name], work);
    if (factor === undefined) return [];
    const verdict =
      factor < headroom ? `below ${headroom}: upstream and load generator are part of the limit` : "enough";
    return [`- ${work.name}: upstream ${work.upstream}, direct is ${factor.toFixed(1)} × floor (${verdict})`];
  });
}

function relaySection(works, rows, results) {
  const shown = rows.filter(({ name }) => works.some((work) => results.get(name)[work.name]));
  const head = works.map(
    (work) =>
      `${work.name}: ${work.title}${work.connections > 1 && work.load !== "paced" ? ` (${work.connections} conn.)` : ""}`,
  );
  const lines = shown.map(({ name, floor }) => [
    name,
    ...works.map((work) => relayCell(results.get(name)[work.name], results.get(floor)?.[work.name], work)),
  ]);
  const cost = shown
    .map(({ name }) => [name, ...works.map((work) => results.get(name)[work.name]?.samples ?? [])])
    .map(([name, ...all]) => [name, ...all.map((samples) => written(spread(samples, "cpu")))])
    .filter(([, ...cells]) => cells.some((cell) => cell !== "–"));
  return [
    "Cells: median (min–max) **ratio to the floor of the same runtime**, above 1 is better; `~` = range wider than 30 % of the median.",
    "",
    ...table([["target", ...head], ...lines]),
    "",
    ...upstreamNotes(works, results, rows[0]?.floor),
    ...(cost.length > 0 ? ["", "CPU time of the target per request, µs:", ""] : []),
    ...(cost.length > 0 ? table([["target", ...works.map(({ name }) => name)], ...cost]) : []),
  ];
}

function idleSection([work], rows, results, { streams }) {
  const lines = rows.flatMap(({ name }) => {
    const result = results.get(name)[work.name];
    if (!result) return [];
    if (result.error) return [[name, "invalid", "", "", "", ""]];
    const times = spread(result.samples, "ratio");
    const cell = (figure, format) => written(spread(result.samples, figure), format);
    return [
      [name, cell("kilobytes"), cell("openRate"), cell("before"), cell("during"), `**${times.middle.toFixed(2)}×**`],
    ];
  });
  return [
    `**W5**, ${streams} idle event streams through each target:`,
    "",
    ...table([["target", "KB per stream", "opened/s", "W1/s before", "W1/s with them open", "ratio"], ...lines]),
  ];
}

function mcpSection(works, rows, results) {
  return works.flatMap((work) => [...mcpTable(work, rows, results), ""]);
}

/** One table for each work. The first row of Penstock in it is what the others are compared with. */
function mcpTable(work, rows, results) {
  const own = rows.filter(({ name }) => results.get(name)[work.name]);
  const reference = own.find(({ target }) => target.name.startsWith("standard"));
  const lines = own.map(({ name, target }) => {
    const result = results.get(name)[work.name];
    const remark = target.remark ?? "";
    if (result.error) return [name, "invalid", "", "", "", "", remark];
    const times = ratio(results.get(reference?.name)?.[work.name], result, work);
    const busy = spread(result.samples, "busy");
    const limit = busy && busy.middle < saturated ? "the server behind or the load" : "the proxy";
    return [
      name,
      written(spread(result.samples, "rate")),
      times === undefined ? "" : `${times.toFixed(1)}×`,
      `${short(spread(result.samples, "p50").middle)} / ${short(spread(result.samples, "p99").middle)}`,
      busy ? `${written(spread(result.samples, "cpu"))}, ${Math.round(busy.middle * 100)} %` : "–",
      target.start ? limit : "the server and the load",
      remark,
    ];
  });
  const compared = `${reference?.target.name ?? "standard"} is`;
  const head = ["target", "calls/s", compared, "p50 / p99 µs", "CPU µs per call, busy", "limit", "what it does"];
  const behind = work.name === "stdio" ? "one canned server over stdio" : "a canned server";
  return [
    `**${work.name === "stdio" ? "MCP over stdio" : "MCP"}**, tools/call in a session with ids of their own, ${work.connections} at a time, in front of ${behind}:`,
    "",
    ...table([head, ...lines]),
  ];
}

/** What a call costs between a client of one era and a server of the other; each direction beside the relay for the same client. */
function bridgeSection(works, rows, results) {
  return works.flatMap((work) => {
    const own = rows.filter(({ name }) => results.get(name)[work.name]);
    const lines = own.map((row) => {
      const result = results.get(row.name)[work.name];
      if (result.error) return [row.name, "invalid", "", "", ""];
      const relay = own.find(({ target, runtime }) => target.name === row.target.relay && runtime === row.runtime);
      const times = relay && ratio(result, results.get(relay.name)[work.name], work);
      return [
        row.name,
        written(spread(result.samples, "rate")),
        short(spread(result.samples, "p50").middle),
        written(spread(result.samples, "cpu")),
        times === undefined ? "the relay" : `${times.toFixed(2)}× of ${relay.name}`,
      ];
    });
    return [
      `**Between eras**, tools/call, ${work.connections} at a time, client to server:`,
      "",
      ...table([["client to server", "calls/s", "p50 µs", "CPU µs per call", "calls/s are"], ...lines]),
      "",
    ];
  });
}

function sessionsSection([work], rows, results) {
  const lines = rows.flatMap(({ name }) => {
    const result = results.get(name)[work.name];
    if (!result) return [];
    if (result.error) return [[name, "invalid", "", "", ""]];
    const cell = (figure) => written(spread(result.samples, figure));
    return [[name, cell("own"), cell("below"), cell("processes"), cell("rate")]];
  });
  return [
    `**Sessions**, ${work.connections} with a stdio server, each with one call:`,
    "",
    ...table([
      ["target", "KB of the proxy per session", "KB of its processes per session", "processes per session", "opened/s"],
      ...lines,
    ]),
  ];
}

const sections = {
  relay: relaySection,
  idle: idleSection,
  mcp: mcpSection,
  bridge: bridgeSection,
  sessions: sessionsSection,
};

/**
 * The whole report.
 * @param {object} run
 * @param {object[]} run.works workloads, each with the `upstream` that served it
 * @param {Map<string, Record<string, { samples: object[], error?: string }>>} run.results by row, then workload
 * @param {string[]} run.plugins lines of the section on plugins
 * @param {string[]} run.notes
 * @param {object} run.options
 */
export function report({ works, results, plugins, notes, options }) {
  const all = [...results].flatMap(([name, byWork]) =>
    Object.entries(byWork).map(([work, result]) => ({ at: `${name}, ${work}`, ...result })),
  );
  const errors = all.filter(({ error }) => error).map(({ at, error }) => `- ${at}: ${anonymous(error)}`);
  const repeated = all
    .filter(({ error, failures }) => !error && failures.length > 0)
    .map(
      ({ at, failures }) =>
        `- ${at}: ${failures.length} × invalid, started anew and repeated: ${anonymous(failures[0])}`,
    );
  const body = Object.entries(sections).flatMap(([group, section]) => {
    const own = works.filter((work) => work.group === group);
    return own.length > 0 ? [...section(own, options.rows, results, options), ""] : [];
  });
  const date = new Date().toISOString().slice(0, 10);
  const on = options.runtimes.map(described).join(", ");
  return [
    `${date}, ${on}, ${availableParallelism?.() ?? cpus().length} cores; ${options.rounds} rounds of ${options.seconds} s.`,
    "",
    ...body,
    ...plugins,
    ...notes.map((note) => `- ${note}`),
    ...repeated,
    ...(errors.length > 0 ? ["", "Errors:", "", ...errors] : ["- no errors"]),
    "",
  ].join("\n");
}
