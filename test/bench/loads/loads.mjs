// One sample = one run of a load generator: wrk, or a program of this folder that prints a line like wrk's.
import { join } from "node:path";
import { cores, explain, start } from "../processes.mjs";
import { load as wrk } from "./wrk.mjs";

function program(file) {
  return async (options) => {
    const args = [join(import.meta.dirname, file), JSON.stringify(options)];
    const running = start({ command: process.execPath, args }, cores.load);
    await running.exit;
    const found = /^BENCH (.+)$/m.exec(running.stdout);
    return found
      ? JSON.parse(found[1])
      : { rate: 0, requests: 0, p50: 0, p99: 0, error: `${file} ${explain(running)}` };
  };
}

const loads = { wrk, paced: program("paced.mjs"), mcp: program("mcp-load.mjs") };

/**
 * Runs the load of a work. A sample with `error` does not count.
 * @param {{ load?: keyof typeof loads, url: string, session?: string, kind: string, connections: number, seconds: number, rate?: number, transport?: string }} options
 * @returns {Promise<{ rate: number, requests: number, p50: number, p99: number, error?: string }>} requests per second, microseconds
 */
export function load(options) {
  return loads[options.load ?? "wrk"](options);
}
