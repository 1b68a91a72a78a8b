/** What the command line prints about a proxy, for people. */
import type { Penstock } from "../app.ts";
import type { PenstockConfig } from "../types.ts";
import { describeEdge } from "./edges.ts";
import { type MessageHookReport, describeRoutes, edgesOfMount, hookNames, hookOrder, proxyHooks } from "./describe.ts";

type ReportedMount = Penstock["mounts"][number];

/** Printed once the proxy listens. */
export function banner(penstock: Penstock, origin: string, title: string, file: string | undefined): string {
  const socket = origin.startsWith("unix:") ? origin.slice("unix:".length) : undefined;
  const base = penstock.publicUrl ?? (socket === undefined ? origin : "");
  const lines = [title, ...(file ? [`Configuration: ${file}`] : []), "", listMounts(penstock, base)];
  const first = penstock.mounts.find((mount) => mount.path);
  if (first && base === "")
    lines.push("", "Reach it, for example:", `  curl --unix-socket ${socket} http://localhost${first.path}`);
  else if (first) {
    const url = base + first.path;
    lines.push(
      "",
      "Connect a client, for example:",
      `  claude mcp add --transport http ${first.paths[0]!.split("/")[1]} ${url}`,
      `  ${JSON.stringify({ mcpServers: { [first.server]: { type: "http", url } } })}`,
    );
  }
  return lines.join("\n");
}

/** One line per server: where clients reach it, and where it is. */
export function listMounts(penstock: Penstock, origin = ""): string {
  return columns(
    penstock.mounts.flatMap(({ server, paths, ssePaths, upstream }) => {
      const urls = (of: readonly string[]) => of.map((path) => origin + path).join(" ");
      const first = [
        server,
        urls(paths) || (ssePaths.length > 0 ? "" : "(no path: add the plugin mounts, or a path)"),
        `→ ${upstream}`,
      ];
      return ssePaths.length === 0 ? [first] : [first, ["", urls(ssePaths), "HTTP+SSE clients"]];
    }),
  );
}

/** The effective path table, most specific first. */
export function listPaths(penstock: Penstock, origin = ""): string {
  return columns(describeRoutes(penstock, origin).map(({ methods, url, owner }) => [methods.join(","), url, owner]));
}

/** The plugins of a mount in order, with their hooks. */
export function listPlugins(mount: ReportedMount): string {
  const rows = mount.plugins.map((plugin, i) => [`${i + 1}.`, plugin.name, hookNames(plugin).join(", ")]);
  return `Plugins of '${mount.server}' (requests pass top to bottom, answers bottom to top):\n${rows.length > 0 ? columns(rows) : "  none"}`;
}

/** Which clients a server is served to as they are, and which ones are translated for. */
export function listClients(mount: ReportedMount): string {
  const lines = edgesOfMount(mount).map((edge) => `  ${describeEdge(edge)}`);
  return `Clients of '${mount.server}', by the revisions that they speak (${mount.transport}, era: ${mount.era}):\n${lines.join("\n")}`;
}

/** Who is called at each hook of a mount, first to last. Hooks that nobody has are left out. */
export function listHooks(mount: ReportedMount): string {
  const { messageUp, messageDown, ...order } = hookOrder(mount.plugins);
  const rows = [
    ...(["authenticate", "request"] as const).map((name) => [name, order[name].join(" → ")]),
    ["message up", messageUp.map(messageHook).join(" → ")],
    ["forward", order.forward.join(" → ")],
    ["message down", messageDown.map(messageHook).join(" → ")],
    ...(["response", "body", "error", "done"] as const).map((name) => [name, order[name].join(" → ")]),
  ].filter(([, names]) => names !== "");
  return `Hooks of '${mount.server}' in the order of their calls:\n${rows.length > 0 ? columns(rows) : "  none"}`;
}

/** The same for the hooks that belong to the proxy itself. */
export function listProxyHooks(penstock: Penstock, config: PenstockConfig): string {
  const rows = Object.entries(proxyHooks(penstock, config))
    .filter(([, names]) => names.length > 0)
    .map(([hook, names]) => [hook, names.join(" → ")]);
  return `Hooks of the proxy, for all servers:\n${rows.length > 0 ? columns(rows) : "  none"}`;
}

function messageHook({ plugin, kind, methods, era }: MessageHookReport): string {
  return `${plugin} (${[era, kind, methods?.join(",")].filter(Boolean).join(" ")})`;
}

function columns(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, i) => Math.max(...rows.map((row) => row[i]!.length))) ?? [];
  return rows
    .map((row) =>
      `  ${row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i]!))).join("  ")}`.trimEnd(),
    )
    .join("\n");
}
