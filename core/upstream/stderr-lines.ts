/** What a server writes to its stderr: data, never a template. The last lines are kept, for `/health` and the doctor. */
import type { Logger } from "../log.ts";

const MAX_LINES = 50;
/** Bytes of a line that are kept. */
const MAX_LINE = 2048;
const LF = 0x0a;
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
    let begun: Buffer[] = [];
    let size = 0;
    const keep = (piece: Buffer) => {
      // A copy of what is kept of a line: the piece is a part of what was read.
      const kept = Buffer.from(piece.subarray(0, MAX_LINE - size));
      begun.push(kept);
      size += kept.length;
    };
    const finish = () => {
      const line = Buffer.concat(begun);
      begun = [];
      size = 0;
      if (line.length > 0) this.#add(line, pid);
    };
    return {
      write(chunk) {
        let from = 0;
        for (let end = chunk.indexOf(LF); end !== -1; end = chunk.indexOf(LF, from)) {
          keep(chunk.subarray(from, end));
          finish();
          from = end + 1;
        }
        if (from < chunk.length) keep(chunk.subarray(from));
      },
      end: finish,
    };
  }

  /** Oldest first, without secrets and control characters. */
  get last(): string[] {
    const lines = [...this.#lines.slice(this.#next), ...this.#lines.slice(0, this.#next)];
    return lines.map((line) => this.#clean(line));
  }

  /** The last line that says something: behind what it threw, Node writes a stack, the error's members, and its version. */
  get telling(): string | undefined {
    const lines = this.last;
    if (!/^Node\.js v\d/.test(lines.at(-1) ?? "")) return lines.at(-1);
    return lines.findLast((line) => !/^(?:Node\.js v\d|[\s}]|$)/.test(line)) ?? lines.at(-1);
  }

  #add(kept: Buffer, pid: number): void {
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
