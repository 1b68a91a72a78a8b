// What is measured. One target = name, the path to post to, and how to start it; `start` returns a command line.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { hasNginx, nginxProxy } from "./nginx.mjs";
import { root } from "./processes.mjs";
import { runtimes } from "./runtimes.mjs";

/**
 * @typedef {object} Place
 * @property {number} port where the target has to listen
 * @property {string} upstream URL of the MCP server behind it
 * @property {string} folder a folder of the target's own
 * @property {keyof typeof runtimes} runtime what it runs on
 */

/** A script of this folder that takes the upstream's URL and the port. */
function script(file, ...more) {
  return ({ port, upstream, runtime }) => {
    const { command, args, floor } = runtimes[runtime];
    const path = join(import.meta.dirname, file === "floor.mjs" ? floor : file);
    return { command, args: [...args, path, upstream, `${port}`, ...more] };
  };
}

/** The library with a choice of plugins, see penstock-bare.mjs. */
function library(choice) {
  return script("penstock-bare.mjs", JSON.stringify(choice));
}

/** The built command line with a config file, as a user starts it: without `plugins` it adds the standard preset. */
function commandLine({ port, upstream, folder, runtime }) {
  const config = join(folder, "penstock.config.json");
  writeFileSync(config, JSON.stringify({ servers: { bench: { url: upstream } } }));
  const cli = join(root, "dist/core/cli.mjs");
  const { command, args } = runtimes[runtime];
  return { command, args: [...args, cli, "--config", config, "--port", `${port}`, "--log-level", "warn"] };
}

/**
 * All targets in the order of the table. `extra` ones run only when `--targets` names them; `missing` says why one cannot run.
 * @type {{ name: string, path: string, start?: (place: Place) => { command: string, args: string[] }, extra?: boolean, missing?: string }[]}
 */
export const targets = [
  { name: "direct", path: "/mcp" },
  {
    name: "nginx",
    path: "/bench/mcp",
    start: nginxProxy,
    missing: hasNginx ? undefined : "nginx is not installed",
  },
  { name: "floor", path: "/bench/mcp", start: script("floor.mjs") },
  { name: "h3-fetch", path: "/bench/mcp", start: script("h3-fetch.mjs") },
  { name: "bare", path: "/bench/mcp", start: script("penstock-bare.mjs") },
  { name: "standard", path: "/bench/mcp", start: commandLine },
  // The same preset without config file and command line: the reference for the rows below it.
  { name: "standard-library", path: "/bench/mcp", start: library({ standard: true }), extra: true },
  {
    name: "bare+tool-filter",
    path: "/bench/mcp",
    start: library({ plus: ["tool-filter"] }),
    extra: true,
  },
];

/** The targets that a `--targets` list names, or all that are not extra. Throws on an unknown name. */
export function chooseTargets(list) {
  if (!list) return targets.filter((target) => !target.extra);
  return list.split(",").map((name) => {
    const found = targets.find((target) => target.name === name.trim());
    if (!found)
      throw new Error(`unknown target "${name}"; there are ${targets.map((target) => target.name).join(", ")}`);
    return found;
  });
}
