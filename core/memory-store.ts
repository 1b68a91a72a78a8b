/** The store that needs nothing: the memory of this process, with a limit. */
import { ProxyError } from "./errors.ts";
import type { LogEntry, Store } from "./store.ts";

/** Options of {@link memoryStore}. */
export interface MemoryStoreOptions {
  /** What may lie in it: names and texts in bytes (UTF-8), and 100 more for each entry. @default 134217728 (128 MiB) */
  bytes?: number;
}

/** What an entry takes beside its text. */
const OVERHEAD = 100;
/** Names that may lie there before those whose time is over are looked for. */
const SWEEP_NAMES = 1000;
/** The same in bytes. */
const SWEEP_BYTES = 4 * 1024 * 1024;
/** Between two looks through a full store, in milliseconds. */
const SWEEP_PAUSE = 1000;

interface Slot {
  expiresAt: number;
  /** With its name, its texts, and what that takes besides. */
  bytes: number;
}

interface Entry extends Slot {
  text: string;
}

interface Log extends Slot {
  entries: LogEntry[];
  /** Bytes of the texts alone. */
  held: number;
  last: number;
}

/**
 * A store in the memory of this process: what is in it ends with the process.
 *
 * @throws ProxyError `STORE_FULL` from `set`, `swap` and `append`, which then have done nothing
 */
export function memoryStore(options: MemoryStoreOptions = {}): Store {
  const { bytes: limit = 128 * 1024 * 1024 } = options;
  const texts = new Map<string, Entry>();
  const logs = new Map<string, Log>();
  const channels = new Map<string, Set<{ tell: (text: string) => void }>>();
  let used = 0;
  let sweepAt = { names: SWEEP_NAMES, bytes: Math.min(SWEEP_BYTES, limit) };
  let sweptAt = 0;

  function drop(map: Map<string, Slot>, name: string): void {
    const slot = map.get(name);
    if (!slot) return;
    used -= slot.bytes;
    map.delete(name);
  }
  function live<T extends Slot>(map: Map<string, T>, name: string): T | undefined {
    const found = map.get(name);
    if (found === undefined || found.expiresAt > Date.now()) return found;
    drop(map, name);
    return undefined;
  }
  function sweep(): void {
    sweptAt = Date.now();
    for (const map of [texts, logs] as Map<string, Slot>[])
      for (const [name, { expiresAt }] of map) if (expiresAt <= sweptAt) drop(map, name);
    // In proportion to what stays, so that the cost of looking is small by the entry.
    sweepAt = {
      names: Math.max(SWEEP_NAMES, 2 * (texts.size + logs.size)),
      bytes: Math.min(Math.max(SWEEP_BYTES, 2 * used), limit),
    };
  }
  /** @throws ProxyError `STORE_FULL` */
  function makeRoom(more: number): void {
    const due = texts.size + logs.size >= sweepAt.names || used + more > sweepAt.bytes;
    // Looking through a full store for each that it turns away would take all the time there is.
    const again = used + more > limit && Math.abs(Date.now() - sweptAt) < SWEEP_PAUSE;
    if (due && !again) sweep();
    if (used + more > limit) throw new ProxyError("STORE_FULL");
  }
  function put(key: string, text: string, ttl: number): void {
    const bytes = weigh(key) + weigh(text);
    const before = live(texts, key)?.bytes ?? 0;
    makeRoom(bytes - before);
    drop(texts, key);
    texts.set(key, { text, bytes, expiresAt: Date.now() + ttl });
    used += bytes;
  }
  function newLog(name: string): Log {
    const log = { entries: [], held: 0, last: 0, expiresAt: 0, bytes: weigh(name) };
    logs.set(name, log);
    used += log.bytes;
    return log;
  }
  return {
    get: (key) => live(texts, key)?.text,
    set: put,
    delete: (key) => drop(texts, key),
    take(key) {
      const text = live(texts, key)?.text;
      drop(texts, key);
      return text;
    },
    swap(key, expected, text, ttl) {
      if (live(texts, key)?.text !== expected) return false;
      put(key, text, ttl);
      return true;
    },
    append(name, text, { ttl, entries, bytes }) {
      const size = weigh(text);
      makeRoom(size + (live(logs, name) ? 0 : weigh(name)));
      const log = live(logs, name) ?? newLog(name);
      const before = log.bytes;
      log.entries.push({ position: ++log.last, text });
      log.held += size - OVERHEAD;
      log.bytes += size;
      while (log.entries.length > entries || log.held > bytes) {
        const gone = weigh(log.entries.shift()!.text);
        log.held -= gone - OVERHEAD;
        log.bytes -= gone;
      }
      used += log.bytes - before;
      log.expiresAt = Date.now() + ttl;
      return log.last;
    },
    read(name, after) {
      const log = live(logs, name);
      if (!log || !Number.isInteger(after) || after > log.last || after < log.last - log.entries.length)
        return undefined;
      return log.entries.slice(log.entries.length - (log.last - after));
    },
    publish(channel, text) {
      for (const { tell } of Array.from(channels.get(channel) ?? [])) {
        try {
          tell(text);
        } catch {
          // Observers do not disturb each other, nor whoever publishes.
        }
      }
    },
    subscribe(channel, listener) {
      const subscription = { tell: listener };
      const listeners = channels.get(channel) ?? new Set();
      channels.set(channel, listeners.add(subscription));
      return () => {
        listeners.delete(subscription);
        // A later set of that name may be another one.
        if (listeners.size === 0 && channels.get(channel) === listeners) channels.delete(channel);
      };
    },
  };
}

function weigh(text: string): number {
  return Buffer.byteLength(text) + OVERHEAD;
}
