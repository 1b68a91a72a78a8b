import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { stripVTControlCharacters } from "node:util";
import { inspect } from "../runtimes/inspect.ts";
import { startElsewhere } from "./elsewhere.ts";
import { type Closeable, closeable } from "./loopback.ts";
import { noteProcess } from "./notes.ts";
import { assertRuntime, otherRuntime, runtime } from "./runtimes.ts";
import type { Inspectable } from "./vitals.ts";
import { within } from "./wait.ts";

/** Where and how the command line runs. */
export interface CliOptions {
  cwd?: string;
  /** Added to the inherited environment; `undefined` removes a variable. */
  env?: Record<string, string | undefined>;
  /** Another script than the built command line, for the harness's own tests. */
  entry?: string;
  /** It makes files, as `init` and `--socket` do: Deno asks to be told. @default false, or true for these two */
  writes?: boolean;
  /** It starts servers, which Deno asks to be told. @default where the command stands behind `--` */
  runs?: boolean;
  /** It imports TypeScript of this checkout by itself, not through the loader of configurations. @default false */
  typescript?: boolean;
  /** Longest time that `runCli` may take, in milliseconds. @default 15000 */
  timeout?: number;
  /** Keeps its stdin open for `process.stdin`. @default false: it reads nothing */
  stdin?: boolean;
  /** So many file descriptors it may have open, and no more. @default as many as the tests */
  openFiles?: number;
}

/** How a child process ended. */
export interface Exit {
  code: number | null;
  signal: NodeJS.Signals | null;
  /** Milliseconds since the last `kill()`, or since the start if there was none. */
  ms: number;
}

/** A proxy that runs as a child process. */
export interface Cli extends Closeable {
  /** The origin it printed, without a trailing slash; `unix:` and a path for a Unix socket. */
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  readonly process: ChildProcess;
  /** Everything printed so far, without colour codes. */
  stdout(): string;
  stderr(): string;
  kill(signal?: NodeJS.Signals): void;
  /** Closes the reading ends of stdout and stderr, as a log collector that dies. */
  hangUp(): void;
  readonly exited: Promise<Exit>;
  /** Asks it to stop and kills it after 2 s; harmless when it has already exited. */
  close(): Promise<void>;
}

/** A proxy that serves a configuration of a test. */
export interface RunningProxy extends Closeable, Inspectable {
  /** Without a trailing slash. */
  readonly url: string;
}

/** Longest time a start, or a whole run of `runCli`, may take. */
const START_MS = 15_000;

const TEST_SECRET = "the-secret-of-all-tests-used-by-nobody-else";
const builtCli = fileURLToPath(new URL("../../dist/core/cli.mjs", import.meta.url));

/**
 * Starts the built command line, on the runtime of this project, and waits until it listens. The caller passes `--port 0`.
 */
