/** The process of a stdio server (MCP 2025-11-25, Transports, stdio; Lifecycle, Shutdown): started without a shell, in a group of its own. */
import type { ChildProcess } from "node:child_process";
import spawn from "cross-spawn";
import { ProxyError } from "../errors.ts";
import type { ChannelLink } from "./channel.ts";
import { childEnvironment } from "./child-environment.ts";
import { LineFramer } from "./line-framer.ts";
import { groupLives, signalGroup } from "./process-group.ts";

/** Longest message, in bytes, as in the SDKs. */
const MAX_MESSAGE = 10 * 1024 * 1024;
/** What may wait for a server that does not read, in bytes; one message always may. */
const MAX_WAITING = 4 * 1024 * 1024;
/** How long each of the three ways to stop it has, in milliseconds. */
const GRACE = 2000;
/** What it wrote last is read this long after its end, in milliseconds: somebody else may hold its stdout. */
const LAST_WORDS = 50;
const POLL = 25;
const LF = Buffer.from("\n");

/** How a server is started. */
export interface Command {
  command: string;
  args: readonly string[];
  /** Declared; see {@link childEnvironment}. */
  env: Readonly<Record<string, string>> | undefined;
  cwd: string | undefined;
}

/** Who is told about a process. */
export interface ProcessHandlers {
  /** A line that it wrote to stdout. */
  line(line: Buffer): void;
  stderr(pid: number): { write(chunk: Buffer): void; end(): void };
  /** Once: it cannot be spoken to any more. What is left of it is being ended. @param how for the log */
  over(how: string): void;
}

export class ServerProcess implements ChannelLink {
  readonly since: Date = new Date();
  readonly #server: string;
  readonly #child: ChildProcess;
  readonly #handlers: ProcessHandlers;
  /** Resolves when it has exited, or could not be started. */
  readonly #exited: Promise<void>;
  #hasExited = false;
  #over = false;
  #gone = false;
  #waiting = 0;
  /** Pieces of its stdout. */
  #reads = 0;
  #paused = false;
  #ending: Promise<void> | undefined;

