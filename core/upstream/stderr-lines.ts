/** What a server writes to its stderr: data, never a template. The last lines are kept, for `/health` and the doctor. */
import { LineFramer } from "./line-framer.ts";
import type { Logger } from "../log.ts";

const MAX_LINES = 50;
/** Bytes of a line that are kept. */
const MAX_LINE = 2048;
/** Lines per second that go to the log. */
const MAX_LOGGED = 20;

/** The last lines of one server, of all its processes. */
export class StderrLines {
  readonly #log: Logger;
  readonly #server: string;
  readonly #lines: Buffer[] = [];
  #next = 0;
  #logged = 0;
  #left = 0;
  #second = 0;

  constructor(server: string, log: Logger) {
    this.#server = server;
    this.#log = log;
  }

  /** For one process. Takes whatever comes: a pipe that nobody reads would stop the server. */
  reader(pid: number): { write(chunk: Buffer): void; end(): void } {
    let framer = this.#framer(pid);
    return {
      write: (chunk) => {
        // A line without an end is cut into pieces of what may wait.
        if (!framer.write(chunk)) framer = this.#framer(pid);
      },
      end: () => framer.end(),
    };
  }

  /** Oldest first, without secrets and control characters. */
  get last(): string[] {
    const lines = [...this.#lines.slice(this.#next), ...this.#lines.slice(0, this.#next)];
    return lines.map((line) => this.#clean(line));
  }

  #framer(pid: number): LineFramer {
    return new LineFramer(64 * 1024, (line) => this.#add(line, pid));
  }

  #add(line: Buffer, pid: number): void {
    // A copy: the line is a part of a piece that was read.
    const kept = Buffer.from(line.subarray(0, MAX_LINE));
    this.#lines[this.#next] = kept;
    this.#next = (this.#next + 1) % MAX_LINES;
    const second = Math.floor(performance.now() / 1000);
    if (second !== this.#second) {
      const left = this.#left;
      if (left > 0) this.#log.debug(() => `${this.#server}: ${left} more lines on stderr`);
      this.#second = second;
      this.#logged = 0;
      this.#left = 0;
    }
    if (this.#logged++ < MAX_LOGGED) this.#log.debug(() => `${this.#server} (pid ${pid}) stderr: ${kept.toString()}`);
    else this.#left++;
  }

  #clean(line: Buffer): string {
    const text = line.toString();
    return escapeControls(this.#log.clean?.(text) ?? text);
  }
}

/** As a log line has it: nothing in it drives a terminal. */
function escapeControls(text: string): string {
  return text.replace(
    // oxlint-disable-next-line no-control-regex -- control characters are what it looks for
    /[\u0000-\u001F\u007F-\u009F\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
