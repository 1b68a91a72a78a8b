/** An event stream of changes for one client. */
import { type Answer, EventQueue, fromSource } from "../../core/index.ts";

/** Things whose change is kept for a client that does not read; the oldest go. */
const MAX_KEPT = 1000;

/**
 * A change says that something is not as it was, not how: while nobody reads, one of a kind is kept, and a slow client never
 * holds its server up.
 */
export class ChangeStream {
  readonly #kept = new Map<string, Buffer>();
  #queue: EventQueue | undefined;
  #isFull = false;

  get isOpen(): boolean {
    return this.#queue !== undefined;
  }

  /**
   * A reader, in place of the one that may be there.
   *
   * @param left it does not read on, and no other took its place @param first said before all that was kept
   */
  open(left: () => void, first?: Buffer): Answer {
    this.end();
    const queue = new EventQueue({
      full: () => (this.#isFull = true),
      room: () => {
        // There is also room where nothing can come any more.
        if (this.#queue !== queue || queue.ended) return;
        this.#isFull = false;
        this.#flush();
      },
      left: () => {
        if (this.#queue !== queue) return;
        this.#queue = undefined;
        left();
      },
    });
    this.#queue = queue;
    this.#isFull = false;
    if (first) queue.push([first]);
    this.#flush();
    return fromSource(queue, { "content-type": "text/event-stream" });
  }

  /** @param subject of two messages about the same the later one is enough */
  push(subject: string, text: Buffer): void {
    if (this.#queue && !this.#isFull) return this.#queue.push([text]);
    this.#kept.delete(subject);
    // A copy: the text is a part of what was read from the server.
    this.#kept.set(subject, Buffer.from(text));
    if (this.#kept.size > MAX_KEPT) this.#kept.delete(this.#kept.keys().next().value!);
  }

  /** @param last what is still said */
  end(last?: Buffer): void {
    const queue = this.#queue;
    this.#queue = undefined;
    if (last) queue?.push([last]);
    queue?.end();
  }

  #flush(): void {
    for (const [subject, text] of this.#kept) {
      if (!this.#queue || this.#isFull) return;
      this.#kept.delete(subject);
      this.#queue.push([text]);
    }
  }
}
