/** A session's GET stream, and what waits for it until it is opened. */
import { StreamBody } from "../body/body.ts";
import { HeaderList } from "../headers.ts";
import type { Answer } from "../types.ts";
import type { Holder, Holds } from "./channel-holds.ts";
import { EventQueue } from "../body/event-queue.ts";
import type { ProxyError } from "../errors.ts";
import type { OnAbort } from "./wire.ts";

/** Messages that are kept, as those are that a server sends right after the handshake. */
const MAX_KEPT = 32;
const MAX_KEPT_BYTES = 64 * 1024;

export class Listener {
  readonly #holds: Holds;
  #stream: EventQueue | undefined;
  #kept: Buffer[] = [];

  constructor(holds: Holds) {
    this.#holds = holds;
  }

  get isOpen(): boolean {
    return this.#stream !== undefined;
  }

  /** There is one: a second takes its place, because the first may be long gone. */
  open(onAbort: OnAbort): Answer {
    this.#stream?.end();
    const holder: Holder = { cut: (error) => stream.fail(error) };
    const stream = new EventQueue({
      full: () => this.#holds.add(holder),
      room: () => this.#holds.remove(holder),
      left: () => {
        if (this.#stream === stream) this.#stream = undefined;
      },
    });
    this.#stream = stream;
    onAbort(() => stream.abort());
    for (const text of this.#kept) stream.push([text]);
    this.#kept = [];
    const headers = HeaderList.from({ "content-type": "text/event-stream" });
    return { status: 200, headers, body: new StreamBody(stream) };
  }

  push(text: Buffer): void {
    this.#stream?.push([text]);
  }

  /** A notification; the oldest go where there are many. */
  keep(text: Buffer): void {
    if (text.length > MAX_KEPT_BYTES) return;
    // A copy: the text is a part of what was read from the pipe.
    this.#kept.push(Buffer.from(text));
    let size = this.#kept.reduce((sum, { length }) => sum + length, 0);
    while (this.#kept.length > MAX_KEPT || size > MAX_KEPT_BYTES) size -= this.#kept.shift()!.length;
  }

  /** @param error why it breaks @default it ends well */
  end(error?: ProxyError): void {
    if (error) this.#stream?.fail(error);
    else this.#stream?.end();
    this.#stream = undefined;
    this.#kept = [];
  }
}
