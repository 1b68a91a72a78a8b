/** Where the command line keeps what belongs to this user alone, and whether it really does. */
import { lstatSync, statSync } from "node:fs";
import { dirname, isAbsolute, join } from "node:path";

const windows = process.platform === "win32";

/**
 * XDG Base Directory Specification, and what Apple and Microsoft say on their systems.
 *
 * @returns `undefined` where the user has no home folder
 */
export function stateFolder(): string | undefined {
  const { XDG_STATE_HOME: state = "", LOCALAPPDATA: local = "", HOME: home = "" } = process.env;
  const folder = isAbsolute(state)
    ? state
    : windows
      ? local
      : process.platform === "darwin"
        ? join(home, "Library", "Application Support")
        : join(home, ".local", "state");
  return isAbsolute(folder) ? join(folder, "penstock") : undefined;
}

/** Deno would ask whoever sits at a terminal. */
export function permitted(what: Readonly<Record<string, string>>): boolean {
  const { Deno } = globalThis as { Deno?: { permissions: { querySync(what: object): { state: string } } } };
  return Deno === undefined || Deno.permissions.querySync(what).state === "granted";
}

/** Why a file is not fit to hold secrets. @returns `undefined` where it is; `exposed`: others can read it, and may have */
export function whyNotPrivate(file: string): "no-file" | "foreign" | "open-folder" | "exposed" | undefined {
  const folder = dirname(file);
  const found = lstatSync(file);
  if (!found.isFile()) return "no-file";
  if (windows) return undefined;
  const user = permitted({ name: "sys", kind: "uid" }) ? process.getuid?.() : undefined;
  const { uid, mode } = statSync(folder);
  if (user !== undefined && (found.uid !== user || uid !== user)) return "foreign";
  if (mode & 0o022) return "open-folder";
  return found.mode & 0o077 ? "exposed" : undefined;
}
