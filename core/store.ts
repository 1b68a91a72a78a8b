/** Where plugins keep what outlives an exchange: the memory of this process, or something that several proxies share. */
import type { Awaitable } from "./types.ts";

/** Limits of a log of events. */
export interface LogLimits {
  /** The log is forgotten this long after its last entry, in milliseconds. */
  ttl: number;
  /** Of what is kept: the oldest entries go first. */
  entries: number;
  /** The same in bytes of text. */
  bytes: number;
}

/** One entry of a log. */
export interface LogEntry {
  /** Counts from 1, without gaps. */
  position: number;
  text: string;
}

/**
 * Keys and texts, logs and channels. Every operation is atomic by itself. A store may reject; whoever uses it decides what
 * that means for a request.
 */
export interface Store {
  get(key: string): Awaitable<string | undefined>;
  /** @param ttl forgotten after so many milliseconds */
  set(key: string, text: string, ttl: number): Awaitable<void>;
  delete(key: string): Awaitable<void>;
  /** Reads and deletes: of several who take the same key one gets the text. */
  take(key: string): Awaitable<string | undefined>;
  /** Sets where the key has the text that is expected (`undefined`: no text). @returns whether it did */
  swap(key: string, expected: string | undefined, text: string, ttl: number): Awaitable<boolean>;
  /** Adds to a log. @returns the entry's position */
  append(log: string, text: string, limits: LogLimits): Awaitable<number>;
  /** What a log has behind a position; `undefined` when that is not known (any more), or never was. */
  read(log: string, after: number): Awaitable<readonly LogEntry[] | undefined>;
  /** Tells whoever listens now. */
  publish(channel: string, text: string): Awaitable<void>;
  /** @returns a function that ends it */
  subscribe(channel: string, listener: (text: string) => void): Awaitable<() => void>;
}

/** Keys that may lie there before those that have expired are looked for. */
const SWEEP = 1000;

interface Entry {
  text: string;
  expiresAt: number;
}

interface Log {
  entries: LogEntry[];
  bytes: number;
  last: number;
  expiresAt: number;
}

/** A store in the memory of this process: what is in it ends with the process. */
export function memoryStore(): Store {
  const texts = new Map<string, Entry>();
  const logs = new Map<string, Log>();
  const channels = new Map<string, Set<(text: string) => void>>();
  let sweepAt = SWEEP;

  function live<T extends { expiresAt: number }>(map: Map<string, T>, key: string): T | undefined {
    const found = map.get(key);
    if (found === undefined || found.expiresAt > Date.now()) return found;
    map.delete(key);
    return undefined;
  }
  function sweep(): void {
    if (texts.size + logs.size < sweepAt) return;
    const now = Date.now();
    for (const map of [texts, logs]) for (const [key, { expiresAt }] of map) if (expiresAt <= now) map.delete(key);
    // In proportion to what stays, so that the cost of looking is small by the entry.
    sweepAt = Math.max(SWEEP, 2 * (texts.size + logs.size));
  }
  const store = {
    get: (key: string) => live(texts, key)?.text,
    set(key: string, text: string, ttl: number) {
      texts.set(key, { text, expiresAt: Date.now() + ttl });
      sweep();
    },
    delete(key: string) {
      texts.delete(key);
    },
    take(key: string) {
      const text = live(texts, key)?.text;
      texts.delete(key);
      return text;
    },
    swap(key: string, expected: string | undefined, text: string, ttl: number) {
      if (live(texts, key)?.text !== expected) return false;
      store.set(key, text, ttl);
      return true;
    },
    append(name: string, text: string, { ttl, entries, bytes }: LogLimits) {
      let log = live(logs, name);
      if (!log) logs.set(name, (log = { entries: [], bytes: 0, last: 0, expiresAt: 0 }));
      log.expiresAt = Date.now() + ttl;
      log.entries.push({ position: ++log.last, text });
      log.bytes += text.length;
      while (log.entries.length > entries || log.bytes > bytes) log.bytes -= log.entries.shift()!.text.length;
      sweep();
      return log.last;
    },
    read(name: string, after: number) {
      const log = live(logs, name);
      if (!log || after > log.last || after < log.last - log.entries.length) return undefined;
      return log.entries.slice(log.entries.length - (log.last - after));
    },
    publish(channel: string, text: string) {
      for (const listener of channels.get(channel) ?? []) listener(text);
    },
    subscribe(channel: string, listener: (text: string) => void) {
      const listeners = channels.get(channel) ?? new Set();
      channels.set(channel, listeners.add(listener));
      return () => {
        listeners.delete(listener);
        if (listeners.size === 0) channels.delete(channel);
      };
    },
  };
  return store;
}
