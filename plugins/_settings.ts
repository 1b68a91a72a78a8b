/** Settings that stand in the environment, for options that the configuration leaves open. */
import { ProxyError } from "../core/index.ts";

/** Variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** What a variable may hold. */
export interface Variable<T> {
  /** @returns nothing for a text that is no such value */
  parse(text: string): T | undefined;
  /** Follows "the variable is …;" in the message about a wrong one. */
  expected: string;
}

/** In milliseconds, 0 included. */
export const TIME: Variable<number> = { parse: toTime, expected: "a time in milliseconds is needed" };
/** In milliseconds, and not 0. */
export const TIMEOUT: Variable<number> = {
  parse: (text) => toTime(text) || undefined,
  expected: "a time above 0 in milliseconds is needed",
};

/** Timers count to 2^31 - 1 (about 24 days). */
export function isTime(ms: unknown): ms is number {
  return typeof ms === "number" && ms >= 0 && ms < 2 ** 31;
}

/** A time that is not 0. */
export function isTimeout(ms: unknown): ms is number {
  return isTime(ms) && ms > 0;
}

/** @returns nothing where the variable is not set, or empty @throws ProxyError `BAD_OPTION` that names the variable */
export function readVariable<T>(env: Environment, plugin: string, name: string, kind: Variable<T>): T | undefined {
  const text = env[name];
  if (text === undefined || text === "") return undefined;
  const value = kind.parse(text);
  if (value === undefined)
    throw new ProxyError("BAD_OPTION", {
      plugin: `plugin '${plugin}'`,
      hint: `The environment variable ${name} is ${JSON.stringify(text)}; ${kind.expected}.`,
    });
  return value;
}

/** Not every runtime has variables, and one that has may not show them. */
export function environment(names: readonly string[]): Environment {
  try {
    const { process } = globalThis as { process?: { env?: Environment } };
    return Object.fromEntries(names.map((name) => [name, process?.env?.[name]]));
  } catch {
    return {};
  }
}

function toTime(text: string): number | undefined {
  const ms = /^\d+$/.test(text) ? Number(text) : undefined;
  return isTime(ms) ? ms : undefined;
}
