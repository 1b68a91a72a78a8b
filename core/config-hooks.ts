/** What plugins may do before the first request, and what comes too late. */
import { ProxyError } from "./errors.ts";
import { HOOK_NAMES, orderPlugins } from "./hooks.ts";
import type { PenstockConfig, Plugin } from "./types.ts";

/**
 * Each plugin's `config` hook sees what the one before left. Plugins of a single server have no say in it.
 *
 * @throws ProxyError `BAD_CONFIG` without a server, `BAD_OPTION` where a hook changes the list of plugins
 */
export function applyConfigHooks(input: PenstockConfig): PenstockConfig {
  if (!input?.servers || Object.keys(input.servers).length === 0)
    throw new ProxyError("BAD_CONFIG", { hint: "servers: at least one server is needed." });
  let config = {
    ...input,
    servers: Object.fromEntries(Object.entries(input.servers).map(([name, server]) => [name, { ...server }])),
  };
  const plugins = orderPlugins(input.plugins);
  for (const plugin of plugins) {
    config = { ...config, ...plugin.config?.(config) };
    // A list that was changed in place counts too: the `config` hooks of what was added would never run.
    const now = orderPlugins(config.plugins);
    if (now.length !== plugins.length || now.some((each, i) => each !== plugins[i]))
      throw new ProxyError("BAD_OPTION", {
        plugin: `plugin '${plugin.name}'`,
        hint: "A `config` hook may not change `plugins`.",
      });
  }
  return config;
}

/**
 * Remembers the hooks of a plugin. Who calls whom is fixed by now: a guard that `setup` adds would be left out, and nobody would
 * know.
 *
 * @returns a check that they are still the same; it throws `BAD_OPTION`
 */
export function fixHooks(plugin: Plugin): () => void {
  const before = HOOK_NAMES.map((name) => plugin[name]);
  return () => {
    const changed = HOOK_NAMES.find((name, i) => plugin[name] !== before[i]);
    if (changed === undefined) return;
    throw new ProxyError("BAD_OPTION", {
      plugin: `plugin '${plugin.name}'`,
      hint: `Its hook \`${changed}\` was set or taken away in \`setup\`, which is too late: give it to the object that the factory returns.`,
    });
  };
}
