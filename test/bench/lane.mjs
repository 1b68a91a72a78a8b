// A lane = one target, started, checked, and ready to be measured against one upstream.
import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { openSession, verify, verifyClose } from "./check.mjs";
import { cpuMicros, wantedMicros } from "./cpu.mjs";
import { load } from "./loads/loads.mjs";
import { nginxUpstream } from "./nginx.mjs";
import { cores, folder, freePort, ready, said, start, stop } from "./processes.mjs";

/** Requests per second that the paced load generator and the upstream can do together on one core, with room to spare. */
const fastestPace = 10_000;

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
    // The MCP load opens a session of its own and compares every answer.
    if (work.load === "mcp") return lane;
    lane.session = await openSession(lane.url);
    await verify(lane.url, lane.session, work.kind);
    if (work.close) await verifyClose(lane.url, lane.session);
    return lane;
  } catch (error) {
    // Unfit targets must not stay and use the core of the others.
    if (lane.running) await stop(lane.running);
    throw error;
  }
}

/** After how many requests code counts as warm, and for how many times 2 s that is waited for. */
const warm = { requests: 10_000, w3: 500, w4: 100, most: 3 };

/**
 * Cold code runs at about half its speed, and it is calls that warm it, not time. Nothing of the warm-up counts, so its errors do not either. For a paced load it finds
 * out the rate: half of what the target can do, and no more than the load generator can hold.
 */
export async function warmUp(lane, seconds) {
  const { work, url, session, target } = lane;
  const options = { ...work, load: work.load === "mcp" ? "mcp" : "wrk", url, session, transport: target.transport };
  const enough = warm[work.kind] ?? warm.requests;
  for (let turn = 0, answered = 0; turn < warm.most && answered < enough; turn++)
    answered += (await load({ ...options, seconds: 2 })).requests;
  if (work.load !== "paced") return;
  const { rate } = await load({ ...options, seconds });
  lane.rate = Math.max(1, Math.min(fastestPace, Math.round(rate / 2)));
}

/** 99th percentile of how late the target's event loop was since the last call, in microseconds; nothing where that is not known. */
async function loopDelay({ running, target }) {
  if (!target.runtimes) return;
  running.stdout = "";
  running.child.kill("SIGUSR2");
  const found = await said(running, /^LOOP (\d+)$/m, 5).catch(() => undefined);
  return found && Number(found[1]);
}

/**
 * One sample from a lane, with what its process did meanwhile: CPU microseconds per request, the share of the time in which its
 * main thread wanted the core (a proxy that did so nearly always is the limit, one that slept is not), the loop's delay.
 */
export async function sample(lane, seconds) {
  const { work, url, session, rate, target } = lane;
  const pid = lane.running?.child.pid;
  if (pid && work.latency) await loopDelay(lane);
  const before = pid && { cpu: cpuMicros(pid), wanted: wantedMicros(pid) };
  const one = await load({ ...work, url, session, rate, transport: target.transport, seconds });
  if (one.error) return one;
  if (before?.cpu !== undefined) {
    one.cpu = (cpuMicros(pid) - before.cpu) / one.requests;
    one.busy = (wantedMicros(pid) - before.wanted) / 1e6 / (one.requests / one.rate);
  }
  if (pid && work.latency) one.loop = await loopDelay(lane);
  if (work.load === "paced") one.pace = rate;
  return one;
}
