import type { PenstockConfig, Principal, State } from "./types.ts";

type ConfigInput = PenstockConfig | (() => PenstockConfig | Promise<PenstockConfig>);

/** Types a configuration, or a function that makes one. Returns its argument. */
export function defineConfig<T extends ConfigInput>(config: T): T {
  return config;
}

/**
 * Makes a typed key for what a plugin remembers in a slot of a mount or an exchange.
 *
 * @param name shown in debug output; by custom `plugin-name.what`
 */
export function defineState<T>(name: string): State<T> {
  return Object.freeze({ name });
}

/** The principal of every caller while no plugin authenticates. */
export const ANONYMOUS: Principal = Object.freeze({ id: "anonymous", scopes: Object.freeze([]) });
