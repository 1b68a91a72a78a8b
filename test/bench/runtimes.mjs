// What the targets run on: the Node of this process, or one of those that the tests install.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { root } from "./processes.mjs";

/** Preloaded into every target that runs JavaScript. */
const loopDelay = join(import.meta.dirname, "loop-delay.mjs");
const installed = (name) => join(root, "test/runtimes/node_modules/.bin", name);

/**
 * `floor` is the relay of the same runtime that its targets are compared with: on Node the least that node:http and undici can
 * do, elsewhere the runtime's own server and its `fetch`.
 * @type {Record<string, { command: string, args: string[], floor: string, title: string, env?: Record<string, string> }>}
 */
export const runtimes = {
  node: {
    command: process.execPath,
    args: ["--import", loopDelay],
    floor: "floor.mjs",
    title: `Node ${process.versions.node.split(".")[0]}`,
  },
  node24: { command: installed("node"), args: ["--import", loopDelay], floor: "floor.mjs", title: "Node 24" },
  bun: {
    command: installed("bun"),
    args: [`--tsconfig-override=${join(root, "test/runtimes/bun.tsconfig.json")}`, "--preload", loopDelay],
    // Bun's fetch has 256 connections by default, which would stop the floor at 256 streams.
    env: { BUN_CONFIG_MAX_HTTP_REQUESTS: "60000" },
    floor: "floor-fetch.mjs",
    title: "Bun",
  },
  deno: {
    command: installed("deno"),
    args: ["run", "--allow-all", "--preload", loopDelay],
    floor: "floor-fetch.mjs",
    title: "Deno",
  },
};

/** The runtimes that a `--runtime` list names, `all` for every one. Throws when one is unknown or not installed. */
export function chooseRuntimes(list = "node") {
  const names = list === "all" ? Object.keys(runtimes) : list.split(",").map((name) => name.trim());
  for (const name of names) {
    if (!(name in runtimes)) throw new Error(`--runtime ${name}? There are ${Object.keys(runtimes).join(", ")}, all`);
    if (!existsSync(runtimes[name].command)) throw new Error(`${name} is not installed: npm ci --prefix test/runtimes`);
  }
  return names;
}

/** Name and version, as the report shows it: `Node 20.20.2`. */
export function described(name) {
  const { command, title } = runtimes[name];
  const version = /\d+\.\d+\.\d+/.exec(spawnSync(command, ["--version"], { encoding: "utf8" }).stdout)?.[0];
  return `${title.split(" ")[0]} ${version}`;
}
