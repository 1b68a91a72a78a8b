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
  const toJson = (value: unknown) =>
    JSON.stringify(value, (_, inner: unknown) => (typeof inner === "string" ? redactor.text(inner) : inner), 2);
  return {
    redactor,
    logger: (args) => createLogger(args["log-level"], { format: args["log-format"], redactor }),
    print: (text) => void process.stdout.write(`${redactor.text(text)}\n`),
    printJson: (value) => void process.stdout.write(`${toJson(value)}\n`),
    printError(error, command) {
      const { code, message } = explain(error, command);
      const clean = redactor.text(message);
      if (asJson) process.stdout.write(`${toJson({ error: { code, message } })}\n`);
      else process.stderr.write(logFormat === "json" ? `${jsonLine("error", clean)}\n` : `penstock: ${clean}\n`);
    },
  };
}

/** Resolves when everything has been taken over by the system: `process.exit` does not wait for it on every runtime. */
export async function flush(): Promise<void> {
  await Promise.all(
    [process.stdout, process.stderr].map(
      (stream) => new Promise<void>((resolve) => (stream.destroyed ? resolve() : stream.write("", () => resolve()))),
    ),
  );
}
