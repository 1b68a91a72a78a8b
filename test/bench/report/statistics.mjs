// Medians, spreads and how numbers are written.

/** Spread above which a figure is marked with `~`: such a number needs another run. */
const tooWide = 0.3;

export function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Median and range of one figure of all samples; nothing when a sample does not have it. */
export function spread(samples, name) {
  const values = samples.map((sample) => sample[name]);
  if (values.length === 0 || values.some((value) => !Number.isFinite(value))) return;
  const [middle, low, high] = [median(values), Math.min(...values), Math.max(...values)];
  return { middle, low, high, wide: (high - low) / middle > tooWide };
}

export function short(value) {
  if (value >= 10_000) return `${(value / 1000).toFixed(1)}k`;
  return value >= 100 ? value.toFixed(0) : value.toFixed(1);
}

/** `~median (min–max)`. */
export function written(figure, format = short) {
  if (!figure) return "–";
  return `${figure.wide ? "~" : ""}${format(figure.middle)} (${format(figure.low)}–${format(figure.high)})`;
}

/** A table with aligned columns: it is read in the terminal too, and the formatter leaves it as it is. */
export function table(rows) {
  const widths = rows[0].map((_, column) => Math.max(3, ...rows.map((row) => row[column].length)));
  const lines = rows.map((row) => `| ${row.map((text, column) => text.padEnd(widths[column])).join(" | ")} |`);
  lines.splice(1, 0, `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`);
  return lines;
}
