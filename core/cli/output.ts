/** What the command line prints: nothing leaves it but through the redactor. */
import { type LogFormat, type Logger, createLogger, jsonLine } from "../log.ts";
import { type Redactor, createRedactor } from "../redact.ts";
import { registerEnvironment } from "../secrets.ts";
import type { Args } from "./args.ts";
import { explain } from "./explain.ts";

/** What a command works with beside its options. */
export interface Output {
  readonly redactor: Redactor;
  /** The log that the options ask for. */
  logger(args: Args): Logger;
  /** The result, on stdout. */
  print(text: string): void;
  /** The result as JSON, on stdout. */
  printJson(value: unknown): void;
  /** Why there is no result: for people on stderr, as JSON on stdout, in a JSON log as one of its lines. */
  printError(error: unknown, command: string | undefined): void;
  /** What is waited for, on a terminal only and in place of what stood there; `undefined` takes it away. */
  progress(text: string | undefined): void;
  /**
   * Resolves when everything has been taken over by the system: `process.exit` waits for it on no runtime.
   *
   * @param limit for how long at most, in milliseconds; without it as long as the reader takes
   */
  flush(limit?: number): Promise<void>;
}

/** @param argv tells the format, because an error may come before the options are read */
export function createOutput(argv: readonly string[]): Output {
  const redactor = createRedactor();
  registerEnvironment(process.env, redactor);
  // A reader that has left (`penstock routes | head`, a log collector that restarts) is no reason to fail.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
  const asJson = argv.includes("--json");
  // What a configuration prints for itself must not stand amid the JSON.
  if (asJson) console.log = console.info = console.debug = console.error;
  const logFormat: LogFormat =
    argv.includes("--log-format=json") || argv[argv.indexOf("--log-format") + 1] === "json" ? "json" : "text";
  // Only a write's own callback tells: that of an empty one behind it comes too early on Bun.
  const pending = new Set<Promise<void>>();
  const write = (stream: NodeJS.WriteStream, text: string) => {
    const written = new Promise<void>((resolve) => stream.write(`${text}\n`, () => resolve()));
    pending.add(written);
    void written.then(() => pending.delete(written));
  };
  const toJson = (value: unknown) =>
    JSON.stringify(value, (_, inner: unknown) => (typeof inner === "string" ? redactor.text(inner) : inner), 2);
  return {
    redactor,
    logger: (args) => createLogger(args["log-level"], { format: args["log-format"], redactor }),
    print: (text) => write(process.stdout, redactor.text(text)),
    printJson: (value) => write(process.stdout, toJson(value)),
    printError(error, command) {
      const { code, message } = explain(error, command);
      const clean = redactor.text(message);
      if (asJson) write(process.stdout, toJson({ error: { code, message } }));
      else write(process.stderr, logFormat === "json" ? jsonLine("error", clean) : `penstock: ${clean}`);
    },
    progress(text) {
      if (asJson || !process.stderr.isTTY) return;
      // ECMA-48 §8.3.41, erase in line: no colour, so NO_COLOR does not matter.
      process.stderr.write(`\r\u001B[K${redactor.text(text ?? "")}`);
    },
    async flush(limit) {
      const flushed = Promise.all([...pending, drained(process.stdout), drained(process.stderr)]);
      const expired = new Promise((resolve) => limit !== undefined && setTimeout(resolve, limit));
      await Promise.race([flushed, expired]);
    },
  };
}

/** The log writes by itself. */
function drained(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    if (stream.destroyed || stream.writableLength === 0) return resolve();
    for (const event of ["drain", "error", "close"]) stream.once(event, () => resolve());
  });
}
