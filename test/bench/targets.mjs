// What is measured. One target = name, the path to post to, and how to start it; `start` returns a command line.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { hasNginx, nginxProxy } from "./nginx.mjs";
import { peer, peerCli, stdioServer } from "./peers.mjs";
import { root } from "./processes.mjs";
import { runtimes } from "./runtimes.mjs";

/**
 * @typedef {object} Place
 * @property {number} port where the target has to listen
 * @property {string} upstream URL of the MCP server behind it
 * @property {string} folder a folder of the target's own
 * @property {keyof typeof runtimes} runtime what it runs on
 *
 * @typedef {object} Target
 * @property {string} name
 * @property {string} path what is posted to
 * @property {(place: Place) => { command: string, args: string[], env?: Record<string, string> }} [start]
 * @property {string[]} works what it is measured with by default
 * @property {"all" | "node"} [runtimes] it runs on what `--runtime` says, all of them or those that are Node; otherwise it is a program of its own
 * @property {"http" | "sse" | "modern"} [transport] what the MCP load speaks to it
 * @property {string} [relay] the target that does the same without a translation
 * @property {string} [missing] why it cannot run here
 * @property {boolean} [peer] needs what `peers/` installs
 * @property {string} [remark] what a reader of the table has to know
 */

/** A script of this folder that takes the upstream's URL and the port. */
function script(file, ...more) {
  return ({ port, upstream, runtime }) => {
    const { command, args, floor, env } = runtimes[runtime];
    const isFloor = file === "floor.mjs";
    const path = join(import.meta.dirname, isFloor ? floor : file);
    return { command, args: [...args, path, upstream, `${port}`, ...more], env: isFloor ? env : undefined };
  };
}

/** The library with a choice of plugins, see penstock-bare.mjs. */
export function library(choice) {
  return script("penstock-bare.mjs", JSON.stringify(choice));
}

/** The built command line with a config file, as a user starts it: without `plugins` it adds the standard preset. */
function commandLine({ port, folder, runtime }, bench) {
  const config = join(folder, "penstock.config.json");
  writeFileSync(config, JSON.stringify({ servers: { bench } }));
  const cli = join(root, "dist/core/cli.mjs");
  const { command, args } = runtimes[runtime];
  return { command, args: [...args, cli, "--config", config, "--port", `${port}`, "--log-level", "warn"] };
}

function overHttp(place) {
  return commandLine(place, { url: place.upstream });
}

/** The server of 2026-07-28 at the same upstream. */
function overModernHttp(place) {
  return commandLine(place, { url: place.upstream.replace(/\/mcp$/, "/modern") });
}

function overStdio(place) {
  const [program, ...args] = stdioServer(place.runtime);
  return commandLine(place, { command: program, args });
}

const relays = ["W1", "W2", "W3", "W4", "W6", "latency", "half"];
const bodies = ["W1", "W2", "W3", "W4"];
/** The same server behind, over stdio. */
const stdioWorks = ["mcp", "stdio", "sessions"];
/** A client of one era, a server of the other: what the translation costs. */
const eras = ["bridge", "bridge-1"];
const path = "/bench/mcp";

/**
 * All targets in the order of the tables.
 * @type {Target[]}
 */
export const targets = [
  { name: "direct", path: "/mcp", works: [...relays, "mcp"] },
  {
    name: "nginx",
    path,
    start: nginxProxy,
    works: [...relays, "W5"],
    missing: hasNginx ? undefined : "nginx is not installed",
  },
  { name: "floor", path, start: script("floor.mjs"), works: [...relays, "W5"], runtimes: "all" },
  { name: "h3-fetch", path, start: script("h3-fetch.mjs"), works: bodies, runtimes: "all" },
  { name: "bare", path, start: library({}), works: [...relays, "W5", "mcp"], runtimes: "all" },
  { name: "standard", path, start: overHttp, works: [...relays, "W5", "mcp"], runtimes: "all" },
  {
    name: "standard, stdio",
    path,
    start: overStdio,
    works: stdioWorks,
    runtimes: "all",
    remark: "Streamable HTTP in front of a stdio server",
  },
  {
    name: "@fastify/http-proxy",
    path,
    start: peer("fastify-http-proxy.mjs"),
    works: bodies,
    runtimes: "node",
    peer: true,
  },
  { name: "http-proxy-3", path, start: peer("http-proxy-3.mjs"), works: bodies, runtimes: "node", peer: true },
  {
    name: "sdk-proxy",
    path: "/mcp",
    start: peer("sdk-proxy.mjs"),
    works: ["mcp"],
    runtimes: "node",
    peer: true,
    remark: "an SDK server in front of an SDK client",
  },
  {
    name: "mcp-proxy",
    path: "/mcp",
    start: peerCli.mcpProxy,
    works: stdioWorks,
    runtimes: "node",
    peer: true,
    remark: "Streamable HTTP in front of a stdio server",
  },
  {
    name: "supergateway",
    path: "/mcp",
    start: peerCli.supergateway,
    works: stdioWorks,
    runtimes: "node",
    peer: true,
    remark: "Streamable HTTP in front of a stdio server",
  },
  {
    name: "mcp-hub",
    path: "/mcp",
    start: peerCli.mcpHub,
    works: ["mcp"],
    runtimes: "node",
    peer: true,
    transport: "sse",
    remark: "HTTP+SSE in front of a Streamable HTTP server",
  },
  { name: "legacy to legacy", path, start: overHttp, works: eras, runtimes: "all" },
  {
    name: "legacy to modern",
    path,
    start: overModernHttp,
    works: eras,
    runtimes: "all",
    relay: "legacy to legacy",
  },
  { name: "modern to modern", path, start: overModernHttp, works: eras, runtimes: "all", transport: "modern" },
  {
    name: "modern to legacy",
    path,
    start: overHttp,
    works: eras,
    runtimes: "all",
    transport: "modern",
    relay: "modern to modern",
  },
];

/** The targets that a `--targets` list names, or all. Throws on an unknown name. */
export function chooseTargets(list) {
  if (!list) return targets;
  return list.split(",").map((name) => {
    const found = targets.find((target) => target.name === name.trim());
    if (!found)
      throw new Error(`unknown target "${name}"; there are ${targets.map((target) => target.name).join(", ")}`);
    return found;
  });
}
