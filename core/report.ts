/** What the command line prints about a proxy. */
import type { Penstock } from "./app.ts";
import { HOOK_NAMES } from "./hooks.ts";
import type { Plugin } from "./types.ts";

/** Printed once the proxy listens. */
export function banner(penstock: Penstock, origin: string, version: string, file: string | undefined): string {
  const lines = [
    `Penstock ${version} on ${runtime()} listening on ${origin}`,
    ...(file ? [`Configuration: ${file}`] : []),
    "",
    listMounts(penstock, origin),
  ];
  const first = penstock.mounts.find((mount) => mount.path);
  if (first) {
    const url = origin + first.path;
    lines.push(
      "",
      "Connect a client, for example:",
      `  claude mcp add --transport http ${first.paths[0]!.split("/")[1]} ${url}`,
      `  ${JSON.stringify({ mcpServers: { [first.server]: { type: "http", url } } })}`,
    );
  }
  return lines.join("\n");
}

/** What runs this, e.g. `Bun 1.4.4`. Bun and Deno name a version of Node as well: the one that they imitate. */
function runtime(): string {
  const { bun, deno, node } = process.versions;
  return bun ? `Bun ${bun}` : deno ? `Deno ${deno}` : `Node.js ${node}`;
}

/** One line per server: where clients reach it, and where it is. */
export function listMounts(penstock: Penstock, origin = ""): string {
  return columns(
    penstock.mounts.map((mount) => [
      mount.server,
      mount.paths.map((path) => origin + path).join(" ") || "(no path: add the plugin mounts, or a path)",
      `→ ${mount.upstream}`,
    ]),
  );
}

/** The effective path table, most specific first. */
export function listPaths(penstock: Penstock, origin = ""): string {
  return columns(
    penstock.paths.map(({ path, methods, owner }) => [
      methods === "all" ? "GET,POST,DELETE" : methods,
      origin + path,
      owner,
    ]),
  );
}

/** The plugins of each mount in order, with their hooks. */
export function listPlugins(penstock: Penstock): string {
  return penstock.mounts
    .map((mount) => {
      const rows = mount.plugins.map((plugin, i) => [`${i + 1}.`, plugin.name, hooksOf(plugin)]);
      return `Plugins of '${mount.server}' (requests pass top to bottom, answers bottom to top):\n${rows.length > 0 ? columns(rows) : "  none"}`;
    })
    .join("\n\n");
}

function hooksOf(plugin: Plugin): string {
  const names = (["config", "setup", ...HOOK_NAMES] as const).filter((name) => plugin[name]);
  const messages = [plugin.message ?? []]
    .flat()
    .map(
      ({ filter: { direction, kind, method } }) =>
        `${direction} ${kind}${method ? ` ${[method].flat().join(",")}` : ""}`,
    );
  return names.map((name) => (name === "message" ? `message(${messages.join("; ")})` : name)).join(", ");
}

function columns(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, i) => Math.max(...rows.map((row) => row[i]!.length))) ?? [];
  return rows
    .map((row) =>
      `  ${row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i]!))).join("  ")}`.trimEnd(),
    )
    .join("\n");
}
