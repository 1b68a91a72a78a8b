/** A proxy as data: what `--json` prints. Members are added, never renamed. */
import type { Penstock } from "../app.ts";
import { type Edge, configuredEras, edgesOf } from "./edges.ts";
import { HOOK_NAMES, compileHooks, orderPlugins } from "../hooks.ts";
import type { MessageHook, PenstockConfig, Plugin } from "../types.ts";

/** A path that is served. */
export interface RouteReport {
  path: string;
  url: string;
  methods: string[];
  owner: string;
}

/** A message hook in its place. */
export interface MessageHookReport {
  plugin: string;
  kind: string;
  /** `null`: every method. */
  methods: readonly string[] | null;
  /** `null`: both eras. */
  era: string | null;
}

/** The plugins behind each hook, in the order of their calls. */
export interface HookOrder {
  authenticate: string[];
  request: string[];
  messageUp: MessageHookReport[];
  forward: string[];
  messageDown: MessageHookReport[];
  response: string[];
  body: string[];
  error: string[];
  done: string[];
}

/** @param base put before each path; of one with a path of its own the origin, where the path is well-known (RFC 8615 §3) */
export function describeRoutes(penstock: Penstock, base = ""): RouteReport[] {
  const origin = /^https?:/.test(base) ? new URL(base).origin : base;
  return penstock.paths.map(({ path, methods, owner }) => ({
    path,
    url: (path.startsWith("/.well-known/") ? origin : base) + path,
    methods: methods === "all" ? ["GET", "POST", "DELETE"] : [methods],
    owner,
  }));
}

/** Everything that `check` knows. */
export function describeProxy(penstock: Penstock, config: PenstockConfig): Record<string, unknown> {
  return {
    servers: penstock.mounts.map((mount) => ({
      name: mount.server,
      upstream: mount.upstream,
      paths: mount.paths,
      ssePaths: mount.ssePaths,
      transport: mount.transport,
      era: mount.era,
      clients: edgesOfMount(mount),
      plugins: mount.plugins.map((plugin) => ({ name: plugin.name, hooks: hookNames(plugin) })),
      hooks: hookOrder(mount.plugins),
    })),
    hooks: proxyHooks(penstock, config),
    routes: describeRoutes(penstock),
  };
}

/** How each kind of clients is served, as far as that is known without asking. */
export function edgesOfMount({ transport, era, plugins, ssePaths }: Penstock["mounts"][number]): Edge[] {
  const isBridged = plugins.some(({ name }) => name === "bridge");
  return edgesOf(transport, configuredEras({ era, transport }), isBridged, ssePaths.length > 0);
}

/** Hooks that belong to the proxy and to no mount, in the order of their calls. */
export function proxyHooks(
  penstock: Penstock,
  config: PenstockConfig,
): Record<"config" | "setup" | "guard" | "close", string[]> {
  const root = orderPlugins(config.plugins);
  const all = [...new Set([...root, ...penstock.mounts.flatMap((mount) => mount.plugins)])];
  const having = (plugins: readonly Plugin[], hook: keyof Plugin) =>
    plugins.filter((plugin) => plugin[hook]).map((plugin) => plugin.name);
  return {
    config: having(root, "config"),
    setup: having(all, "setup"),
    guard: having(root, "guard"),
    close: having(all, "close"),
  };
}

/** The hooks that a plugin has. */
export function hookNames(plugin: Plugin): string[] {
  return (["config", "setup", ...HOOK_NAMES, "close"] as const).filter((name) => plugin[name]);
}

/** Read from the table that exchanges use. @param plugins in order */
export function hookOrder(plugins: readonly Plugin[]): HookOrder {
  const table = compileHooks(plugins);
  const names = (hooks: readonly { plugin: Plugin }[]) => hooks.map(({ plugin }) => plugin.name);
  const messages = plugins.flatMap((plugin) =>
    [plugin.message ?? []].flat().map((hook: MessageHook) => ({ plugin: plugin.name, filter: hook.filter })),
  );
  const side = (direction: "up" | "down") =>
    messages
      .filter(({ filter }) => filter.direction === direction)
      .map(({ plugin, filter: { kind, method, era } }) => ({
        plugin,
        kind,
        methods: method === undefined ? null : [method].flat(),
        era: era ?? null,
      }));
  return {
    authenticate: names(table.authenticate),
    request: names(table.request),
    messageUp: side("up"),
    forward: names(table.forward),
    messageDown: side("down").reverse(),
    response: names(table.response),
    body: names(table.body),
    error: names(table.error),
    done: names(table.done),
  };
}