export async function startCli(args: string[], options: CliOptions = {}): Promise<Cli> {
  const child = launch(args, options);
  let listening!: (origin: string) => void;
  const origin = new Promise<string>((resolve) => {
    listening = resolve;
  });
  child.process.stdout?.on("data", () => {
    // The line must be whole: the port may come in two pieces.
    const match = /listening on ((?:https?:\/\/|unix:)[^\s"]+)[\s"]/i.exec(`${child.stdout()}`);
    if (match?.[1]) listening(match[1]);
  });
  const output = () => `\n--- stdout\n${child.stdout()}\n--- stderr\n${child.stderr()}`;
  const tooEarly = child.exited.then(({ code, signal }) => {
    throw new Error(`exited with ${signal ?? code} before it listened${output()}`);
  });
  // Only the race below may report it: later exits are ordinary.
  tooEarly.catch(() => {});
  try {
    const text = await within(Promise.race([origin, tooEarly]), () => `"listening on"${output()}`, {
      timeout: START_MS,
    });
    const { origin: url, port } = text.startsWith("unix:") ? { origin: text, port: 0 } : new URL(text);
    if (!options.entry) assertRuntime(child.stdout());
    return closeable({ ...child, url, port: Number(port), pid: child.process.pid as number });
  } catch (error) {
    await child.close();
    throw error;
  }
}

/** How a client starts the built command line, on the runtime of this project. */
export function cliCommand(args: string[], env: Record<string, string> = {}) {
  const { command, args: before } = runtime();
  noteProcess();
  const inherited = Object.entries(plainEnvironment()).filter(([, value]) => value !== undefined);
  return {
    command,
    args: [...before, builtCli, ...args],
    env: { ...(Object.fromEntries(inherited) as Record<string, string>), ...env },
  };
}

/** Runs the built command line, on the runtime of this project, to its end. */
export async function runCli(
  args: string[],
  options: CliOptions = {},
): Promise<Exit & { stdout: string; stderr: string }> {
  const child = launch(args, options);
  try {
    const exit = await within(
      child.exited,
      () => `the exit of: ${args.join(" ")}\n${child.stdout()}${child.stderr()}`,
      { timeout: options.timeout ?? START_MS },
    );
    return { ...exit, stdout: child.stdout(), stderr: child.stderr() };
  } finally {
    await child.close();
  }
}

/**
 * Serves a configuration: inside this process with the built package as its users import it, or in a process of the runtime
 * that the project is for. There a test whose plugins cannot leave this process is skipped, with that reason.
 */
export async function startProxy(config: unknown): Promise<RunningProxy> {
  if (otherRuntime) return startElsewhere(config, startCli);
  // A plain string: the package has no types before its first build.
  const name: string = "mcp-penstock";
  const { createPenstock } = (await import(name)) as {
    createPenstock(config: unknown): {
      serve(options: { port: number }): Promise<{ url: string; close(): Promise<void> }>;
    };
  };
  const server = await createPenstock(config).serve({ port: 0 });
  return closeable({
    url: server.url.replace(/\/$/, ""),
    pid: process.pid,
    inspect,
    close: () => server.close(),
  });
}

function launch(
  args: string[],
  { cwd, env = {}, entry = builtCli, writes, runs, typescript = false, stdin = false, openFiles }: CliOptions,
) {
  let since = performance.now();
  const {
    command,
    args: before,
    typescript: loader,
  } = runtime(
    writes ?? args.some((arg) => arg === "init" || arg === "--socket"),
    undefined,
    runs ?? args.includes("--"),
  );
  noteProcess();
  const line = [command, ...before, ...(typescript ? loader : []), entry, ...args];
  if (openFiles !== undefined) line.unshift("sh", "-c", `ulimit -n ${openFiles} && exec "$@"`, "sh");
  const child: ChildProcess = spawn(line[0]!, line.slice(1), {
    cwd,
    // In place of the file that the user's own proxies share.
    env: { ...plainEnvironment(), PENSTOCK_SECRET: TEST_SECRET, ...env },
    stdio: [stdin ? "pipe" : "ignore", "pipe", "pipe"],
  });
  const exited = new Promise<Exit>((resolve, reject) => {
    child.once("error", reject);
    // `close` and not `exit`: by then all output has arrived.
    child.once("close", (code, signal) => resolve({ code, signal, ms: performance.now() - since }));
  });
  const kill = (signal: NodeJS.Signals = "SIGTERM") => {
    since = performance.now();
    child.kill(signal);
  };
  // A worker that is torn down in the middle of a test closes nothing.
  const orphaned = () => void child.kill("SIGKILL");
  process.once("exit", orphaned);
  void exited.catch(() => {}).then(() => process.off("exit", orphaned));
  return {
    process: child,
    stdout: collect(child.stdout),
    stderr: collect(child.stderr),
    exited,
    kill,
    hangUp() {
      child.stdout?.destroy();
      child.stderr?.destroy();
    },
    async close() {
      if (child.exitCode === null && child.signalCode === null) kill("SIGTERM");
      await within(exited, "its exit").catch(() => {
        kill("SIGKILL");
        return exited;
      });
    },
  };
}

/** Test runners mark their environment, and libraries behave differently under a test: less logging, other defaults. */
function plainEnvironment(): NodeJS.ProcessEnv {
  const marks = /^(CI|TEST|VITEST.*|NODE_ENV|FORCE_COLOR|MODE|DEV|PROD|SSR|BASE_URL)$/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !marks.test(name)));
}

function collect(stream: NodeJS.ReadableStream | null): () => string {
  let text = "";
  stream?.setEncoding("utf8");
  stream?.on("data", (chunk: string) => {
    text += chunk;
  });
  return () => stripVTControlCharacters(text);
}
