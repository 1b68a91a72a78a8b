import type { Random } from "../core/random.ts";

/** How a case is put on the wire; a failed one is tried again in simpler ways. */
export interface Manner {
  /** Everything in one write. */
  whole: boolean;
}

/**
 * Cuts bytes into the pieces of a write each, anywhere, and now and then a stretch of it byte by byte. Not more than that: a
 * piece takes a turn of the event loop.
 *
 * @param together no cut behind this offset
 */
export function pieces(rnd: Random, bytes: Buffer, { whole }: Manner, together: number = bytes.length): Buffer[] {
  const cuts = Array.from({ length: rnd.pick([0, 1, 2, 6, 20]) }, () => rnd.int(bytes.length + 1));
  if (rnd.chance(0.3)) {
    const from = rnd.int(bytes.length + 1);
    for (let at = from; at < from + rnd.int(30); at++) cuts.push(at);
  }
  const places = [...new Set(cuts)].filter((at) => at > 0 && at <= together && at < bytes.length).sort((a, b) => a - b);
  if (whole || places.length === 0) return [bytes];
  return [0, ...places].map((at, i) => bytes.subarray(at, places[i]));
}
