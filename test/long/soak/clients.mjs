/**
 * The clients of the soak, a process of their own: calls at a steady pace, a number of open streams, and clients that leave or
 * read slowly. Every call is numbered and must have exactly one outcome, at whoever made it.
 *
 * Parent → `{ url, key, rate, streams, ms, first }`: `first` is the number of the first call. It is sent `{ report }` when the time is over and everything has ended.
 */
import { Agent, request as open } from "node:http";

const MOUNTS = ["a", "b", "c"];
/** A call without an outcome after this long, in milliseconds, is lost. */
const DEADLINE = 10_000;
const TICK = 20;

const agent = new Agent({ keepAlive: true, maxSockets: 512 });
const report = {
  sent: 0,
  outcomes: {},
  latencies: { json: [], sse: [] },
  /** Calls and streams that failed: when they began and ended, where, and how. */
  errors: [],
  lost: [],
  duplicated: [],
  misrouted: [],
  events: 0,
};

/** What each kind of call asks for, and how often. */
const KINDS = [
  [55, "json", { tool: "json" }],
  [20, "sse", { tool: "sse" }],
  [5, "list", { method: "tools/list" }],
  [4, "denied", { tool: "hidden_a" }],
  [3, "stranger", { tool: "json", stranger: true }],
  [10, "leaves", { leaves: true }],
  [3, "slow", { tool: "big", slow: true }],
];
const TOTAL = KINDS.reduce((sum, [weight]) => sum + weight, 0);

function pickKind() {
  let at = Math.random() * TOTAL;
  return KINDS.find(([weight]) => (at -= weight) < 0) ?? KINDS[0];
}
const pick = (list) => list[Math.floor(Math.random() * list.length)];

let running = 0;

function call(settings) {
  const n = settings.first + report.sent++;
  const [, kind, what] = pickKind();
  const mount = pick(MOUNTS);
  const began = Date.now();
  const since = performance.now();
  running++;
  let over = false;
  const done = (outcome, detail) => {
    if (over) return;
    over = true;
    running--;
    clearTimeout(limit);
    report.outcomes[outcome] = (report.outcomes[outcome] ?? 0) + 1;
    if (outcome === "error") report.errors.push({ mount, from: began, to: Date.now(), detail: `${kind}: ${detail}` });
    if (outcome === "lost") report.lost.push(n);
    if (outcome === "answer" && report.latencies[kind]) report.latencies[kind].push(performance.now() - since);
  };
  const limit = setTimeout(() => {
    done("lost");
    request.destroy();
  }, DEADLINE);
  // Ids repeat: an answer that goes astray would be taken for another one.
  const id = n % 100;
  const { method = "tools/call", tool = pick(["json", "wait", "sse", "big"]) } = what;
  const params = method === "tools/call" ? { name: tool, arguments: { n } } : {};
  const body = JSON.stringify({ jsonrpc: "2.0", id, method, params });
  const request = open(`${settings.url}/${mount}/mcp`, {
    method: "POST",
    agent,
    headers: headers(what.stranger ? "x".repeat(32) : settings.key, body),
  });
  request.on("error", (error) => done("error", error.code ?? error.message));
  request.on("response", (response) => read(response, { n, id, mount, kind, what, done }));
  request.end(body);
  // Before the head, between two events, after the end: by chance.
  if (what.leaves)
    setTimeout(() => {
      done("left");
      request.destroy();
    }, Math.random() * 60);
}

function headers(key, body) {
  return {
    authorization: `Bearer ${key}`,
    accept: "application/json, text/event-stream",
    ...(body && { "content-type": "application/json", "content-length": Buffer.byteLength(body) }),
  };
}

