import type { Timeouts } from "./types.ts";

/** In milliseconds. */
const TIMEOUTS: Readonly<Required<Timeouts>> = {
  connect: 5000,
  headers: 60_000,
  call: 300_000,
  body: 30_000,
  stream: 0,
};

/** The limits of a server, with the defaults where its configuration says nothing. */
export function fillTimeouts(given: Timeouts | undefined): Readonly<Required<Timeouts>> {
  return { ...TIMEOUTS, ...given };
}
