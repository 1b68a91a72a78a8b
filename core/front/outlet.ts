/** The two ways out of the process: a Node response, and a web stream for every other host. */
import type { Outlet, Pipe } from "../body/pipe.ts";

/** What is used of Node's `ServerResponse`, or of the stream that stands in for it when a host reads `Response.body`. */
export interface NodeWritable {
  write(chunk: Uint8Array): boolean;
  end(chunk?: Uint8Array): void;
  destroy(): void;
  on(event: "drain", listener: () => void): unknown;
  flushHeaders?(): void;
  readonly headersSent?: boolean;
  readonly writableNeedDrain?: boolean;
  readonly socket?: { destroySoon(): void } | null;
}

/** The object that srvx asks to write itself. It must not look like a stream: then the head would wait for the first byte. */
export class PipeableBody {
  readonly #pipe: Pipe;

  constructor(pipe: Pipe) {
    this.#pipe = pipe;
  }

  pipe(response: NodeWritable): void {
    this.#pipe.attach(new NodeOutlet(response, this.#pipe));
  }

  abort(): void {
    this.#pipe.abort();
  }
}

class NodeOutlet implements Outlet {
  readonly #response: NodeWritable;
  readonly #pipe: Pipe;
  #flushed = false;
  #listening = false;

  constructor(response: NodeWritable, pipe: Pipe) {
    this.#response = response;
    this.#pipe = pipe;
  }

  write(chunk: Uint8Array): boolean {
    this.#flushed = true;
    if (this.#response.write(chunk)) return true;
    // Only a slow client pays for a listener.
    if (!this.#listening) this.#response.on("drain", () => this.#pipe.drained());
    this.#listening = true;
    return false;
  }

  end(last?: Uint8Array): void {
    this.#response.end(last);
  }

  cut(): void {
    const { socket, writableNeedDrain } = this.#response;
    // destroySoon() still sends what was written in this tick; a client that does not read would keep it waiting.
    if (socket && !writableNeedDrain) socket.destroySoon();
    else this.#response.destroy();
  }

  flushHead(): void {
    if (this.#flushed) return;
    this.#flushed = true;
    this.#response.flushHeaders?.();
  }
}

/** Some hosts (Bun) send no head before the first byte of a body: an event stream can begin with a comment (WHATWG HTML §9.2.6). */
const OPENING = new TextEncoder().encode(":\n\n");

/**
 * A pipe as the body of a web `Response`.
 *
 * @param isEvents it is an event stream
 * @param closed told how it ended, once or more
 */
export function toWebStream(
  pipe: Pipe,
  isEvents: boolean,
  closed: (whole: boolean) => void,
): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        pipe.attach(new WebOutlet(controller, isEvents, closed));
      },
      pull() {
        pipe.drained();
      },
      cancel() {
        pipe.abort();
        closed(false);
      },
    },
    // Small, so that a client that does not read stops the server soon.
    { highWaterMark: 16 },
  );
}

class WebOutlet implements Outlet {
  readonly #controller: ReadableStreamDefaultController<Uint8Array>;
  readonly #closed: (whole: boolean) => void;
  /** Whether a comment may still open the stream: nothing was written, and comments are allowed. */
  #mayOpen: boolean;

  constructor(
    controller: ReadableStreamDefaultController<Uint8Array>,
    isEvents: boolean,
    closed: (whole: boolean) => void,
  ) {
    this.#controller = controller;
    this.#mayOpen = isEvents;
    this.#closed = closed;
  }

  write(chunk: Uint8Array): boolean {
    this.#mayOpen = false;
    this.#controller.enqueue(chunk);
    return (this.#controller.desiredSize ?? 0) > 0;
  }

  end(last?: Uint8Array): void {
    if (last) this.#controller.enqueue(last);
    this.#controller.close();
    this.#closed(true);
  }

  cut(): void {
    this.#controller.error(new Error("the answer is not whole"));
    this.#closed(false);
  }

  flushHead(): void {
    if (!this.#mayOpen) return;
    this.#mayOpen = false;
    this.#controller.enqueue(OPENING);
  }
}
