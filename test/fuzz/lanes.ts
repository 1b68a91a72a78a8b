/** Starts the proxies: in this process with the built package, or each in a command line of another runtime. */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { createPenstock as Create, Penstock } from "mcp-penstock";
import { RUNTIME_NAMES, type RuntimeName, runtime } from "../_harness/runtimes.ts";
import { type Closeable, closeable } from "../_harness/loopback.ts";
import { LANES, type Lane, configOf } from "./proxy.config.ts";

export interface Proxies extends Closeable {
  readonly ports: Readonly<Record<Lane, number>>;
  /** Exchanges that have not ended; `undefined` where another process would have to be asked. */
  active(): number | undefined;
  /** What went wrong beside the answers: a process that ended, an exception that nobody caught. */
  accidents(): string[];
}

/** @param url of the server behind them */
export async function startInProcess(url: string): Promise<Proxies> {
  // A plain string: the package has no types before its first build.
  const name: string = "mcp-penstock";
  const { createPenstock } = (await import(name)) as { createPenstock: typeof Create };
  const ports = {} as Record<Lane, number>;
  const running: Penstock[] = [];
  const closing: (() => Promise<void>)[] = [];
  for (const lane of LANES) {
    const penstock = createPenstock(configOf(lane, url));
    const server = await penstock.serve({ port: 0 });
    ports[lane] = server.port;
    running.push(penstock);
    closing.push(() => server.close());
  }
  const accidents: string[] = [];
  const note = (error: unknown) => void accidents.push(`nobody caught ${(error as Error)?.stack ?? String(error)}`);
  process.on("uncaughtException", note).on("unhandledRejection", note);
  return closeable({
    ports,
    active: () => running.reduce((sum, { active }) => sum + active, 0),
    accidents: () => accidents,
    async close() {
      await Promise.all(closing.map((close) => close()));
      process.off("uncaughtException", note).off("unhandledRejection", note);
    },
  });
}

const START_MS = 15_000;
const ACCIDENT = /uncaughtException|unhandledRejection|Uncaught|panic/;

/** @param on one of {@link RUNTIME_NAMES} */
export async function startChildren(url: string, on: RuntimeName): Promise<Proxies> {
  if (!RUNTIME_NAMES.includes(on)) throw new Error(`--runtime: one of ${RUNTIME_NAMES.join(", ")}`);
  const { command, args } = runtime(false, on);
  const ports = {} as Record<Lane, number>;
  const children: ChildProcess[] = [];
  const accidents: string[] = [];
  const folder = new URL("../../", import.meta.url);
  const cli = fileURLToPath(new URL("dist/core/cli.mjs", folder));
  const config = fileURLToPath(new URL("proxy.config.ts", import.meta.url));
  let closed = false;
  const { CI: _ci, TEST: _test, NODE_ENV: _env, ...env } = process.env;
  for (const lane of LANES) {
    const child = spawn(command, [...args, cli, "--config", config, "--port", "0", "--log-level", "error"], {
      cwd: folder,
      env: { ...env, FUZZ_LANE: lane, FUZZ_SERVER: url, PENSTOCK_PROBE_INTERVAL: "0" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    children.push(child);
    let output = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      output = (output + text).slice(-4000);
      if (ACCIDENT.test(text)) accidents.push(text);
    });
    child.once("exit", (code, signal) => {
      if (!closed) accidents.push(`the proxy '${lane}' ended (${signal ?? code}): ${output}`);
    });
    ports[lane] = await new Promise<number>((resolve, reject) => {
      const limit = setTimeout(() => reject(new Error(`the proxy '${lane}' did not start: ${output}`)), START_MS);
      let printed = "";
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        printed += text;
        const port = /listening on http:\/\/[^\s/]*:(\d+)\s/.exec(printed)?.[1];
        if (port === undefined) return;
        clearTimeout(limit);
        resolve(Number(port));
      });
    });
  }
  return closeable({
    ports,
    active: () => undefined,
    accidents: () => accidents,
    async close() {
      closed = true;
      await Promise.all(
        children.map(async (child) => {
          if (child.exitCode !== null || child.signalCode !== null) return;
          const exited = new Promise((resolve) => child.once("exit", resolve));
          child.kill("SIGKILL");
          await exited;
        }),
      );
    },
  });
}
