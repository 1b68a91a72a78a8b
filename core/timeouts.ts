/** The limits in time that hold where the configuration says nothing, in milliseconds. */
import type { ClientLimits, Timeouts } from "./types.ts";

/** Towards clients. */
export const CLIENT_LIMITS: Readonly<Required<Omit<ClientLimits, "connections">>> = {
  headers: 15_000,
  body: 30_000,
  idle: 75_000,
  write: 60_000,
};

/** Towards servers. */
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
