/** One request that waits for its answer: which form the answer takes, and how long it is waited for. */
import { BytesBody, StreamBody, empty } from "./body/body.ts";
import type { Deadline, Deadlines } from "./deadlines.ts";
import { ProxyError } from "./errors.ts";
import { HeaderList } from "./headers.ts";
import type { Answer, RequestTimeouts } from "./types.ts";
import { EventQueue } from "./body/event-queue.ts";

/** A response that is not there after this long becomes an event stream, so that whoever waits is kept company. */
const STREAM_AFTER = 1000;

/** What the head of an answer says, when it is made; asked once more if the response comes later. @param response its text, if it is there */
export type DescribeHead = (response: Buffer | undefined) => { status?: number; headers?: Record<string, string> };

/** `answered`: by the server · `cancelled`: by the client · `failed`: for any other reason than time. */
export type CallEnd = "answered" | "cancelled" | "failed" | "timed out";

/** What a call is told, and tells. */
export interface CallOptions {
  server: string;
  deadlines: Deadlines;
  /** In milliseconds; 0 means none. */
  timeouts: Readonly<Required<Omit<RequestTimeouts, "body">>>;
  /** The client takes an event stream. */
  streams: boolean;
  head?: DescribeHead;
  /** It waits for no response any more. */
  onEnd(how: CallEnd): void;
  /** Nobody waits, but there is no response yet. */
  onLeft(): void;
  /** See {@link EventQueue}. */
  onFull(): void;
  onRoom(): void;
}

export class PendingAnswer {
  readonly answer: Promise<Answer>;
  readonly #options: CallOptions;
  readonly #queue: EventQueue;
  #resolve!: (answer: Answer) => void;
  #reject!: (error: ProxyError) => void;
  #limit: Deadline | undefined;
  #total: Deadline | undefined;
  #patience: Deadline | undefined;
  /** The head of the answer is out. */
  #headed = false;
  /** There was a message for it. */
  #heard = false;
  #over = false;
  /** Nobody waits any more. */
  deaf = false;

  constructor(options: CallOptions) {
    this.#options = options;
    const { onFull, onRoom } = options;
    this.#queue = new EventQueue({ full: onFull, room: onRoom, left: () => this.leave() });
    this.answer = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    const { deadlines, timeouts, streams } = options;
    const { headers, total } = timeouts;
    if (headers > 0) this.#limit = deadlines.after(headers, () => this.#timeOut(`no answer after ${headers} ms`));
    if (total > 0) this.#total = deadlines.after(total, () => this.#timeOut(`not at its end after ${total} ms`));
    if (streams) this.#patience = deadlines.after(STREAM_AFTER, () => this.#openStream());
  }

  /** Messages that are not its response can be given to it. */
  get listens(): boolean {
    return this.#options.streams && !this.deaf && !this.#over;
  }

  get stalled(): boolean {
    return this.#headed && this.#queue.stalled;
  }

  /** @param pieces one message of the server that belongs to it */
  push(pieces: readonly Uint8Array[]): void {
    this.#note();
    if (!this.listens) return;
    this.#openStream();
    this.#queue.push(pieces);
  }

  /** @param pieces the response */
  respond(pieces: readonly Uint8Array[]): void {
    if (!this.#finish("answered") || this.deaf) return;
    const body = Buffer.concat(pieces);
    const head = this.#options.head?.(body);
    if (this.#headed) {
      this.#queue.push([body]);
      return this.#queue.end();
    }
    this.#headed = true;
    const headers = HeaderList.from({ "content-type": "application/json", ...head?.headers });
    this.#resolve({ status: head?.status ?? 200, headers, body: new BytesBody(body) });
  }

  /** The client took its request back: there will be no response (MCP 2025-11-25, Cancellation). */
  cancel(): void {
    if (!this.#finish("cancelled") || this.deaf) return;
    // A client that takes no stream is told that there is nothing to come.
    if (this.#options.streams) this.#openStream();
    else this.#resolve(empty(202));
    this.#queue.end(true);
  }

  fail(error: ProxyError): void {
    if (this.#finish("failed")) this.#break(error);
  }

  /** Whoever asked is gone. What that means for the server is not decided here. */
  leave(): void {
    if (this.deaf || this.#over) return;
    this.deaf = true;
    this.#patience?.cancel();
    if (!this.#headed) this.#reject(new ProxyError("CLIENT_GONE", { server: this.#options.server }));
    this.#queue.abort();
    this.#options.onLeft();
  }

  #openStream(): void {
    if (this.#headed) return;
    this.#headed = true;
    this.#patience?.cancel();
    const { headers: more } = this.#options.head?.(undefined) ?? {};
    const headers = HeaderList.from({ "content-type": "text/event-stream", ...more });
    this.#resolve({ status: 200, headers, body: new StreamBody(this.#queue) });
  }

  /** The server is at work: from here on only silence counts. */
  #note(): void {
    if (this.#over) return;
    if (this.#heard) return this.#limit?.restart();
    this.#heard = true;
    this.#limit?.cancel();
    this.#limit = undefined;
    this.#watchGap();
  }

  #watchGap(): void {
    const { deadlines, timeouts } = this.#options;
    const { stream } = timeouts;
    if (stream <= 0) return;
    this.#limit = deadlines.after(stream, () => {
      // It is the client that is slow.
      if (this.stalled) return this.#watchGap();
      this.#timeOut(`no message for ${stream} ms`, "UPSTREAM_SILENT");
    });
  }

  #timeOut(detail: string, code: "UPSTREAM_TIMEOUT" | "UPSTREAM_SILENT" = "UPSTREAM_TIMEOUT"): void {
    if (this.#finish("timed out")) this.#break(new ProxyError(code, { server: this.#options.server, detail }));
  }

  #break(error: ProxyError): void {
    if (this.deaf) return;
    if (this.#headed) this.#queue.fail(error);
    else this.#reject(error);
    this.#headed = true;
  }

  #finish(how: CallEnd): boolean {
    if (this.#over) return false;
    this.#over = true;
    this.#limit?.cancel();
    this.#total?.cancel();
    this.#patience?.cancel();
    this.#options.onEnd(how);
    return true;
  }
}
