import { describe, expect, onTestFinished, test, vi } from "vitest";
import { type LoggerOptions, type LogLevel, createLogger, jsonLine } from "../../core/log.ts";
import { environment } from "./files.ts";

/** What a logger writes, line by line. */
function written(
  level: LogLevel,
  options: LoggerOptions,
  log: (logger: ReturnType<typeof createLogger>) => void,
): string[] {
  const chunks: string[] = [];
  const write = vi.spyOn(process.stderr, "write").mockImplementation((chunk) => chunks.push(String(chunk)) > 0);
  onTestFinished(() => write.mockRestore());
  log(createLogger(level, options));
  write.mockRestore();
  const lines = chunks.join("").split("\n");
  expect(lines.pop()).toBe("");
  return lines;
}

/** What must not reach a terminal, or end a line. */
const HOSTILE = 'a\r\nb\u001B[31m\u0000\u007F\u009B\u2028\u2029{"level":"error"}\\"\uD800';

describe("as JSON", () => {
  const json = (text: string) => written("debug", { format: "json" }, (log) => log.warn(text));

  test("each event is one object with time, level and message", () => {
    const [line] = json("hello");
    const { time, ...rest } = JSON.parse(line!);
    expect(rest).toEqual({ level: "warn", message: "hello" });
    expect(new Date(time).toISOString()).toBe(time);
  });

  test("whatever the text holds, the line is whole, printable, and says the same", () => {
    const lines = json(HOSTILE);
    expect(lines).toHaveLength(1);
    // oxlint-disable-next-line no-control-regex -- control characters are what it looks for
    expect(lines[0]).not.toMatch(/[\u0000-\u001F\u007F-\u009F\u2028\u2029]/);
    expect(JSON.parse(lines[0]!).message).toBe(HOSTILE);
  });

  test.each([["a"], ["é"], ["\u0000"], ['"'], ["\\"], ["😀"], ["\u2028"]])(
    "a megabyte of %j stays below 3 KiB",
    (char) => {
      const [line] = json(char.repeat(1_000_000 / char.length));
      expect(Buffer.byteLength(line!)).toBeLessThan(3 * 1024);
      expect(JSON.parse(line!).message).toMatch(/… \(1000000 characters\)$/);
    },
  );

  test("more members stand beside the message", () => {
    expect(JSON.parse(jsonLine("info", "up", { url: "http://h" }))).toMatchObject({ message: "up", url: "http://h" });
  });
});

describe("as text", () => {
  test("each event is one printable line", () => {
    const lines = written("info", {}, (log) => log.info(HOSTILE));
    expect(lines).toHaveLength(1);
    // oxlint-disable-next-line no-control-regex -- control characters are what it looks for
    expect(lines[0]).not.toMatch(/[\u0000-\u001F\u007F-\u009F\u2028\u2029]/);
    expect(lines[0]).toMatch(/^\[info\] a\\r\\nb\\u001b\[31m/);
  });

  test.each([
    [true, undefined, "\u001B[33mwarn\u001B[0m x"],
    [true, "1", "[warn] x"],
    [false, undefined, "[warn] x"],
  ])("on a terminal: %s, with NO_COLOR=%s", (isTTY, NO_COLOR, line) => {
    environment({ NO_COLOR });
    const before = process.stderr.isTTY;
    process.stderr.isTTY = isTTY;
    onTestFinished(() => void (process.stderr.isTTY = before));
    expect(written("warn", {}, (log) => log.warn("x"))).toEqual([line]);
  });
});

test.each(["text", "json"] as const)(
  "the level decides what is written, and nothing else is even made (%s)",
  (format) => {
    const made: string[] = [];
    const make = (level: string) => () => {
      made.push(level);
      return level;
    };
    const lines = written("warn", { format }, (log) => {
      log.debug(make("debug"));
      log.info(make("info"));
      log.warn(make("warn"));
      log.error(make("error"));
    });
    expect(lines).toHaveLength(2);
    expect(made).toEqual(["warn", "error"]);
    expect(written("silent", { format }, (log) => log.error("x"))).toEqual([]);
  },
);

test.each(["text", "json"] as const)(
  "a registered secret is never written, also where the line is cut (%s)",
  (format) => {
    const secret = "canary-canary-canary";
    for (let fill = 2000; fill < 2060; fill++) {
      const [line] = written("info", { format }, (log) => {
        log.redact(secret);
        log.info(`${"x".repeat(fill)}${secret}${"y".repeat(100)}`);
      });
      expect(line).not.toContain("canary");
    }
  },
);
