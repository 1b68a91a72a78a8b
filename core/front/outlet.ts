/** The way out of a Penstock that is mounted in another program: a web `Response`. */
import { type Outlet, Pipe } from "../body/pipe.ts";
import type { Outgoing } from "../down.ts";
import { isEventStream } from "../headers.ts";
import type { Inbound } from "./inbound.ts";

/** @param inbound is told how it ended */
export function toResponse({ status, headers, body }: Outgoing, inbound: Inbound): Response {
  const init = { status, headers: headers.toPairs() };
  const closed = (whole: boolean) => inbound.closed(whole);
  if (body instanceof Pipe) return new Response(toWebStream(body, isEventStream(headers), closed), init);
  closed(true);
  return new Response(body as Uint8Array<ArrayBuffer> | null, init);
}

/** Some hosts (Bun) send no head before the first byte of a body: an event stream can begin with a comment (WHATWG HTML §9.2.6). */
const OPENING = new TextEncoder().encode(":\n\n");

/**
 * A pipe as the body of a web `Response`.
 *
 * @param isEvents it is an event stream
 * @param closed told how it ended, once or more
 */
function toWebStream(pipe: Pipe, isEvents: boolean, closed: (whole: boolean) => void): ReadableStream<Uint8Array> {
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
