/** `penstock doctor --url` of a running Penstock: what its `/health` tells. */
import { isRecord } from "../body/message.ts";
import type { Json } from "../types.ts";
import type { Args } from "./args.ts";
import type { Output } from "./output.ts";

/** Lines of stderr that are shown of each server. */
const MAX_LINES = 10;
const ILL: readonly unknown[] = ["down", "degraded", "auth-required"];

/** What a running Penstock says of itself. */
export interface Running {
  url: string;
  report: Json;
}

/**
 * Asks a URL that has no path whether a Penstock is there: servers have one as a rule, and the first member of its `/health` says
 * who answers.
 *
 * @param timeout in milliseconds @returns `undefined` when it is something else
 */
export async function askRunning(url: string, timeout: number): Promise<Running | undefined> {
  if (!URL.canParse(url)) return undefined;
  const { origin, pathname, search } = new URL(url);
  if (!/^https?:/.test(url) || pathname !== "/" || search !== "") return undefined;
  try {
    const answer = await fetch(`${origin}/health`, { redirect: "manual", signal: AbortSignal.timeout(timeout) });
    const report: unknown = await answer.json();
    return isRecord(report) && report.proxy === "penstock" ? { url: origin, report } : undefined;
  } catch {
    // Whatever it is: as a server it will be told what is wrong with it.
    return undefined;
  }
}

/** Prints it. The exit code is 1 where a server is not well. */
export function showRunning({ url, report }: Running, { json }: Args, output: Output): void {
  const servers = Object.entries(isRecord(report.servers) ? report.servers : {}).filter(
    (entry): entry is [string, Json] => isRecord(entry[1]),
  );
  const ill = servers.filter(([, { status }]) => ILL.includes(status));
  if (json) output.printJson({ healthy: ill.length === 0, url, ...report });
  else {
    output.print(`A running Penstock at ${url}: ${String(report.status)}\n`);
    for (const [name, server] of servers) output.print(describe(name, server));
    output.print(ill.length === 0 ? "Nothing is amiss." : `Not well: ${ill.map(([name]) => name).join(", ")}.`);
  }
  if (ill.length > 0) process.exitCode = 1;
}

function describe(name: string, { status, reason, sessions, stdio, upstream }: Json): string {
  const rows: [string, string][] = [
    ["state", `${String(status)}${typeof reason === "string" ? `: ${reason}` : ""}`],
    ...(isRecord(sessions) ? [["sessions", counts(sessions)] as [string, string]] : []),
    ...(isRecord(stdio) ? ofProcesses(stdio) : []),
  ];
  const lines = rows.map(([key, value]) => `  ${key.padEnd(9)}  ${value}`);
  return `${name}  ${typeof upstream === "string" ? upstream : ""}\n${lines.join("\n")}\n`;
}

function ofProcesses({ processes, exits, suspendedSeconds, stderr }: Json): [string, string][] {
  const running = Array.isArray(processes) ? processes.filter(isRecord) : [];
  const lines = Array.isArray(stderr) ? stderr.slice(-MAX_LINES).map(String) : [];
  return [
    ...running.map((one): [string, string] => [
      "process",
      `${String(one.pid)} (${String(one.kind)}) since ${String(one.since)}, ${counts({ sessions: one.sessions, pending: one.pending })}`,
    ]),
    ...(running.length === 0 ? [["process", "none runs"] as [string, string]] : []),
    ...(exits === 0 ? [] : [["exits", String(exits)] as [string, string]]),
    ...(suspendedSeconds === undefined ? [] : [["suspended", `for ${String(suspendedSeconds)} s`] as [string, string]]),
    ...lines.map((line): [string, string] => ["stderr", line]),
  ];
}

function counts(members: Json): string {
  return Object.entries(members)
    .filter(([, value]) => typeof value === "number")
    .map(([name, value]) => `${String(value)} ${name}`)
    .join(", ");
}
