/** Notes whether a response went by in the bytes of a stream that nobody reads: nothing is held back, parsed or changed. */
import { indexOfAscii } from "./search.ts";
import { asBuffer, endsWithBlankLine } from "./sse.ts";

/** Within a JSON string the quotes would be escaped. A key may be written with escapes, and nobody can tell then. */
const NEEDLES = ['"result"', '"error"', "\\u00"];
/** What may stand on both sides of a cut. */
const OVERLAP = 8;

export class ResponseWatch {
  responded = false;
  #tail: Buffer = Buffer.alloc(0);
  #begun = false;

  /** The last event is not over: what is written behind it needs a blank line first. */
  get unfinished(): boolean {
    return this.#begun && !endsWithBlankLine(this.#tail);
  }

  write(chunk: Uint8Array, out: (bytes: Uint8Array) => void): void {
    const bytes = asBuffer(chunk);
    this.#begun ||= bytes.length > 0;
    if (!this.responded)
      this.responded = holdsAny(bytes) || holdsAny(Buffer.concat([this.#tail, bytes.subarray(0, OVERLAP)]));
    this.#tail =
      bytes.length >= OVERLAP
        ? Buffer.from(bytes.subarray(-OVERLAP))
        : Buffer.concat([this.#tail, bytes]).subarray(-OVERLAP);
    out(chunk);
  }

  end(): void {}
}

function holdsAny(bytes: Buffer): boolean {
  return NEEDLES.some((needle) => indexOfAscii(bytes, needle, 0) !== -1);
}
