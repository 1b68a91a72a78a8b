// The section on what plugins cost.
import { hasInstructions } from "../cpu.mjs";
import { spread, table } from "./statistics.mjs";

/** 20 plugins with an empty hook each way may cost this share of W1. */
const allowed = 0.08;

const signed = (share) => `${share < 0 ? "−" : "+"}${Math.abs(share * 100).toFixed(1)} %`;

/** By how much a figure differs from that of the base, round by round. */
function change(pairs, name) {
  return spread(
    pairs.map(({ own, base }) => ({ share: own[name] / base[name] - 1 })),
    "share",
  );
}

function cell(figure) {
  return figure ? `${signed(figure.middle)} (${signed(figure.low)} to ${signed(figure.high)})` : "–";
}

/** Lines for the report; none where nothing was measured. */
export function pluginLines(results) {
  if (!results) return [];
  const measures = [
    ["requests/s", "rate"],
    ["CPU per request", "cpu"],
    ...(hasInstructions ? [["instructions per request", "instructions"]] : []),
  ];
  const lines = results.map(({ name, base, work, pairs, error }) => [
    work,
    name,
    base,
    ...measures.map(([, figure]) => (error ? "invalid" : cell(change(pairs, figure)))),
  ]);
  const twenty = results.find(({ name, work }) => name === "standard + 20 no-op" && work === "W1");
  const cost = twenty && !twenty.error ? change(twenty.pairs, hasInstructions ? "instructions" : "cpu") : undefined;
  const verdict = cost && (cost.middle <= allowed ? "within" : "above");
  return [
    "**Plugins**, change against the base in the same round, median (min to max); less than about 3 % of CPU says nothing:",
    "",
    ...table([["work", "variant", "base", ...measures.map(([title]) => title)], ...lines]),
    "",
    ...(cost
      ? [
          `- 20 plugins with an empty hook each way: ${signed(cost.middle)}, ${verdict} the ${allowed * 100} % that they may cost`,
        ]
      : []),
    ...(hasInstructions ? [] : ["- instructions were not counted: `perf stat -e instructions:u` does not work here"]),
    ...results.filter(({ error }) => error).map(({ name, work, error }) => `- ${name}, ${work}: ${error}`),
  ];
}
