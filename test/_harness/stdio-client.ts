import { type ChildProcess, spawn } from "node:child_process";
import { journal } from "./journal.ts";
import { type Closeable, closeable } from "./loopback.ts";
import { cliCommand } from "./proxy.ts";
import { within } from "./wait.ts";

/** A client of a stdio server, written line by line. */
export interface RawStdio extends Closeable {
  readonly process: ChildProcess;
  /** Every line of stdout so far. */
  readonly lines: readonly string[];
  stderr(): string;
  /** Writes one line. */
  say(line: string | Buffer): void;
  /** The first line, past or future, that holds this text, as JSON. */
  heard(text: string): Promise<Record<string, unknown>>;
  /** Exit code or signal. */
  readonly exited: Promise<number | NodeJS.Signals | null>;
}

/** Starts the built command line as a stdio server. @param writes Deno must be allowed to make files */
export function rawStdio(args: string[], env: Record<string, string> = {}, writes = false): RawStdio {
  const { command, args: all, env: environment } = cliCommand(args, env, writes);
  const child = spawn(command, all, { env: environment, stdio: "pipe" });
  const lines = journal<string>((line) => line.slice(0, 200));
  let [rest, errors] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    const pieces = (rest + text).split("\n");
    rest = pieces.pop()!;
    for (const piece of pieces) lines.add(piece);
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => (errors += text));
  child.stdin.on("error", () => {});
  const exited = new Promise<number | NodeJS.Signals | null>((resolve) =>
    child.once("close", (code, signal) => {
      if (rest !== "") lines.add(rest);
      resolve(code ?? signal);
    }),
  );
  const client = closeable({
    process: child as ChildProcess,
    lines: lines.entries,
    stderr: () => errors,
    say: (line: string | Buffer) => void child.stdin.write(Buffer.concat([Buffer.from(line), Buffer.from("\n")])),
    async heard(text: string) {
      const found = await lines.find((line) => line.includes(text), text, { timeout: 8000 });
      return JSON.parse(found) as Record<string, unknown>;
    },
    exited,
    async close() {
      child.stdin.end();
      await within(exited, "its exit").catch(() => {
        child.kill("SIGKILL");
        return exited;
      });
    },
  });
  return client;
}
