/** A process with all that it started: a wrapper that is told to stop leaves the real server running. */
import { spawnSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";

/**
 * Sends a signal to a group. On Windows there is only the end, of a process and those it started.
 *
 * @param pid of its leader @returns whether there was anybody
 */
export function signalGroup(pid: number, signal: "SIGTERM" | "SIGKILL"): boolean {
  if (process.platform === "win32")
    return spawnSync("taskkill", ["/pid", String(pid), "/T", "/F"], { windowsHide: true }).status === 0;
  try {
    return process.kill(-pid, signal);
  } catch {
    return false;
  }
}

/** Whether anybody of a group is left. */
export function groupLives(pid: number): boolean {
  if (process.platform === "win32") return false;
  try {
    process.kill(-pid, 0);
  } catch {
    return false;
  }
  return process.platform !== "linux" || hasLivingMember(pid);
}

/** In a container without an init nobody asks how orphans ended: they stay in the group as zombies, and are no work for a signal. */
function hasLivingMember(group: number): boolean {
  try {
    return readdirSync("/proc").some((name) => /^\d+$/.test(name) && isLivingMember(name, group));
  } catch {
    return true;
  }
}

function isLivingMember(pid: string, group: number): boolean {
  try {
    // proc(5): pid (name) state ppid pgrp …; the name may hold anything.
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const [state, , pgrp] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return Number(pgrp) === group && state !== "Z" && state !== "X";
  } catch {
    // It has ended meanwhile.
    return false;
  }
}