function read(response, { n, id, mount, kind, what, done }) {
  const { statusCode, headers } = response;
  const chunks = [];
  response.on("data", (chunk) => {
    chunks.push(chunk);
    if (!what.slow || chunks.length > 1) return;
    response.pause();
    setTimeout(() => response.resume(), 1000);
  });
  response.on("error", (error) => done("error", error.code ?? error.message));
  response.on("end", () => {
    const text = Buffer.concat(chunks).toString();
    if (kind === "stranger") return done(statusCode === 401 ? "unauthorized" : "error", `HTTP ${statusCode}`);
    const isStream = String(headers["content-type"]).startsWith("text/event-stream");
    const messages = (
      isStream ? text.split("\n\n").flatMap((event) => (event.startsWith("data: ") ? [event.slice(6)] : [])) : [text]
    ).map((each) => JSON.parse(each));
    const answers = messages.filter((message) => message.result !== undefined || message.error !== undefined);
    if (answers.length > 1) report.duplicated.push(n);
    const [answer] = answers;
    const foreign = messages.some(({ params }) => params !== undefined && params.progressToken !== n);
    if (!answer) return done("error", "no answer");
    if (answer.id !== id || foreign) report.misrouted.push(n);
    if (kind === "denied") return done(answer.error?.code === -32602 ? "denied" : "error", answer.error?.message);
    if (answer.error) return done("error", `HTTP ${statusCode} ${answer.error.data?.code ?? answer.error.message}`);
    if (answer.result.mount !== mount || (answer.result.n !== undefined && answer.result.n !== n))
      report.misrouted.push(n);
    if (kind === "list" && answer.result.tools.length !== 1) return done("error", "a hidden tool");
    done("answer");
  });
}

let stopped = false;
const streams = new Set();

/** An event stream that somebody listens to for a while. Its events are numbered. */
function listen(settings, name) {
  const mount = pick(MOUNTS);
  const began = Date.now();
  const request = open(`${settings.url}/${mount}/mcp`, {
    agent: false,
    headers: { ...headers(settings.key), "x-stream": name },
  });
  let left = false;
  let over = false;
  let seq = 0;
  let rest = "";
  const leave = () => {
    left = true;
    request.destroy();
  };
  const closed = (detail) => {
    if (over) return;
    over = true;
    streams.delete(leave);
    clearTimeout(timer);
    if (!left) report.errors.push({ mount, from: began, to: Date.now(), detail: `stream: ${detail}` });
    // Not at once: a server that is away would be asked without a pause.
    if (!stopped) setTimeout(() => stopped || listen(settings, `${name}+`.slice(-40)), 100);
  };
  const timer = setTimeout(leave, 5000 + Math.random() * 25_000);
  streams.add(leave);
  request.on("error", (error) => closed(error.code ?? error.message));
  request.on("response", (response) => {
    if (response.statusCode !== 200) {
      response.resume();
      return closed(`HTTP ${response.statusCode}`);
    }
    response.setEncoding("utf8");
    response.on("data", (text) => {
      const events = (rest + text).split("\n\n");
      rest = events.pop();
      for (const event of events) {
        if (!event.startsWith("data: ")) continue;
        const { params } = JSON.parse(event.slice(6));
        if (params === undefined) continue;
        report.events++;
        seq++;
        if (params.stream !== name) report.misrouted.push(`${name}#${params.stream}`);
        else if (params.seq > seq) report.lost.push(`${name}:${seq}`);
        else if (params.seq < seq) report.duplicated.push(`${name}:${seq}`);
        seq = params.seq ?? seq;
      }
    });
    response.on("error", (error) => closed(error.code ?? error.message));
    response.on("end", () => closed("the end"));
    response.on("close", () => closed("closed"));
  });
  request.end();
}

process.on("message", async (settings) => {
  const { rate, ms } = settings;
  for (let i = 0; i < settings.streams; i++) listen(settings, `s${i}`);
  const started = performance.now();
  let sent = 0;
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - started) * rate) / 1000);
    // A process that was stopped for a while does not make up for it with a burst.
    if (due - sent > rate) sent = due - rate;
    for (; sent < due; sent++) call(settings);
  }, TICK);
  await new Promise((resolve) => setTimeout(resolve, ms));
  clearInterval(timer);
  stopped = true;
  for (const leave of streams) leave();
  // oxlint-disable-next-line no-unmodified-loop-condition -- calls that end change it
  while (running > 0) await new Promise((resolve) => setTimeout(resolve, 50));
  agent.destroy();
  const seconds = (performance.now() - started) / 1000;
  for (const [kind, list] of Object.entries(report.latencies)) report.latencies[kind] = summary(list);
  process.send({ report: { ...report, seconds } });
});

function summary(list) {
  list.sort((a, b) => a - b);
  const at = (share) => list[Math.min(list.length - 1, Math.floor(list.length * share))] ?? 0;
  return { count: list.length, p50: at(0.5), p99: at(0.99), max: list.at(-1) ?? 0 };
}
process.on("disconnect", () => process.exit());
