import { ProxyError } from "../core/index.ts";
import { type Environment, TIME, TIMEOUT, environment, isTime, isTimeout, readVariable } from "./_settings.ts";

/** How one server is probed. Times are in milliseconds. */
export interface ProbeSettings {
  /** Longest time for the answers that decide; a slow server is not given up before. @default 10000, or `PENSTOCK_PROBE_TIMEOUT` */
  timeout?: number;
  /** A server is probed when so long nothing was heard of it; 0 = never. @default 30000, or `PENSTOCK_PROBE_INTERVAL` */
  interval?: number;
  /** `false` never opens the event stream (GET): clients that ask for it get 405. @default true, or `PENSTOCK_PUSH` */
  push?: boolean;
}

/** Options of the plugin `health`. What is set for a server wins over the general option, and that over the environment. */
export interface HealthOptions extends ProbeSettings {
  /** A server that nobody used by then is probed for the first time, in milliseconds after the start. @default 2000 */
  initialDelay?: number;
  /** Bad signals in a row before a healthy server is called `down` or `auth-required`. @default 3 */
  fall?: number;
  /** Good signals in a row before it is called healthy again. @default 2 */
  rise?: number;
  /** By server name. */
  servers?: Readonly<Record<string, ProbeSettings>>;
}

/** Options with nothing left open. */
export interface HealthSettings extends Required<Omit<HealthOptions, keyof ProbeSettings | "servers">> {
  /** Those of one server. */
  of(server: string): Required<ProbeSettings>;
  /** Servers that options are given for. */
  named: readonly string[];
}

/** @throws ProxyError `BAD_OPTION` that names the option or the variable */
export function readSettings(
  options: HealthOptions,
  env: Environment = environment(Object.keys(VARIABLES)),
): HealthSettings {
  const { initialDelay = 2000, fall = 3, rise = 2, servers = {} } = options;
  const general: Required<ProbeSettings> = {
    timeout: readVariable(env, "health", "PENSTOCK_PROBE_TIMEOUT", VARIABLES.PENSTOCK_PROBE_TIMEOUT) ?? 10_000,
    interval: readVariable(env, "health", "PENSTOCK_PROBE_INTERVAL", VARIABLES.PENSTOCK_PROBE_INTERVAL) ?? 30_000,
    push: readVariable(env, "health", "PENSTOCK_PUSH", VARIABLES.PENSTOCK_PUSH) ?? true,
  };
  const base = { ...general, ...check(options, "") };
  const each = Object.entries(servers).map(
    ([server, one]) => [server, { ...base, ...check(one, `servers.${server}.`) }] as const,
  );
  if (!isTime(initialDelay)) refuse("initialDelay must be a time in milliseconds.");
  for (const [name, count] of Object.entries({ fall, rise }))
    if (!Number.isInteger(count) || count < 1) refuse(`${name} must be a whole number above 0.`);
  const byName = new Map(each);
  return { initialDelay, fall, rise, of: (server) => byName.get(server) ?? base, named: Object.keys(servers) };
}

function check({ timeout, interval, push }: ProbeSettings, where: string): ProbeSettings {
  if (timeout !== undefined && !isTimeout(timeout)) refuse(`${where}timeout must be a time above 0, in milliseconds.`);
  if (interval !== undefined && !isTime(interval)) refuse(`${where}interval must be a time in milliseconds, or 0.`);
  if (push !== undefined && typeof push !== "boolean") refuse(`${where}push must be true or false.`);
  return {
    ...(timeout !== undefined && { timeout }),
    ...(interval !== undefined && { interval }),
    ...(push !== undefined && { push }),
  };
}

const VARIABLES = {
  PENSTOCK_PROBE_TIMEOUT: TIMEOUT,
  PENSTOCK_PROBE_INTERVAL: { ...TIME, expected: `${TIME.expected}, or 0 for never` },
  PENSTOCK_PUSH: { parse: toFlag, expected: "true or false is needed" },
};

function toFlag(text: string): boolean | undefined {
  return text === "true" ? true : text === "false" ? false : undefined;
}

function refuse(hint: string): never {
  throw new ProxyError("BAD_OPTION", { plugin: "plugin 'health'", hint });
}