  /** A command that cannot be run is told to `over`. @throws Error where the runtime refuses to start anything */
  constructor(server: string, { command, args, env, cwd }: Command, handlers: ProcessHandlers) {
    this.#server = server;
    this.#handlers = handlers;
    // A group of its own: a terminal's Ctrl+C is the proxy's affair, and the group can be ended as a whole.
    const child = (this.#child = spawn(command, [...args], {
      cwd,
      env: childEnvironment(env),
      stdio: ["pipe", "pipe", "pipe"],
      shell: false,
      detached: process.platform !== "win32",
      windowsHide: true,
    }));
    this.#exited = new Promise((resolve) => {
      child.once("exit", (code, signal) => {
        this.#hasExited = true;
        resolve();
        this.#awaitLastWords(signal ? `was ended by ${signal}` : `exited with code ${code}`);
      });
      child.once("error", (cause: NodeJS.ErrnoException) => {
        // Also told when a signal could not be sent; then it lives.
        if (child.pid !== undefined) return;
        this.#hasExited = true;
        resolve();
        this.#end(whyNotStarted(cause));
      });
    });
    this.#read(child);
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** @throws ProxyError `SERVER_BUSY` when it does not read */
  send(text: Buffer): void {
    const { pid, stdin } = this.#child;
    // It could not be started, which is told in a moment.
    if (pid === undefined) return;
    if (this.#over || !stdin?.writable)
      throw new ProxyError("UPSTREAM_BROKE", { server: this.#server, hint: "Its process closed its stdin." });
    if (this.#waiting > 0 && this.#waiting + text.length > MAX_WAITING)
      throw new ProxyError("SERVER_BUSY", { server: this.#server, headers: { "retry-after": "1" } });
    const size = text.length + 1;
    this.#waiting += size;
    stdin.write(Buffer.concat([text, LF], size), () => (this.#waiting -= size));
  }

  pause(): void {
    this.#paused = true;
    this.#child.stdout?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#child.stdout?.resume();
  }

  /** Ends it in order: stdin closed, then SIGTERM, then SIGKILL, each with 2 s, the signals to its whole group. */
  stop(): Promise<void> {
    return (this.#ending ??= this.#stop());
  }

  /** Ends it at once, without waiting for anything. */
  kill(): void {
    const { pid } = this.#child;
    if (pid !== undefined && !this.#gone) signalGroup(pid, "SIGKILL");
  }

  #read(child: ChildProcess): void {
    const framer = new LineFramer(MAX_MESSAGE, (line) => {
      if (!this.#over) this.#handlers.line(line);
    });
    child.stdout?.on("data", (chunk: Buffer) => {
      this.#reads++;
      if (!this.#over && !framer.write(chunk)) this.#breakOff("wrote more than 10 MiB without a line break");
    });
    child.stdout?.once("end", () => {
      framer.end();
      breakOffSoon("closed its stdout");
    });
    // An exit says more, and is told a moment later.
    const breakOffSoon = (how: string) => setTimeout(() => this.#breakOff(how), LAST_WORDS);
    const { pid } = child;
    const stderr = pid === undefined ? undefined : this.#handlers.stderr(pid);
    child.stderr?.on("data", (chunk: Buffer) => stderr?.write(chunk));
    child.stderr?.once("end", () => stderr?.end());
    child.stdin?.on("error", () => breakOffSoon("closed its stdin"));
    child.stdout?.on("error", () => {});
    child.stderr?.on("error", () => {});
  }

  /** It exited; what it wrote before that may still be on its way, or wait for a slow client. */
  #awaitLastWords(how: string): void {
    const { stdout } = this.#child;
    const finish = () => this.#end(how);
    if (!stdout || stdout.readableEnded || stdout.destroyed) return finish();
    stdout.once("close", finish);
    const check = (before: number) => {
      if (this.#over) return;
      if (this.#paused || this.#reads > before) setTimeout(check, LAST_WORDS, this.#reads);
      else finish();
    };
    setTimeout(check, LAST_WORDS, this.#reads);
  }

  /** It lives, but is of no use any more. */
  #breakOff(how: string): void {
    if (this.#over || this.#hasExited) return;
    this.#end(how);
  }

  #end(how: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#handlers.over(how);
    void this.stop();
  }

  async #stop(): Promise<void> {
    const { pid, stdin } = this.#child;
    this.#over = true;
    if (pid === undefined) return;
    // It may write until it sees the end of its input; nobody reads that any more, but the pipe must not be full.
    this.#child.stdout?.resume();
    stdin?.end();
    if (!this.#hasExited) await this.#wait(() => !this.#hasExited);
    if (!this.#hasExited || groupLives(pid)) {
      signalGroup(pid, "SIGTERM");
      await this.#wait(() => !this.#hasExited || groupLives(pid));
      if (!this.#hasExited || groupLives(pid)) signalGroup(pid, "SIGKILL");
      await this.#wait(() => groupLives(pid));
    }
    await this.#exited;
    // From here on the number may be somebody else's.
    this.#gone = true;
    // Whoever is left of it keeps the pipes open; this process need not.
    for (const stream of [stdin, this.#child.stdout, this.#child.stderr]) stream?.destroy();
  }

  async #wait(goesOn: () => boolean): Promise<void> {
    const deadline = performance.now() + GRACE;
    while (goesOn() && performance.now() < deadline) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const tick = new Promise((resolve) => (timer = setTimeout(resolve, POLL)));
      await (this.#hasExited ? tick : Promise.race([tick, this.#exited]));
      clearTimeout(timer);
    }
  }
}

/** @returns for the log and for advice; no path of this machine in it */
function whyNotStarted({ code, message }: NodeJS.ErrnoException): string {
  if (code === "ENOENT") return "could not be started: there is no such command, or no such cwd";
  if (code === "EACCES") return "could not be started: the command may not be run";
  return `could not be started: ${code ?? message}`;
}
