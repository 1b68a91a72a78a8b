// A lane = one target, started, checked, and ready to be measured against one upstream.
import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { openSession, verify } from "./check.mjs";
import { nginxUpstream } from "./nginx.mjs";
import { cores, folder, freePort, ready, start, stop } from "./processes.mjs";
import { load } from "./wrk.mjs";

/**
 * Starts the upstream of one kind on the core of the load generator.
 * @returns {Promise<{ url: string, children: object[] }>}
 */
export async function startUpstream(kind, useNginx) {
  const nodePort = await freePort();
  const node = start(
    {
      command: process.execPath,
      args: [join(import.meta.dirname, "upstream.mjs"), kind, `${nodePort}`],
    },
    cores.load,
  );
  await ready(node, nodePort);
  if (!useNginx) return { url: `http://127.0.0.1:${nodePort}/mcp`, children: [node] };
  const port = await freePort();
  const own = mkdtempSync(join(folder, "upstream-"));
  const nginx = start(nginxUpstream({ folder: own, port, kind, handshakePort: nodePort }), cores.load);
  await ready(nginx, port);
  return { url: `http://127.0.0.1:${port}/mcp`, children: [node, nginx] };
}

/**
 * Starts a target, opens a session through it and compares one answer.
 * `runtime` is what it runs on; `change` may alter the command line (the profiler adds Node options). Throws if the target is not fit to be measured.
 */
export async function openLane(target, upstream, work, runtime = "node", change = (line) => line) {
  const lane = { target, work, url: upstream };
  try {
    if (target.start) {
      const port = await freePort();
      const own = mkdtempSync(join(folder, "target-"));
      lane.url = `http://127.0.0.1:${port}${target.path}`;
      lane.running = start(change(target.start({ port, upstream, folder: own, runtime })), cores.target);
      await ready(lane.running, port);
    }
    lane.session = await openSession(lane.url);
    await verify(lane.url, lane.session, work.kind);
    return lane;
  } catch (error) {
    // Unfit targets must not stay and use the core of the others.
    if (lane.running) await stop(lane.running);
    throw error;
  }
}

/** One sample from a lane; an invalid one is taken once more. */
export async function sample(lane, seconds) {
  const options = { ...lane.work, url: lane.url, session: lane.session, seconds };
  const first = await load(options);
  return first.error ? load(options) : first;
}
