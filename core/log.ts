/** The log: one event per line on stderr, as text or JSON, without secrets. */
import { type ConsolaReporter, createConsola } from "consola/core";
import { type Redactor, createRedactor } from "./redact.ts";

export type LogLevel = "silent" | "error" | "warn" | "info" | "debug";
export type LogFormat = "text" | "json";
/** A text, or a function that makes it: called only when the level is enabled. */
export type LogText = string | (() => string);

/** What Penstock logs through. Any logger with the first four methods will do. */
export interface Logger {
  debug(text: LogText): void;
  info(text: LogText): void;
  warn(text: LogText): void;
  error(text: LogText): void;
  /** From now on this value is written as `[redacted]`. Values below 4 characters are not. */
  redact?(secret: string): void;
  /** The text without the secrets that are known: for what is shown elsewhere. */
  clean?(text: string): string;
}

/** Options of {@link createLogger}. */
export interface LoggerOptions {
  /** `json`: one object per line with `time` (ISO 8601), `level` and `message`. @default "text" */
  format?: LogFormat;
  /** Knows the secrets; shared with whoever else prints. @default a new one */
  redactor?: Redactor;
}

export const LOG_LEVELS: readonly LogLevel[] = ["silent", "error", "warn", "info", "debug"];
export const LOG_FORMATS: readonly LogFormat[] = ["text", "json"];

/** Longest message, in bytes: a tool name or a header may be a megabyte. */
const MAX_LINE = 2048;

const COLOURS = { error: 31, warn: 33, info: 36, debug: 90 };

/**
 * A logger that writes to stderr, so that stdout stays free for what a command prints. Colours only on a terminal, and
 * not where `NO_COLOR` is set.
 *
 * @param level the most talkative level that is written
 */
export function createLogger(
  level: LogLevel = "info",
  options: LoggerOptions = {},
): Logger & Required<Pick<Logger, "redact" | "clean">> {
  const { format = "text", redactor = createRedactor() } = options;
  const rank = LOG_LEVELS.indexOf(level);
  const coloured = format === "text" && Boolean(process.stderr.isTTY) && !process.env.NO_COLOR;
  const reporter: ConsolaReporter = {
    log({ type, args: [whole] }) {
      const at = type as Exclude<LogLevel, "silent">;
      // Before anything is cut off or escaped: half a secret is not recognised.
      const message = bounded(redactor.text(whole as string, MAX_LINE), (whole as string).length);
      const label = coloured ? `\u001B[${COLOURS[at]}m${at}\u001B[0m` : `[${at}]`;
      process.stderr.write(`${format === "json" ? jsonLine(at, message) : `${label} ${oneLine(message)}`}\n`);
    },
  };
  // Its own level would follow CI and TEST in the environment, and its throttle would drop lines that repeat.
  const sink = createConsola({ level: 5, throttle: 0, reporters: [reporter] });
  const writer = (at: Exclude<LogLevel, "silent">) => {
    if (rank < LOG_LEVELS.indexOf(at)) return () => {};
    return (text: LogText) => sink[at](typeof text === "function" ? text() : text);
  };
  return {
    debug: writer("debug"),
    info: writer("info"),
    warn: writer("warn"),
    error: writer("error"),
    redact: (secret) => redactor.add(secret),
    clean: (text) => redactor.text(text),
  };
}

/** A logger that drops everything: the default of `createPenstock`. */
export const SILENT: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** Escapes what could forge a second line or drive a terminal. */
function oneLine(text: string): string {
  return escapeControls(text, (char) => (char === "\n" ? "\\n" : char === "\r" ? "\\r" : unicode(char)));
}

/**
 * One line of JSON, whatever the text holds.
 *
 * @param fields more members, already free of secrets
 */
export function jsonLine(
  level: Exclude<LogLevel, "silent">,
  message: string,
  fields: Record<string, unknown> = {},
): string {
  // JSON leaves DEL, C1 and the Unicode line ends as they are.
  return escapeControls(JSON.stringify({ time: new Date().toISOString(), level, message, ...fields }), unicode);
}

/** Counts what is written: an escaped character, or half a surrogate pair, is up to six bytes. @param length to tell */
function bounded(text: string, length: number): string {
  if (text.length <= MAX_LINE / 6) return text;
  let end = 0;
  for (let written = 0; end < text.length; end++) {
    const code = text.charCodeAt(end);
    const isEscaped =
      code < 0x20 || (code >= 0x7f && code < 0xa0) || code >> 11 === 0x1b || code === 0x20_28 || code === 0x20_29;
    written += isEscaped ? 6 : code > 0x7f ? 3 : code === 0x22 || code === 0x5c ? 2 : 1;
    if (written > MAX_LINE) return `${text.slice(0, end)}… (${length} characters)`;
  }
  return text;
}

function escapeControls(text: string, escape: (char: string) => string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what it looks for
  return text.replace(/[\u0000-\u001F\u007F-\u009F\u2028\u2029]/g, escape);
}

function unicode(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
