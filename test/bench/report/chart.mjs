// Bar charts as SVG, by hand: no dependency, light, readable at the width of a page.

const width = 960;
const columns = 2;
const margin = { side: 24, top: 84, bottom: 20 };
const panel = { gap: 40, head: 34, bar: 17, step: 25, foot: 24, letter: 6.8, value: 108 };
const ink = { text: "#1f2933", quiet: "#616e7c", line: "#cbd2d9", ours: "#0b7285", other: "#a9b8c4", floor: "#495057" };

const escape = (text) => `${text}`.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

function text(x, y, content, { size = 12, fill = ink.text, anchor = "start", weight = "normal", halo } = {}) {
  const outline = halo ? ' stroke="#ffffff" stroke-width="4" paint-order="stroke"' : "";
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" font-size="${size}" fill="${fill}" text-anchor="${anchor}" font-weight="${weight}"${outline}>${escape(content)}</text>`;
}

function line(x1, y1, x2, y2, stroke, more = "") {
  return `<line x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}" stroke="${stroke}"${more}/>`;
}

function height({ bars }) {
  return panel.head + bars.length * panel.step + panel.foot;
}

function drawPanel({ title, unit, reference, bars }, left, top, wide) {
  const label = 12 + panel.letter * Math.max(...bars.map((bar) => bar.name.length));
  const from = left + label;
  const room = wide - label - panel.value;
  const most = Math.max(reference ?? 0, ...bars.map((bar) => bar.high ?? bar.value)) || 1;
  const x = (value) => from + (room * value) / most;
  const bottom = top + panel.head + bars.length * panel.step;
  const parts = [text(left, top + 14, title, { size: 14, weight: "bold" })];
  parts.push(line(from, top + panel.head - 6, from, bottom, ink.line));
  if (reference !== undefined) {
    const at = x(reference);
    parts.push(line(at, top + panel.head - 6, at, bottom, ink.floor, ' stroke-dasharray="4 3"'));
  }
  for (const [index, bar] of bars.entries()) {
    const y = top + panel.head + index * panel.step;
    const middle = y + panel.bar / 2 + 4;
    const fill = ink[bar.kind] ?? ink.other;
    const weight = bar.kind === "ours" ? "bold" : "normal";
    parts.push(text(from - 8, middle, bar.name, { anchor: "end", weight }));
    parts.push(
      `<rect x="${from.toFixed(1)}" y="${y}" width="${Math.max(1, x(bar.value) - from).toFixed(1)}" height="${panel.bar}" rx="2" fill="${fill}"/>`,
    );
    if (bar.high > bar.low)
      parts.push(
        line(x(bar.low), y + panel.bar / 2, x(bar.high), y + panel.bar / 2, ink.text, ' stroke-opacity="0.55"'),
      );
    parts.push(text(Math.max(x(bar.value), x(bar.high ?? 0)) + 6, middle, bar.label, { size: 11, weight, halo: true }));
  }
  parts.push(text(from, bottom + 14, unit, { size: 11, fill: ink.quiet }));
  return parts.join("\n");
}

/**
 * Panels of horizontal bars, two beside each other.
 * @param {object} chart
 * @param {string} chart.title
 * @param {string} chart.subtitle
 * @param {{ title: string, unit: string, reference?: number, bars: { name: string, value: number, low?: number, high?: number, label: string, kind?: "ours" | "floor" | "other" }[] }[]} chart.panels
 * `unit` stands below the bars, `reference` is a dashed line across them, `low` and `high` a whisker, `label` what stands beside the bar
 * @returns {string} an SVG document
 */
export function barChart({ title, subtitle, panels }) {
  const across = Math.min(columns, panels.length);
  const wide = (width - 2 * margin.side - (across - 1) * panel.gap) / across;
  const drawn = [];
  let top = margin.top;
  for (let at = 0; at < panels.length; at += across) {
    const row = panels.slice(at, at + across);
    for (const [column, one] of row.entries())
      drawn.push(drawPanel(one, margin.side + column * (wide + panel.gap), top, wide));
    top += Math.max(...row.map(height)) + 22;
  }
  const tall = top + margin.bottom - 22;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${tall}" viewBox="0 0 ${width} ${tall}" role="img" font-family="system-ui, 'Segoe UI', Helvetica, Arial, sans-serif">`,
    `<title>${escape(title)}</title>`,
    `<rect width="${width}" height="${tall}" fill="#ffffff"/>`,
    text(margin.side, 36, title, { size: 20, weight: "bold" }),
    text(margin.side, 58, subtitle, { size: 12, fill: ink.quiet }),
    ...drawn,
    "</svg>",
    "",
  ].join("\n");
}
