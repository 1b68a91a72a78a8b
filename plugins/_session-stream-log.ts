import type { Budget, StreamSettings } from "./_session-stream-options.ts";

/** One event as it goes to the client. */
interface Kept {
  /** Memory of its own, which it shares with those that came with it: what stands in a row goes out in one piece. */
  page: Buffer;
  from: number;
  to: number;
  /** The question that it carries. */
  question: string | undefined;
}

/** What names an event, as a line of it. @param name of its stream */
export function idLine(name: string, position: number): string {
  return `id: ${name}-${position}\n`;
}

/** Bytes that the streams of one session keep. */
export class Shelf {
  readonly #budget: Budget;
  readonly #settings: StreamSettings;
  #used = 0;

  constructor(budget: Budget, settings: StreamSettings) {
    this.#budget = budget;
    this.#settings = settings;
  }
  /** There is no room for more, here or for all sessions together. */
  get isFull(): boolean {
    return this.#used > this.#settings.sessionBytes || this.#budget.used > this.#settings.totalBytes;
  }
  add(bytes: number): void {
    this.#used += bytes;
    this.#budget.used += bytes;
  }
}

/**
 * The last events of one stream. Positions count from 1; the client has read up to the cursor, and what stands behind it is
 * never let go.
 *
 * In the memory of this process, because the rest of a stream is here as well: another process could not go on with it.
 */
export class EventLog {
  readonly #shelf: Shelf;
  readonly #name: string | undefined;
  /** What has come, and is not on a page yet. */
  #taken: { bytes: Uint8Array; question: string | undefined }[] = [];
  #events: Kept[] = [];
  /** Events that stood before the first one that is kept. */
  #gone = 0;
  /** Index of the first one that is kept: `shift` would move all others. */
  #head = 0;
  #bytes = 0;
  /** Position of the last event that was passed on. */
  cursor = 0;
  /** Bytes behind the cursor. */
  unread = 0;

  /** @param name of the stream, where its events have ids */
  constructor(shelf: Shelf, name: string | undefined) {
    this.#shelf = shelf;
    this.#name = name;
  }

  get last(): number {
    return this.#gone + this.#events.length - this.#head;
  }
  get size(): number {
    return this.#events.length - this.#head;
  }
  get bytes(): number {
    return this.#bytes;
  }
  /** Whether there are events that the client has read. */
  get hasHistory(): boolean {
    return this.cursor > this.#gone;
  }

  /** @param bytes one event, which may belong to a chunk until {@link store} */
  take(bytes: Uint8Array, question?: string): void {
    this.#taken.push({ bytes, question });
  }

  /** Keeps what was taken, in memory of its own: else it would keep whole chunks, or a page that it shares with others. @returns whether there was any */
  store(): boolean {
    const taken = this.#taken;
    if (taken.length === 0) return false;
    this.#taken = [];
    const name = this.#name;
    const first = this.last + 1;
    const ids = name === undefined ? undefined : taken.map((_, i) => idLine(name, first + i));
    let size = 0;
    for (let i = 0; i < taken.length; i++) size += taken[i]!.bytes.length + (ids ? ids[i]!.length : 0);
    const page = Buffer.allocUnsafeSlow(size);
    let at = 0;
    for (let i = 0; i < taken.length; i++) {
      const { bytes, question } = taken[i]!;
      const from = at;
      if (ids) at += page.write(ids[i]!, at, "latin1");
      page.set(bytes, at);
      at += bytes.length;
      this.#events.push({ page, from, to: at, question });
    }
    this.#count(size);
    this.unread += size;
    return true;
  }

  /**
   * What comes next, in one piece; the cursor then stands behind it.
   *
   * @param isOpen whether a question still waits for its answer: else it is left out
   */
  next(isOpen: (question: string) => boolean): Uint8Array | undefined {
    let run: { page: Buffer; from: number; to: number } | undefined;
    for (;;) {
      const event = this.#events[this.#head + this.cursor - this.#gone];
      if (!event) break;
      const { page, from, to, question } = event;
      const isLeftOut = question !== undefined && !isOpen(question);
      if (run && (isLeftOut || run.page !== page || run.to !== from)) break;
      this.cursor++;
      this.unread -= to - from;
      if (isLeftOut) continue;
      if (run) run.to = to;
      else run = { page, from, to };
    }
    return run?.page.subarray(run.from, run.to);
  }

  /** Puts the cursor back. @returns false where what follows the position is not kept, or there is no such position */
  rewind(position: number): boolean {
    if (position < this.#gone || position > this.last) return false;
    this.cursor = position;
    this.unread = 0;
    for (let i = this.#head + position - this.#gone; i < this.#events.length; i++)
      this.unread += sizeOf(this.#events[i]!);
    return true;
  }

  /** Lets go of the oldest event, if the client has read it. */
  forgetOldest(): boolean {
    if (!this.hasHistory) return false;
    this.#count(-sizeOf(this.#events[this.#head]!));
    this.#events[this.#head++] = GONE;
    this.#gone++;
    if (this.#head > 64 && this.#head * 2 > this.#events.length) {
      this.#events = this.#events.slice(this.#head);
      this.#head = 0;
    }
    return true;
  }

  clear(): void {
    this.#gone = this.last;
    this.cursor = this.#gone;
    this.#events = [];
    this.#taken = [];
    this.#head = 0;
    this.unread = 0;
    this.#count(-this.#bytes);
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    this.#shelf.add(bytes);
  }
}

const GONE: Kept = { page: Buffer.alloc(0), from: 0, to: 0, question: undefined };

function sizeOf({ from, to }: Kept): number {
  return to - from;
}
