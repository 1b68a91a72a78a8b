/** `penstock doctor`: every server of the configuration is asked what it is and what it lists; nothing listens. */
import { type CommandDef, defineCommand } from "citty";
import { type Penstock, createPenstock } from "../../app.ts";
import { ProxyError } from "../../errors.ts";
import { type Args, builtIn, jsonArg, loginArgs, sourceArgs } from "../args.ts";
import type { Diagnosis } from "../advice.ts";
import { describeEdge } from "../edges.ts";
import { type DoctorLimits, diagnose, doctorPlugin } from "../diagnose.ts";
import { doctorLogins } from "../doctor-logins.ts";
import type { Output } from "../output.ts";
import { askRunning, showRunning } from "../running.ts";
import { version } from "../runtime.ts";
import { loadSources } from "../sources.ts";
import type { Mount } from "../../types.ts";

export function doctorCommand(output: Output): CommandDef {
  return defineCommand({
    meta: {
      name: "penstock doctor",
      version,
      description:
        "Asks every server what it is: reachable, transport, eras, which clients are translated for, auth, push stream, tools, and what to do",
    },
    args: {
      ...sourceArgs,
      login: {
        type: "boolean",
        description: "Log in at servers that want it, as `penstock connect` does, and list their tools",
      },
      ...loginArgs,
      "log-level": { ...sourceArgs["log-level"], default: "error" },
      ...jsonArg,
      ...builtIn,
    },
    run: ({ args, rawArgs }) => examine(args as Args, rawArgs, output),
  }) as CommandDef;
}

async function examine(args: Args, rawArgs: readonly string[], output: Output): Promise<void> {
  const limits: DoctorLimits = {
    probe: limit("PENSTOCK_PROBE_TIMEOUT", 10_000),
    list: limit("PENSTOCK_LIST_TIMEOUT", 30_000),
  };
  const running = args.url === undefined ? undefined : await askRunning(args.url, limits.probe);
  if (running) return showRunning(running, args, output);
  const log = output.logger(args);
  const { config } = await loadSources(args, log, output.redactor);
  const logins = await doctorLogins(args, rawArgs, config, log, output);
  const doctor = doctorPlugin();
  const plugins = [doctor.plugin, config.plugins, logins.plugins];
  const penstock = createPenstock({ ...config, plugins }, { logger: log });
  try {
    await penstock.ready();
    const app = doctor.app();
    const ask = (mount: Mount) =>
      diagnose(app, mount, config.servers[mount.server]!, limits, isBridged(penstock, mount.server), (refusal) =>
        logins.look(mount.server, refusal),
      );
    // All at once: one that is slow delays nobody but itself.
    const pending = app.mounts.map((mount) => ({ mount, found: ask(mount) }));
    const longest = (limits.probe * 3 + limits.list) / 1000;
    const diagnoses: Diagnosis[] = [];
    for (const { mount, found } of pending) {
      output.progress(`asking ${mount.server} (at most ${longest} s) …`);
      let diagnosis = await found;
      output.progress(undefined);
      if (args.login) diagnosis = await logins.complete(diagnosis, () => ask(mount));
      diagnoses.push(diagnosis);
      if (!args.json) output.print(describe(diagnosis));
    }
    const ill = diagnoses.filter(({ state, auth }) => state !== "healthy" && auth !== "callers");
    if (args.json) output.printJson({ healthy: ill.length === 0, servers: diagnoses });
    else
      output.print(
        ill.length === 0
          ? `${diagnoses.length === 1 ? "The server is" : `All ${diagnoses.length} servers are`} fit for use.`
          : `${ill.length} of ${diagnoses.length} not fit for use: ${ill.map(({ server }) => server).join(", ")}.`,
      );
    if (ill.length > 0) process.exitCode = 1;
  } finally {
    await penstock.close();
  }
}

const STATES: Record<Diagnosis["state"], string> = {
  healthy: "✔ healthy",
  degraded: "✖ degraded",
  "auth-required": "✖ wants a credential",
  sse: "✖ HTTP+SSE",
  unsupported: "✖ not an MCP server that can be used",
  busy: "✖ busy",
  down: "✖ down",
};

const TRANSPORTS: Record<Diagnosis["transport"], string> = {
  http: "Streamable HTTP",
  sse: "HTTP+SSE",
  stdio: "stdio",
};

const AUTH: Record<Diagnosis["auth"], string | undefined> = {
  none: "none asked for",
  accepted: "the configured credential was accepted",
  callers: "callers log in at the server",
  login: "logged in as this user, as `penstock connect` does",
  refused: "refused",
  unknown: undefined,
};

function describe(found: Diagnosis): string {
  const { server, upstream, state, reason, version: revision, era, serverInfo, auth, push, tools, latencyMs } = found;
  const name = [serverInfo?.name, serverInfo?.version].filter((part) => typeof part === "string").join(" ");
  const rows: [string, string | undefined][] = [
    ["state", `${auth === "callers" ? "✔ healthy" : STATES[state]}${reason ? `: ${reason}` : ""}`],
    ["transport", state === "down" ? undefined : TRANSPORTS[found.transport]],
    ["era", era && `${found.eras?.join(" and ") ?? era}, MCP ${revision}`],
    ["server", name || undefined],
    ["auth", AUTH[auth]],
    ["push", push && (push.available ? `available (${push.reason})` : `unavailable (${push.reason})`)],
    ["tools", tools?.toString()],
    ["latency", era && `${latencyMs} ms`],
    ...(found.clients ?? []).map((edge): [string, string] => ["clients", describeEdge(edge)]),
    ...(found.stderr ?? []).map((line): [string, string] => ["stderr", line]),
    ...loginRows(found.login),
    ...found.advice.map((advice): [string, string] => ["advice", advice]),
  ];
  const lines = rows.flatMap(([key, value]) => (value === undefined ? [] : [`  ${key.padEnd(9)}  ${value}`]));
  return `${server}  ${upstream}\n${lines.join("\n")}\n`;
}

function loginRows(login: Diagnosis["login"]): [string, string][] {
  if (!login) return [];
  const { steps, scopes, outcome, possible } = login;
  return [
    ...steps.map(({ what, url, ok, note }): [string, string] => [
      "login",
      `${ok ? "✔" : "–"} ${what}${url === undefined ? "" : ` ${url}`}: ${note}`,
    ]),
    ...(scopes ? [["login", `scopes ${scopes.join(" ")}`] as [string, string]] : []),
    ["login", outcome === undefined ? (possible ? "✔ a client can log in" : "✖ clients cannot log in") : outcome],
  ];
}

function isBridged({ mounts }: Penstock, server: string): boolean {
  return mounts.some((mount) => mount.server === server && mount.plugins.some(({ name }) => name === "bridge"));
}

function limit(name: string, fallback: number): number {
  const text = process.env[name];
  if (text === undefined || text === "") return fallback;
  const ms = Number(text);
  if (Number.isFinite(ms) && ms > 0 && ms < 2 ** 31) return ms;
  throw new ProxyError("BAD_CONFIG", { hint: `${name}: ${JSON.stringify(text)} is no time above 0, in milliseconds.` });
}
