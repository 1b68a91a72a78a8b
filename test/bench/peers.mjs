// Other proxies from npm. They are installed in `peers/` when they are measured for the first time, and are no dependencies
// of the package.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cores, pinned } from "./processes.mjs";
import { runtimes } from "./runtimes.mjs";

const home = join(import.meta.dirname, "peers");
const modules = join(home, "node_modules");

/** Installs what the lock file says, without install scripts. Returns why that failed, or nothing. */
export function installPeers() {
  const lock = readFileSync(join(home, "package-lock.json"), "utf8");
  const stamp = join(modules, ".bench-lock.json");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === lock) return;
  console.error("installing the peers in test/bench/peers …");
  const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  const { status, error, stderr } = spawnSync("npm", args, { cwd: home, encoding: "utf8" });
  if (status !== 0) return `npm ci in test/bench/peers failed: ${error?.message ?? stderr.trim().split("\n")[0]}`;
  writeFileSync(stamp, lock);
}

function run(runtime, file, args, env) {
  const { command, args: flags } = runtimes[runtime];
  return { command, args: [...flags, file, ...args], env: { NODE_ENV: "production", ...env } };
}

/** A script of ours around a peer's library, which takes the upstream's URL and the port. */
export function peer(file) {
  return ({ port, upstream, runtime }) => run(runtime, join(home, file), [upstream, `${port}`]);
}

/** Command line of the server behind a bridge. It is upstream, not part of the proxy: it runs on the core of the upstreams. */
export function stdioServer(runtime) {
  return pinned([runtimes[runtime].command, join(home, "stdio-server.mjs")], cores.load);
}

/** Peers that are programs, with the fewest options that make them serve Streamable HTTP, or what they have. */
export const peerCli = {
  mcpProxy({ port, runtime }) {
    const args = ["--host", "127.0.0.1", "--port", `${port}`, "--server", "stream", "--", ...stdioServer(runtime)];
    return run(runtime, join(modules, "mcp-proxy/dist/bin/mcp-proxy.mjs"), args);
  },
  supergateway({ port, runtime }) {
    const args = ["--stdio", stdioServer(runtime).join(" "), "--outputTransport", "streamableHttp", "--stateful"];
    args.push("--port", `${port}`, "--logLevel", "none");
    return run(runtime, join(modules, "supergateway/dist/index.js"), args);
  },
  mcpHub({ port, upstream, folder, runtime }) {
    const config = join(folder, "servers.json");
    writeFileSync(config, JSON.stringify({ mcpServers: { bench: { url: upstream } } }));
    const own = { XDG_STATE_HOME: folder, XDG_DATA_HOME: folder, XDG_CACHE_HOME: folder, HOME: folder };
    return run(runtime, join(modules, "mcp-hub/dist/cli.js"), ["--port", `${port}`, "--config", config], own);
  },
};
