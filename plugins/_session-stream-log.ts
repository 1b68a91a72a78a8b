import type { Budget, StreamSettings } from "./_session-stream-options.ts";

/** One event as it goes to the client. */
export interface Kept {
  bytes: Uint8Array;
  /** The question that it carries. */
  question: string | undefined;
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

  constructor(shelf: Shelf) {
    this.#shelf = shelf;
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

  add(event: Kept): void {
    this.#events.push(event);
    this.#count(event.bytes.length);
    this.unread += event.bytes.length;
  }

  /** The next event; the cursor then stands at it. */
  next(): Kept | undefined {
    const event = this.#events[this.#head + this.cursor - this.#gone];
    if (!event) return undefined;
    this.cursor++;
    this.unread -= event.bytes.length;
    return event;
  }

  /** Puts the cursor back. @returns false where what follows the position is not kept, or there is no such position */
  rewind(position: number): boolean {
    if (position < this.#gone || position > this.last) return false;
    this.cursor = position;
    this.unread = 0;
    for (let i = this.#head + position - this.#gone; i < this.#events.length; i++)
      this.unread += this.#events[i]!.bytes.length;
    return true;
  }

  /** Lets go of the oldest event, if the client has read it. */
  forgetOldest(): boolean {
    if (!this.hasHistory) return false;
    this.#count(-this.#events[this.#head]!.bytes.length);
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
    this.#head = 0;
    this.unread = 0;
    this.#count(-this.#bytes);
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    this.#shelf.add(bytes);
  }
}

const GONE: Kept = { bytes: new Uint8Array(), question: undefined };
