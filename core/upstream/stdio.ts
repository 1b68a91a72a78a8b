/**
 * The driver for stdio servers. Towards the proxy a server of Streamable HTTP with sessions: `initialize` starts a process, which is the
 * session (MCP 2025-11-25, Lifecycle); DELETE ends it. Modern requests share one process (MCP 2026-07-28, Transports, stdio).
 */
import { randomBytes } from "node:crypto";
import { empty } from "../body/body.ts";
import { ProxyError } from "../errors.ts";
import { fillTimeouts } from "../timeouts.ts";
import type { Answer, Json, StdioServerConfig } from "../types.ts";
import type { ChannelRequest } from "./channel-session.ts";
import { Restarts } from "./restarts.ts";
import { StderrLines } from "./stderr-lines.ts";
import { ModernProcess, isModernRequest } from "./stdio-modern.ts";
import { SharedProcess } from "./stdio-shared.ts";
import { type StartWorker, type StdioSession, Worker, type WorkerContext, isError } from "./stdio-worker.ts";
import type { Driver, DriverHost, OnAbort } from "./wire.ts";

const MAX_PROCESSES = 100;

/** @param name the server's name, for error messages */
export function createStdioDriver(name: string, config: StdioServerConfig, host: DriverHost): Driver {
  return new StdioDriver(name, config, host);
}

class StdioDriver implements Driver {
  readonly #context: WorkerContext;
  readonly #workers = new Set<Worker>();
  readonly #sessions = new Map<string, StdioSession>();
  readonly #stopping = new Set<Promise<void>>();
  readonly #modern: ModernProcess;
  readonly #shared: SharedProcess | undefined;
  #closed = false;

  constructor(server: string, config: StdioServerConfig, host: DriverHost) {
    this.#context = {
      server,
      config,
      host,
      timeouts: fillTimeouts(config.timeouts),
      restarts: new Restarts(server),
      stderr: new StderrLines(server, host.log),
    };
    const start: StartWorker = (kind, onOver) => this.#start(kind, onOver);
    const stop = (worker: Worker) => void this.#stop(worker);
    this.#modern = new ModernProcess(server, start, stop);
    if (config.shared) this.#shared = new SharedProcess(server, host.log, start, stop);
  }

  async send(request: ChannelRequest, onAbort: OnAbort, method?: string, idText?: string): Promise<Answer> {
    const { headers } = request;
    if (request.method === "POST" && isModernRequest(request))
      return this.#modern.post(request, onAbort, method, idText);
    const id = headers.get("mcp-session-id");
    if (id === null) {
      if (request.method === "POST" && method === "initialize") return this.#initialize(request, onAbort, idText);
      throw new ProxyError("SESSION_REQUIRED", { server: this.#context.server });
    }
    const session = this.#sessions.get(id);
    if (!session) throw new ProxyError("SESSION_NOT_FOUND", { server: this.#context.server });
    if (request.method === "DELETE") {
      this.#end(session);
      return empty(200);
    }
    if (this.#shared) await this.#shared.serve(session);
    session.worker.use();
    if (request.method === "GET") return session.view.get(onAbort);
    // The one handshake of a shared process is done.
    if (this.#shared && method === "notifications/initialized") return empty(202);
    return session.view.post(request, onAbort, idText);
  }

  report(): Json {
    const { restarts, stderr } = this.#context;
    const suspended = Math.ceil(restarts.wait / 1000);
    return {
      processes: [...this.#workers].map((worker) => worker.report()),
      sessions: this.#sessions.size,
      exits: restarts.total,
      ...(suspended > 0 && { suspendedSeconds: suspended }),
      stderr: stderr.last,
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#sessions.clear();
    for (const worker of this.#workers) void this.#stop(worker, "STOPPING");
    await Promise.all(this.#stopping);
  }

  async #initialize(request: ChannelRequest, onAbort: OnAbort, idText: string | undefined): Promise<Answer> {
    // At least 128 bits that nobody can guess (MCP 2025-11-25, Security Best Practices).
    const id = randomBytes(24).toString("base64url");
    if (this.#shared) {
      const { answer, session } = await this.#shared.initialize(id, request, idText);
      if (session) this.#sessions.set(id, session);
      return answer;
    }
    const worker = await this.#start("session", () => this.#end(session));
    const session: StdioSession = { id, worker, view: worker.channel.open() };
    this.#sessions.set(id, session);
    // Whoever leaves before the answer, or gets none, does not know that there is a session.
    const end = () => this.#end(session);
    return session.view.post(request, onAbort, idText, {
      head(response) {
        if (response === undefined || !isError(response)) return { headers: { "mcp-session-id": id } };
        end();
        return {};
      },
      ended: (how) => how !== "answered" && end(),
      left: end,
    });
  }

  async #start(kind: Worker["kind"], onOver: () => void): Promise<Worker> {
    const { server, config, restarts } = this.#context;
    await restarts.ready();
    if (this.#closed) throw new ProxyError("STOPPING", { server });
    if (this.#workers.size >= (config.maxProcesses ?? MAX_PROCESSES))
      throw new ProxyError("SESSIONS_EXHAUSTED", { server, headers: { "retry-after": "10" } });
    const worker: Worker = new Worker(this.#context, kind, () => {
      void this.#stop(worker);
      onOver();
    });
    this.#workers.add(worker);
    const { idleTimeout = 0 } = config;
    if (idleTimeout > 0) this.#watchIdle(worker, idleTimeout, onOver);
    return worker;
  }

  #watchIdle(worker: Worker, limit: number, onOver: () => void): void {
    this.#context.host.deadlines.after(limit / 4, () => {
      if (!this.#workers.has(worker)) return;
      if (worker.idle < limit) return this.#watchIdle(worker, limit, onOver);
      this.#context.host.log.debug(() => `${this.#context.server}: nothing was asked of it for ${limit} ms; stopped`);
      void this.#stop(worker);
      onOver();
    });
  }

  /** A client ends its session, or its process ended. */
  #end(session: StdioSession): void {
    if (!this.#sessions.delete(session.id)) return;
    session.view.close();
    if (session.worker.kind === "session") void this.#stop(session.worker);
  }

  #stop(worker: Worker, code: "SESSION_NOT_FOUND" | "STOPPING" = "SESSION_NOT_FOUND"): Promise<void> {
    if (!this.#workers.delete(worker)) return Promise.resolve();
    const stopped = worker.stop(new ProxyError(code, { server: this.#context.server })).finally(() => {
      this.#stopping.delete(stopped);
    });
    this.#stopping.add(stopped);
    return stopped;
  }
}
