// A load generator with a fixed rate, `node paced.mjs '{"url":…,"session":…,"kind":…,"rate":5000,"seconds":2}'`: requests leave when
// they are due, whether or not earlier ones are answered, and latency counts from that time. So a target that stalls for
// 100 ms shows it in every request that was due meanwhile.
import { Connection, request, requestHead } from "../http1.mjs";
import { print } from "./percentiles.mjs";
import { answers, requestBody, requestHeaders } from "../workloads.mjs";

const { url, session, kind, rate, seconds } = JSON.parse(process.argv[2]);
const bytes = request(requestHead("POST", url, requestHeaders(session)), requestBody);
const expected = answers[kind].body.length;
const most = 256;

const idle = [];
const queue = [];
const latencies = [];
const errors = {};
let open = 0;
let pending = 0;

/** Sends what was due at a time; without a free connection it waits for one, and the wait counts. */
async function ask(due) {
  if (idle.length === 0 && open === most) return void queue.push(due);
  const connection = idle.pop() ?? (open++, new Connection(url));
  pending++;
  try {
    const { status, body } = await connection.ask(bytes);
    if (status !== 200 || body.length < expected) throw new Error(`status ${status}, ${body.length} bytes`);
    latencies.push(performance.now() - due);
    idle.push(connection);
  } catch (error) {
    open--;
    errors[error.message] = (errors[error.message] ?? 0) + 1;
  }
  pending--;
  if (queue.length > 0) void ask(queue.shift());
}

const total = Math.round(rate * seconds);
const start = performance.now();
let sent = 0;
// A timer has a resolution of 1 ms and would send in bursts; this looks at the clock in every turn of the loop.
(function turn() {
  for (const now = performance.now(); sent < total && start + (sent * 1000) / rate <= now; sent++)
    void ask(start + (sent * 1000) / rate);
  if (sent < total) return setImmediate(turn);
  const waiting = setInterval(() => {
    const late = performance.now() - start > seconds * 1000 + 5000;
    if (pending > 0 && !late) return;
    clearInterval(waiting);
    print({ latencies, seconds, errors, error: late ? `${pending} answers are missing after 5 s` : undefined });
  }, 5);
})();
