/** One process of a stdio server, and the channel over its pipe. */
import { findMembers } from "../body/members.ts";
import { ProxyError } from "../errors.ts";
import type { Json, StdioServerConfig } from "../types.ts";
import { Channel, type ChannelOptions } from "./channel.ts";
import type { ChannelSession } from "./channel-session.ts";
import { ServerProcess } from "./process.ts";
import type { Restarts } from "./restarts.ts";
import type { StderrLines } from "./stderr-lines.ts";
import type { DriverHost } from "./wire.ts";

/** What all workers of a server have in common. */
export interface WorkerContext {
  server: string;
  config: StdioServerConfig;
  host: DriverHost;
  timeouts: ChannelOptions["timeouts"];
  restarts: Restarts;
  stderr: StderrLines;
}

/** A session and who serves it. */
export interface StdioSession {
  readonly id: string;
  /** Of a shared process another one after each restart. */
  view: ChannelSession;
  worker: Worker;
}

/** Starts a process. @param onOver told when it ended by itself, or was stopped because nobody used it @throws ProxyError */
export type StartWorker = (kind: Worker["kind"], onOver: () => void) => Promise<Worker>;

export class Worker {
  readonly kind: ChannelOptions["kind"];
  readonly channel: Channel;
  readonly #context: WorkerContext;
  readonly #process: ServerProcess;
  readonly #onOver: () => void;
  readonly #forgetExit: () => void;
  readonly #startedAt = performance.now();
  #lastUse = performance.now();
  /** It has written a message: it could be started. */
  #speaks = false;
  #isOver = false;

  /**
   * Starts a process.
   *
   * @param onOver told once, when it ended by itself; then `stop` waits for what is left of it
   * @throws ProxyError `SERVER_START_FAILED`
   */
  constructor(context: WorkerContext, kind: ChannelOptions["kind"], onOver: () => void) {
    const { server, config, host, timeouts, stderr } = context;
    this.kind = kind;
    this.#context = context;
    this.#onOver = onOver;
    const { log, deadlines } = host;
    try {
      this.#process = new ServerProcess(
        server,
        { command: config.command, args: config.args ?? [], env: config.env, cwd: config.cwd },
        {
          line: (line) => this.#line(line),
          stderr: (pid) => stderr.reader(pid),
          over: (how) => this.#over(how),
        },
      );
    } catch (cause) {
      context.restarts.exited(this.#startedAt);
      throw new ProxyError("SERVER_START_FAILED", { server, cause });
    }
    this.channel = new Channel({ server, link: this.#process, log, deadlines, timeouts, kind });
    // Arguments and environment hold secrets.
    log.debug(() => `${server}: started pid ${this.#process.pid ?? "?"} (${kind})`);
    this.#forgetExit = host.atExit(() => this.#process.kill());
  }

  /** How long nothing was asked of it, in milliseconds. */
  get idle(): number {
    if (this.channel.pending > 0) this.use();
    return performance.now() - this.#lastUse;
  }

  /** Something is asked of it. */
  use(): void {
    this.#lastUse = performance.now();
  }

  /** Nobody needs it any more. @param why for what is still under way */
  async stop(why: ProxyError): Promise<void> {
    this.#isOver = true;
    this.channel.fail(why);
    await this.#process.stop();
    this.#forgetExit();
  }

  report(): Json {
    return {
      pid: this.#process.pid,
      kind: this.kind,
      since: this.#process.since.toISOString(),
      sessions: this.channel.sessions,
      pending: this.channel.pending,
    };
  }

  #line(line: Buffer): void {
    // A byte order mark, as some Windows programs write it.
    const text = line[0] === 0xef && line[1] === 0xbb && line[2] === 0xbf ? line.subarray(3) : line;
    const { server, host, restarts } = this.#context;
    if (this.channel.receive(text)) {
      if (!this.#speaks) restarts.started();
      this.#speaks = true;
    } else {
      host.log.debug(() => `${server}: no message on stdout: ${text.toString("utf8", 0, 200)}`);
    }
  }

  /** It ended by itself. */
  #over(how: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const { server, host, restarts, stderr } = this.#context;
    const busy = this.channel.pending;
    // Some legacy servers end when they are spoken to in 2026-07-28: that is an answer, and no fault.
    if (this.#speaks || this.kind !== "modern") restarts.exited(this.#startedAt);
    const last = stderr.telling;
    const detail = `pid ${this.#process.pid ?? "?"} ${how}, ${busy} requests under way${last ? `; last on stderr: ${last}` : ""}`;
    host.log.warn(() => `${server}: its process ${detail}`);
    // The advice must not quote what it wrote: a client may read it.
    const error = this.#speaks
      ? new ProxyError("UPSTREAM_BROKE", { server, detail, hint: `Its process ${how}.` })
      : new ProxyError("SERVER_START_FAILED", { server, detail, hint: `Its process ${how}.` });
    this.channel.fail(error);
    this.#onOver();
  }
}

export function isError(response: Buffer): boolean {
  return findMembers(response, { error: true })?.has("error") ?? false;
}
