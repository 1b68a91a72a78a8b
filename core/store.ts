/** Where plugins keep what outlives an exchange: the memory of this process, or something that several proxies share. */
import type { Awaitable } from "./types.ts";

/** Limits of a log of events. */
export interface LogLimits {
  /** The log is forgotten this long after its last entry, in milliseconds, above 0. */
  ttl: number;
  /** Of what is kept: the oldest entries go first. */
  entries: number;
  /** The same in bytes of text (UTF-8). An entry that is larger by itself gets its position and is not kept. */
  bytes: number;
}

/** One entry of a log. */
export interface LogEntry {
  /** Counts from 1, without gaps. */
  position: number;
  text: string;
}

/**
 * Keys and texts, logs and channels, each with names of their own: a key `a` is neither the log `a` nor the channel `a`.
 *
 * Every operation is atomic by itself, and what it did is seen by all that begin later. It may answer at once or with a
 * promise, and may throw or reject at any time: callers await it and decide what a failure means for a request. Nothing is
 * forgotten before its time, so a full store rejects what is new (`STORE_FULL`).
 */
export interface Store {
  /** @returns `undefined` where there is no text, or its time is over */
  get(key: string): Awaitable<string | undefined>;
  /** Puts a text in place of whatever was there. @param ttl forgotten after so many milliseconds, above 0 */
  set(key: string, text: string, ttl: number): Awaitable<void>;
  /** Harmless where there is nothing. */
  delete(key: string): Awaitable<void>;
  /** Reads and deletes: of several who take the same key one gets the text. */
  take(key: string): Awaitable<string | undefined>;
  /**
   * Sets where the key has the text that is expected (`undefined`: no text, or its time is over). Of several who expect the same
   * one succeeds.
   *
   * @returns whether it did; where not, nothing has changed
   */
  swap(key: string, expected: string | undefined, text: string, ttl: number): Awaitable<boolean>;
  /**
   * Adds to a log, which begins with its first entry. One that was forgotten begins again at 1: whoever keeps positions gives
   * each log a name that is never used again.
   *
   * @returns the entry's position
   */
  append(log: string, text: string, limits: LogLimits): Awaitable<number>;
  /**
   * What a log has behind a position, oldest first, none where it is the last one. 0 is the position before the first.
   *
   * @returns `undefined` when that is not known: an entry behind it is no longer kept, it never existed, or the log is forgotten
   */
  read(log: string, after: number): Awaitable<readonly LogEntry[] | undefined>;
  /** Tells whoever listens now, in all processes that share the store, this one included; of one publisher in order. Nothing is kept. */
  publish(channel: string, text: string): Awaitable<void>;
  /**
   * Listens from the moment that this is answered.
   *
   * @param listener what it throws disturbs nobody, and is lost
   * @returns a function that ends it; harmless when called again
   */
  subscribe(channel: string, listener: (text: string) => void): Awaitable<() => void>;
}
