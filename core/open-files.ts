/** How many files, and so sockets, this process may have open. */
import { readFileSync } from "node:fs";

/** For files, the log, plugins and idle connections to servers. */
const RESERVE = 48;

/**
 * Connections of clients that the process has room for: each may need one to a server too. Beyond it accepting fails, and
 * so does asking a server.
 *
 * @returns `undefined` where the system does not tell
 */
export function roomForConnections(): number | undefined {
  try {
    const limit = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
    return limit === undefined ? undefined : Math.max(1, Math.floor((Number(limit) - RESERVE) / 2));
  } catch {
    // Only Linux has that file, and Deno asks for a permission to read it.
    return undefined;
  }
}
