/**
 * A stdio server without an SDK, for faults: what it does, tools and options tell. It starts in no time, and depends on nothing.
 *
 * Options: `--ignore-eof` `--ignore-term` `--exit-first` `--modern` `--mute` (answers nothing) `--grandchild` (starts another process)
 */
import { spawn } from "node:child_process";
import { closeSync, writeSync } from "node:fs";

const options = new Set(process.argv.slice(2));
if (options.has("--exit-first")) {
  process.stderr.write("no such database\n");
  process.exit(3);
}
if (options.has("--ignore-term")) process.on("SIGTERM", () => {});
if (options.has("--grandchild"))
  spawn(process.execPath, ["-e", "process.on('SIGTERM', () => {}); setInterval(() => {}, 1e6)"], { stdio: "inherit" });
setInterval(() => {}, 1e6);

const waiting = new Map();
let asked = 0;
const answers = new Map();
let executed = 0;

const write = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
const answer = (id, result) => write({ jsonrpc: "2.0", id, result });
const text = (id, value) =>
  answer(id, { content: [{ type: "text", text: typeof value === "string" ? value : JSON.stringify(value) }] });
const tell = (method, params) => write({ jsonrpc: "2.0", method, ...(params && { params }) });

/** By name. */
const tools = {
  echo: (id, args) => text(id, args.text ?? ""),
  /** What it was started with. */
  look: (id) => text(id, { env: process.env, argv: process.argv.slice(2), cwd: process.cwd(), pid: process.pid }),
  /** Answers when `release` is called with the same name. */
  wait(id, { name = "" }) {
    executed++;
    waiting.set(name, [...(waiting.get(name) ?? []), id]);
    tell("notifications/message", { level: "info", data: `waiting ${name}` });
  },
  release(id, { name = "" }) {
    for (const held of waiting.get(name) ?? []) text(held, `released ${name}`);
    waiting.delete(name);
    text(id, "");
  },
  /** The same after a while. */
  later: (id, args) => void setTimeout(() => tools.release(id, args), args.ms),
  executed: (id) => text(id, executed),
  progress(id, { steps = 1 }, { progressToken } = {}) {
    for (let progress = 1; progress <= steps; progress++)
      tell("notifications/progress", { progressToken, progress, total: steps });
    text(id, String(progressToken));
  },
  /** Asks its client, and answers with the answer. */
  ask(id, { method = "roots/list" }) {
    const own = `ask-${++asked}`;
    answers.set(own, (message) => text(id, message.result ?? message.error));
    write({ jsonrpc: "2.0", id: own, method, params: {} });
  },
  changed(id) {
    tell("notifications/tools/list_changed");
    text(id, "");
  },
  cancelled: (id) => text(id, cancelled),
  exit: (_, { code = 1 }) => process.exit(code),
  die: () => process.kill(process.pid, "SIGKILL"),
  /** Bytes as they are, given in base64, each piece in a write of its own. */
  raw(id, { pieces }) {
    for (const piece of pieces) writeSync(1, Buffer.from(piece, "base64"));
    text(id, "");
  },
  /** Never a line end. */
  flood() {
    const piece = Buffer.alloc(64 * 1024, "x");
    const more = () => {
      while (process.stdout.write(piece));
      process.stdout.once("drain", more);
    };
    more();
  },
  stderr(id, { bytes = 0, line = "" }) {
    if (line) process.stderr.write(`${line}\n`);
    const piece = `${"noise ".repeat(16)}\n`.repeat(600);
    for (let left = bytes; left > 0; left -= piece.length) writeSync(2, piece);
    text(id, "");
  },
  /** Reads nothing any more. */
  deaf(id) {
    process.stdin.pause();
    text(id, "");
  },
  /** Closes its input and lives on. */
  closeStdin(id) {
    text(id, "");
    process.stdin.destroy();
    try {
      closeSync(0);
    } catch {
      // Done by the stream.
    }
  },
};
const cancelled = [];

function handle(message) {
  const { id, method, params = {} } = message;
  if (options.has("--mute") && method !== undefined) return;
  if (method === undefined) {
    answers.get(id)?.(message);
    answers.delete(id);
  } else if (method === "notifications/cancelled") cancelled.push(params.requestId);
  else if (method === "initialize" && !options.has("--modern"))
    answer(id, {
      protocolVersion: params.protocolVersion,
      capabilities: { tools: { listChanged: true } },
      serverInfo: { name: "stdio-child", version: "1" },
    });
  else if (method === "server/discover" && options.has("--modern"))
    answer(id, {
      resultType: "complete",
      supportedVersions: ["2026-07-28"],
      capabilities: { tools: { listChanged: true } },
      ttlMs: 0,
      cacheScope: "private",
      _meta: { "io.modelcontextprotocol/serverInfo": { name: "stdio-child", version: "1" } },
    });
  else if (method === "subscriptions/listen" && options.has("--modern"))
    tell("notifications/subscriptions/acknowledged", {
      notifications: params.notifications,
      _meta: { "io.modelcontextprotocol/subscriptionId": id },
    });
  else if (method === "tools/list")
    answer(id, {
      tools: Object.keys(tools).map((name) => ({ name, inputSchema: { type: "object" } })),
      ...(options.has("--modern") && { resultType: "complete", ttlMs: 0, cacheScope: "private" }),
    });
  else if (method === "tools/call") tools[params.name]?.(id, params.arguments ?? {}, params._meta);
  else if (method === "ping") answer(id, {});
  else if (id !== undefined) write({ jsonrpc: "2.0", id, error: { code: -32601, message: "Method not found" } });
}

let rest = "";
process.stdin.setEncoding("utf8");
process.stdin.on("data", (chunk) => {
  const lines = (rest + chunk).split("\n");
  rest = lines.pop();
  for (const line of lines) if (line) handle(JSON.parse(line));
});
process.stdin.on("end", () => {
  if (!options.has("--ignore-eof")) process.exit(0);
});
