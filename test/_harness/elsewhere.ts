import { rmSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";
import { TestRunner } from "vitest";
import { NotPortableError, configModule } from "./child-config.ts";
import type { Inside } from "../runtimes/inspect.ts";
import { type Closeable, closeable } from "./loopback.ts";
import { noteProcess } from "./notes.ts";
import type { RunningProxy, startCli } from "./proxy.ts";
import { within } from "./wait.ts";

/** What the command line, or its runtime, says when something failed that nobody caught. */
const ACCIDENT = /uncaughtException|unhandledRejection|Uncaught|panic/;
const ANSWER_MS = 5000;
const hostConfig = fileURLToPath(new URL("../runtimes/host.config.mjs", import.meta.url));

/** The built command line on the runtime of this project; proxies are started in its process on request. */
interface Host extends Closeable {
  startProxy(config: unknown): Promise<RunningProxy>;
  /** Its process is there, and had no accident. */
  readonly usable: boolean;
}

/** What the process said to one request. */
interface Reply {
  result?: unknown;
  error?: string;
}

/** One per worker, for all of its files: the only state of the harness that outlives a test, because a start takes longer than most tests. */
let host: Promise<Host> | undefined;

/**
 * Serves a configuration in a process of the project's runtime. A test that hands in a plugin of its own cannot run there and
 * is skipped, with a note that the reporter counts.
 */
export async function startElsewhere(config: unknown, start: typeof startCli): Promise<RunningProxy> {
  if (host && !(await host).usable) await newHost();
  host ??= startHost(start);
  return (await host).startProxy(config);
}

/** The next proxy gets a process in which none was before: for files that measure resident memory. */
export async function newHost(): Promise<void> {
  const old = host;
  host = undefined;
  await (await old)?.close();
}

async function startHost(start: typeof startCli): Promise<Host> {
  const folder = await mkdtemp(join(tmpdir(), "penstock-"));
  const cli = await start(["--config", hostConfig, "--port", "0", "--log-level", "warn"], {
    cwd: folder,
    stdin: true,
    runs: true,
    typescript: true,
  });
  const { stdin, stdout, stderr } = cli.process;
  // The test runner ends its workers by SIGTERM, or by taking leave.
  const removed = () => rmSync(folder, { recursive: true });
  const ended = () => process.exit();
  process.once("exit", removed).once("SIGTERM", ended);
  // It belongs to the worker, not to a test, and so is none of the leak net's handles.
  for (const handle of [cli.process, stdin, stdout, stderr]) (handle as unknown as { unref(): void }).unref();
  const asked = new Map<string, (reply: Reply) => void>();
  createInterface({ input: stdout! }).on("line", (line) => {
    if (!line.startsWith("{")) return;
    const { id, ...reply } = JSON.parse(line) as Reply & { id: string };
    asked.get(id)?.(reply);
  });
  let count = 0;
  let exited = false;
  const gone = cli.exited.then(({ code, signal }) => {
    exited = true;
    throw new Error(`the process of the proxy ended (${signal ?? code}):\n${cli.stderr()}`);
  });
  gone.catch(() => {});
  const usable = () => !exited && !ACCIDENT.test(cli.stderr());

  async function ask(verb: "start" | "close" | "vitals", about: string): Promise<unknown> {
    const id = `${verb} ${about}`;
    const reply = new Promise<Reply>((resolve) => asked.set(id, resolve));
    stdin!.write(`${JSON.stringify({ id, [verb]: about })}\n`);
    const { result, error } = await within(Promise.race([reply, gone]), id, { timeout: ANSWER_MS });
    asked.delete(id);
    if (error !== undefined) throw new Error(error);
    return result;
  }

  return closeable({
    get usable() {
      return usable();
    },
    async startProxy(config: unknown) {
      const text = portable(config);
      noteProcess();
      const file = join(folder, `${count++}.mjs`);
      await writeFile(file, text);
      const module = pathToFileURL(file).href;
      const url = (await ask("start", module)) as string;
      return closeable({
        url: url.replace(/\/$/, ""),
        pid: cli.pid,
        inspect: () => ask("vitals", String(count++)) as Promise<Inside>,
        async close() {
          await ask("close", module);
          if (!usable()) throw new Error(`an accident in the process of the proxy:\n${cli.stderr()}`);
        },
      });
    },
    async close() {
      cli.kill("SIGKILL");
      await cli.exited;
      process.off("exit", removed).off("SIGTERM", ended);
      await rm(folder, { recursive: true });
    },
  });
}

function portable(config: unknown): string {
  try {
    return configModule(config);
  } catch (error) {
    const test = TestRunner.getCurrentTest();
    if (!(error instanceof NotPortableError) || !test) throw error;
    return test.context.skip(error.message);
  }
}
