/** One request to a modern server, and what it answers: of a call with questions there are several, one after the other. */
import {
  type Answer,
  type Deadline,
  type Deadlines,
  JsonObject,
  ProxyError,
  type UpstreamRequest,
  discard,
  isProxyError,
} from "../../../core/index.ts";
import { MessageReader, type MessageTaker, type ServerMessage } from "../messages.ts";

/** Largest message, in bytes. */
const MAX_MESSAGE = 16 * 1024 * 1024;
/** After its response a stream has this long to end by itself, so that its connection can be used again. */
const LINGER = 1000;
/** Answers that are about the way to the server: who asks, and whether it has time. Hooks and clients know them by their status. */
export function isAboutTheWay(status: number): boolean {
  return status === 401 || status === 403 || status === 429 || status >= 500;
}

/** Told by a leg. One of the last three comes, once. */
export interface LegOwner {
  notified(message: ServerMessage): void;
  /** @param status HTTP status that it came with */
  responded(response: JsonObject, isError: boolean, status: number): void;
  /** The server, or somebody before it, did not take the request. */
  refused(answer: Answer): void;
  failed(error: ProxyError): void;
}

export class Leg implements MessageTaker {
  readonly #owner: LegOwner;
  readonly #deadlines: Deadlines;
  readonly #controller = new AbortController();
  #reader: MessageReader | undefined;
  #linger: Deadline | undefined;
  #status = 200;
  #paused = false;
  /** What still comes is nobody's. */
  #over = false;

  constructor(owner: LegOwner, deadlines: Deadlines) {
    this.#owner = owner;
    this.#deadlines = deadlines;
  }

  /** @param request without a signal */
  async send(next: (request: UpstreamRequest) => Promise<Answer>, request: UpstreamRequest): Promise<void> {
    let answer: Answer;
    try {
      answer = await next({ ...request, signal: this.#controller.signal });
    } catch (cause) {
      return this.fail(isProxyError(cause) ? cause : new ProxyError("INTERNAL", { cause }));
    }
    if (this.#over) return discard(answer);
    if (isAboutTheWay(answer.status)) {
      this.#over = true;
      return this.#owner.refused(answer);
    }
    this.#status = answer.status;
    this.#reader = new MessageReader(answer, MAX_MESSAGE, this);
    if (this.#paused) this.#reader.pause();
    this.#reader.start();
  }

  pause(): void {
    this.#paused = true;
    this.#reader?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#reader?.resume();
  }

  /** MCP 2026-07-28, Cancellation: the end of the connection tells the server that nobody waits. */
  abort(): void {
    this.#over = true;
    this.#reader?.abort();
    this.#controller.abort();
  }

  message(message: ServerMessage): void {
    if (this.#over) return;
    // A modern server sends no requests.
    if (message.kind !== "response") return void (message.kind === "notification" && this.#owner.notified(message));
    this.#over = true;
    // Nobody is slow any more: what is left has no reader.
    this.resume();
    this.#linger = this.#deadlines.after(LINGER, () => this.abort());
    this.#owner.responded(JsonObject.read(message.text)!, message.isError, this.#status);
  }

  end(): void {
    // Kept until then, calls that are long over would be most of what this process holds.
    if (this.#over) return this.#linger?.cancel();
    const isOk = this.#status < 400;
    this.fail(
      new ProxyError("UPSTREAM_INVALID", {
        detail: isOk ? "the answer ended without a response" : `HTTP ${this.#status} without a response`,
      }),
    );
  }

  fail(error: ProxyError): void {
    if (this.#over) return;
    this.#over = true;
    this.#owner.failed(error);
  }
}
