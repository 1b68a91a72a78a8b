// The load generator: wrk with a generated script, one run = one sample.
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { cores, explain, folder, start } from "../processes.mjs";
import { answers, requestBody, requestHeaders } from "../workloads.mjs";

/** Whether wrk can be started here (it answers `-v` with status 1). */
export const hasWrk = !spawnSync("wrk", ["-v"]).error;

function script(session, close) {
  const fields = { ...requestHeaders(session), ...(close ? { Connection: "close" } : {}) };
  const headers = Object.entries(fields).map(([name, value]) => `wrk.headers["${name}"] = "${value}"`);
  return `wrk.method = "POST"
wrk.body = [==[${requestBody}]==]
${headers.join("\n")}
function done(summary, latency)
  local e = summary.errors
  io.write(string.format('\\nBENCH {"requests":%d,"microseconds":%d,"bytes":%.0f,"p50":%d,"p99":%d,'
    .. '"errors":{"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}}\\n',
    summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99),
    e.connect, e.read, e.write, e.status, e.timeout))
end
`;
}

/**
 * One run of wrk. A sample with `error` does not count: wrk saw an error, or the answers were shorter than they should be
 * (an error page at a high rate looks like a good result).
 * @param {{ url: string, session: string, kind: string, connections: number, seconds: number, close?: boolean }} options
 * @returns {Promise<{ rate: number, requests: number, p50: number, p99: number, error?: string }>}
 */
export async function load({ url, session, kind, connections, seconds, close }) {
  const file = join(folder, "wrk.lua");
  writeFileSync(file, script(session, close));
  const args = ["-t1", `-c${connections}`, `-d${seconds}s`, "--timeout", "5s", "-s", file, url];
  const running = start({ command: "wrk", args }, cores.load);
  await running.exit;
  const found = /^BENCH (.+)$/m.exec(running.stdout);
  if (!found) return { rate: 0, requests: 0, p50: 0, p99: 0, error: `wrk ${explain(running)}` };
  const { requests, microseconds, bytes, p50, p99, errors } = JSON.parse(found[1]);
  const sample = { rate: requests / (microseconds / 1e6), requests, p50, p99 };
  const seen = Object.entries(errors).filter(([, count]) => count > 0);
  if (seen.length > 0) sample.error = seen.map(([name, count]) => `${count} ${name} errors`).join(", ");
  else if (requests === 0) sample.error = "no request was answered";
  else if (bytes / requests < answers[kind].body.length)
    sample.error = `answers of ${Math.round(bytes / requests)} bytes`;
  return sample;
}
