/** The one process that modern requests share (MCP 2026-07-28, Transports, stdio): it keeps nothing of a client. */
import { jsonText } from "../body/body.ts";
import { errorResponse, isRecord, writeMessage } from "../body/message.ts";
import { mentionsClient } from "../clients.ts";
import { decideEra, eraOf } from "../era.ts";
import { isProxyError } from "../errors.ts";
import type { Answer, Message } from "../types.ts";
import type { DescribeHead } from "../pending-answer.ts";
import type { ChannelRequest, ChannelSession } from "./channel-session.ts";
import type { StartWorker, Worker } from "./stdio-worker.ts";
import type { OnAbort } from "./wire.ts";

/** What a server without `server/discover` is not asked again for this long, in milliseconds. */
const HORIZON = 600_000;
/** The same where it was silent or ended: that may have had another reason. */
const SHORT_HORIZON = 30_000;
const SILENT: ReadonlySet<string> = new Set(["SERVER_START_FAILED", "UPSTREAM_BROKE", "UPSTREAM_TIMEOUT"]);
/** HTTP status of errors of the protocol itself (MCP 2026-07-28, Streamable HTTP). */
const STATUS: Readonly<Record<number, number>> = { [-32601]: 404, [-32020]: 400, [-32021]: 400, [-32022]: 400 };
/** What only a server of 2026-07-28 or later says (Versioning, "Era detection"). */
const MODERN_ERRORS: ReadonlySet<number> = new Set([-32020, -32021, -32022]);
/** Longest error that is looked into, in bytes. */
const MAX_ERROR = 16 * 1024;

interface Running {
  worker: Worker;
  session: ChannelSession;
}

export class ModernProcess {
  readonly #server: string;
  readonly #start: StartWorker;
  readonly #stop: (worker: Worker) => void;
  #running: Promise<Running> | undefined;
  #legacyUntil = 0;

  /** @param stop ends a process that nobody needs */
  constructor(server: string, start: StartWorker, stop: (worker: Worker) => void) {
    this.#server = server;
    this.#start = start;
    this.#stop = stop;
  }

  /** @throws ProxyError */
  async post(request: ChannelRequest, onAbort: OnAbort, method?: string, idText?: string): Promise<Answer> {
    const probes = method === "server/discover";
    if (probes && performance.now() < this.#legacyUntil) return this.#notModern(idText);
    const { worker, session } = await this.#get();
    worker.use();
    let code: number | undefined;
    const head: DescribeHead = (response) => {
      code = response && errorCode(response);
      return code === undefined ? {} : { status: STATUS[code] };
    };
    const failed = (cause: unknown): Answer => {
      // MCP 2026-07-28, Versioning: over stdio also silence, and the end of the process, say that it is a legacy server.
      if (!probes || !isProxyError(cause) || !SILENT.has(cause.code)) throw cause;
      this.#isLegacy(worker, SHORT_HORIZON);
      return this.#notModern(idText);
    };
    const answer = await session.post(request, onAbort, idText, { head }).catch(failed);
    if (probes && code !== undefined && !MODERN_ERRORS.has(code)) this.#isLegacy(worker, HORIZON);
    return answer;
  }

  async #get(): Promise<Running> {
    this.#running ??= this.#open();
    const running = this.#running;
    return running.catch((cause: unknown) => {
      if (this.#running === running) this.#running = undefined;
      throw cause;
    });
  }

  async #open(): Promise<Running> {
    const worker = await this.#start("modern", () => (this.#running = undefined));
    return { worker, session: worker.channel.open() };
  }

  #isLegacy(worker: Worker, horizon: number): void {
    this.#legacyUntil = performance.now() + horizon;
    if (worker.channel.pending > 0) return;
    this.#running = undefined;
    this.#stop(worker);
  }

  #notModern(idText: string | undefined): Answer {
    const message = `Server '${this.#server}' does not know server/discover: it speaks a revision before 2026-07-28.`;
    const id = idText === undefined ? null : (JSON.parse(idText) as string | number);
    return jsonText(writeMessage(errorResponse(id, { code: -32601, message }), idText), 404);
  }
}

/** To which era a posted message belongs: its envelope decides, or the header where the body tells nothing. */
export function isModernRequest({ headers, body }: ChannelRequest): boolean {
  const byHeader = eraOf(headers.get("mcp-protocol-version")) === "modern";
  if (body instanceof Uint8Array && !byHeader && !mentionsClient(body)) return false;
  const message: unknown = body instanceof Uint8Array ? JSON.parse(new TextDecoder().decode(body)) : body;
  return isRecord(message) && decideEra("POST", headers, message as unknown as Message).era === "modern";
}

function errorCode(response: Buffer): number | undefined {
  if (response.length > MAX_ERROR) return undefined;
  try {
    const { error } = JSON.parse(response.toString()) as Message;
    return error?.code;
  } catch {
    return undefined;
  }
}
