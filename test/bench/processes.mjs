// Children of the bench: start them on their core, wait until they listen, and leave none behind.
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** The repository: targets run in it, so that the package can import itself by name. */
export const root = resolve(import.meta.dirname, "../..");
/** Everything that the bench writes while it runs. */
export const folder = mkdtempSync(join(tmpdir(), "penstock-bench-"));
/** Core of the target, and the core that upstream and load generator share. */
export const cores = { target: 0, load: 1 };
/** Whether children can be bound to those cores. */
export const canPin = Object.values(cores).every(
  (core) => spawnSync("taskset", ["-c", `${core}`, "true"]).status === 0,
);

const children = new Set();

process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, (_, number) => process.exit(128 + number));

/** Text for people: no paths of this machine. */
export function anonymous(text) {
  return text
    .replaceAll(folder, "<tmp>")
    .replaceAll(`file://${root}/`, "")
    .replaceAll(`${root}/`, "")
    .replaceAll(root, ".");
}

// Thousands of streams need more descriptors than shells give; every step of the line keeps the process id.
const raised = ["sh", "-c", 'ulimit -n "$(ulimit -Hn)" 2>/dev/null; exec "$@"', "sh"];

/** A command line that runs on a core of its own, where that can be had. */
export function pinned(line, core) {
  return canPin ? ["taskset", "-c", `${core}`, ...line] : line;
}

/**
 * Starts a child on a core and keeps its output.
 * @param {{ command: string, args: string[], env?: Record<string, string> }} what
 * @param {number} core
 */
export function start({ command, args, env }, core) {
  const line = pinned([...raised, command, ...args], core);
  const options = { cwd: root, stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } };
  const child = spawn(line[0], line.slice(1), options);
  children.add(child);
  const running = { child, stdout: "", stderr: "", ended: undefined };
  // A proxy that logs a line per error must not fill our memory: the end is what explains a failure.
  for (const name of ["stdout", "stderr"])
    child[name].on("data", (data) => (running[name] = (running[name] + data).slice(-8192)));
  running.exit = new Promise((done) => {
    const end = (reason) => {
      children.delete(child);
      running.ended ??= reason;
      done();
    };
    child.on("error", (error) => end(error.message));
    child.on("close", (code, signal) => end(`exited with ${signal ?? code}`));
  });
  return running;
}

/** Ends a child and waits for it; a child that drains for too long is killed. */
export async function stop(running) {
  const timer = setTimeout(() => running.child.kill("SIGKILL"), 2000);
  running.child.kill("SIGTERM");
  await running.exit;
  clearTimeout(timer);
}

/** A port that is free now. */
export function freePort() {
  return new Promise((done, fail) => {
    const server = createServer().on("error", fail);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });
}

function accepts(port) {
  return new Promise((done) => {
    const socket = connect(port, "127.0.0.1");
    socket.on("connect", () => (socket.destroy(), done(true)));
    socket.on("error", () => done(false));
  });
}

/** Waits until a child listens, or throws with what it said instead. */
export async function ready(running, port) {
  for (const end = Date.now() + 15_000; Date.now() < end; await sleep(50)) {
    if (running.ended) throw new Error(`did not start: ${explain(running)}`);
    if (await accepts(port)) return;
  }
  throw new Error(`does not listen after 15 s: ${explain(running)}`);
}

/** Waits until a child has printed what `pattern` finds. Throws when it ends before, or after `seconds`. */
export async function said(running, pattern, seconds) {
  for (const end = Date.now() + seconds * 1000; ; await sleep(10)) {
    const found = pattern.exec(running.stdout);
    if (found) return found;
    if (running.ended) throw new Error(explain(running));
    if (Date.now() > end) throw new Error(`said nothing for ${seconds} s`);
  }
}

/** Why a child is in trouble, in one line. */
export function explain(running) {
  const lines = (running.stderr || running.stdout).trim().split("\n");
  const said = lines.find((line) => /error|cannot|failed|emerg/i.test(line)) ?? lines.at(-1);
  return anonymous([running.ended, said].filter(Boolean).join(", "));
}
