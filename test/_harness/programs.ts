import { spawn } from "node:child_process";
import { type Closeable, closeable } from "./loopback.ts";
import { within } from "./wait.ts";

/** A server in a process of its own. */
export interface Program extends Closeable {
  /** What it said about where it listens. */
  readonly url: string;
  readonly pid: number;
}

/** How a program is started, and how it says that it listens. */
export interface ProgramOptions {
  env?: Record<string, string>;
  /** In what it prints, on stdout or stderr. @default the first URL */
  listening?: RegExp;
  /** The URL, where it prints none. */
  url?: string;
}

const START_MS = 15_000;

/** Starts a program that serves HTTP, and waits until it says so. */
export async function startProgram(
  command: string,
  args: readonly string[],
  { env, listening = /https?:\/\/[^\s"]+(?=\s)/, url }: ProgramOptions = {},
): Promise<Program> {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  let output = "";
  const said = new Promise<string>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => {
        output += text;
        const found = listening.exec(output);
        if (found) resolve(url ?? found[0]);
      });
    child.once("error", reject);
    child.once("close", (code) => reject(new Error(`${command} ${args.join(" ")} ended with ${code}:\n${output}`)));
  });
  // A worker that is torn down in the middle of a test closes nothing.
  const orphaned = () => void child.kill("SIGKILL");
  process.once("exit", orphaned);
  const close = async () => {
    process.off("exit", orphaned);
    child.kill("SIGKILL");
    await ended;
  };
  try {
    const found = await within(said, () => `${listening} in the output of ${args.join(" ")}:\n${output}`, {
      timeout: START_MS,
    });
    return closeable({ url: found, pid: child.pid!, close });
  } catch (error) {
    await close();
    throw error;
  }
}
