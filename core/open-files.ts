/** How many files, and so sockets, this process may have open. */
import { closeSync, openSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** For files, the log, plugins and idle connections to servers. */
const RESERVE = 48;
/** As many are tried at most: a tenth of a second. */
const MAX_TRIED = 10_240;

/**
 * Connections of clients that the process has room for: each may need one to a server too. Beyond it accepting fails, and
 * so does asking a server.
 *
 * @returns `undefined` where the system does not tell
 */
export function roomForConnections(): number | undefined {
  const limit = readLimit() ?? tryLimit();
  return limit === undefined ? undefined : Math.max(1, Math.floor((limit - RESERVE) / 2));
}

function readLimit(): number | undefined {
  try {
    const limit = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
    return limit === undefined ? undefined : Number(limit);
  } catch {
    // Only Linux has that file, and Deno shows it to programs that may do everything.
    return undefined;
  }
}

/**
 * Deno accepts no connection any more once it had no descriptor for one (https://github.com/denoland/deno/issues/32941 tells
 * of the same kind of stall), so there it must be known how many there are. Other runtimes recover.
 */
function tryLimit(): number | undefined {
  if (!("Deno" in globalThis)) return undefined;
  return (tried ??= countFree());
}

/** A fact of the process, which takes a while to find. */
let tried: number | undefined;

function countFree(): number | undefined {
  const opened: number[] = [];
  try {
    const file = fileURLToPath(import.meta.url);
    while (opened.length < MAX_TRIED) opened.push(openSync(file, "r"));
    return opened.length;
  } catch (error) {
    return (error as { code?: string }).code === "EMFILE" ? opened.length : undefined;
  } finally {
    for (const descriptor of opened) closeSync(descriptor);
  }
}
