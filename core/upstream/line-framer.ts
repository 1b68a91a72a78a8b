/**
 * Messages out of a byte stream, one per line (MCP 2025-11-25, Transports, stdio). By bytes: U+2028 ends no line, and a character may come in
 * two pieces.
 */

const LF = 0x0a;
const CR = 0x0d;

export class LineFramer {
  readonly #limit: number;
  readonly #onLine: (line: Buffer) => void;
  #rest: Buffer[] = [];
  #size = 0;

  /** @param limit longest line, in bytes @param onLine told each line without its end; empty ones are left out */
  constructor(limit: number, onLine: (line: Buffer) => void) {
    this.#limit = limit;
    this.#onLine = onLine;
  }

  /** @returns false when a line is longer than the limit: nothing that follows can be read */
  write(chunk: Buffer): boolean {
    let from = 0;
    for (let end = chunk.indexOf(LF); end !== -1; end = chunk.indexOf(LF, from)) {
      if (this.#size + end - from > this.#limit) return this.#tooLong();
      this.#line(chunk.subarray(from, end));
      from = end + 1;
    }
    if (from === chunk.length) return true;
    this.#size += chunk.length - from;
    if (this.#size > this.#limit) return this.#tooLong();
    this.#rest.push(chunk.subarray(from));
    return true;
  }

  /** The stream has ended: what has no line end is a line as well. */
  end(): void {
    if (this.#size > 0) this.#line(Buffer.alloc(0));
  }

  #line(last: Buffer): void {
    const whole = this.#size > 0 ? Buffer.concat([...this.#rest, last]) : last;
    this.#rest = [];
    this.#size = 0;
    const line = whole.at(-1) === CR ? whole.subarray(0, -1) : whole;
    if (line.length > 0) this.#onLine(line);
  }

  #tooLong(): false {
    this.#rest = [];
    this.#size = 0;
    return false;
  }
}
