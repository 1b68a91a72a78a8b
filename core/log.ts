import { createConsola } from "consola";

export type LogLevel = "silent" | "error" | "warn" | "info" | "debug";
/** A text, or a function that makes it: called only when the level is enabled. */
export type LogText = string | (() => string);

/** What Penstock logs through. Any logger with these four methods will do. */
export interface Logger {
  debug(text: LogText): void;
  info(text: LogText): void;
  warn(text: LogText): void;
  error(text: LogText): void;
}

export const LOG_LEVELS: readonly LogLevel[] = ["silent", "error", "warn", "info", "debug"];

/** Longest log line, in characters: a tool name or a header may be a megabyte. */
const MAX_LINE = 2048;

/**
 * A logger that writes to stderr, so that stdout stays free for what a command prints.
 *
 * @param level the most talkative level that is written
 */
export function createLogger(level: LogLevel = "info"): Logger {
  const rank = LOG_LEVELS.indexOf(level);
  // consola lowers its level by itself when it sees CI or TEST in the environment, hence the explicit 5 and our own ranks.
  const sink = createConsola({
    level: 5,
    stdout: process.stderr,
    stderr: process.stderr,
    formatOptions: { date: false },
  });
  const writer = (at: Exclude<LogLevel, "silent">) =>
    rank >= LOG_LEVELS.indexOf(at)
      ? (text: LogText) => sink[at](oneLine(typeof text === "function" ? text() : text))
      : () => {};
  return { debug: writer("debug"), info: writer("info"), warn: writer("warn"), error: writer("error") };
}

/** A logger that drops everything: the default of `createPenstock`. */
export const SILENT: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** Escapes what could forge a second line or drive a terminal, and bounds the length. */
export function oneLine(text: string): string {
  const cut = text.length > MAX_LINE ? `${text.slice(0, MAX_LINE)}… (${text.length} characters)` : text;
  // oxlint-disable-next-line no-control-regex -- control characters are what it looks for
  return cut.replace(/[\u0000-\u001F\u007F-\u009F\u2028\u2029]/g, (char) =>
    char === "\n" ? "\\n" : char === "\r" ? "\\r" : `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
