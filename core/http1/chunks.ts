/** The chunked coding (RFC 9112 §7.1), read as strictly as it is written there. */
import { InvalidMessage } from "./fields.ts";

const SIZE = 0;
const EXTENSION = 1;
const SIZE_LF = 2;
const DATA = 3;
const DATA_CR = 4;
const DATA_LF = 5;
const TRAILER_START = 6;
const TRAILER = 7;
const TRAILER_LF = 8;
const END_LF = 9;

/** 13 hexadecimal digits stay below 2^53. */
const MAX_DIGITS = 13;
const MAX_EXTENSION = 1024;
const MAX_TRAILERS = 16 * 1024;
/** Pieces longer than this are passed on where they stand; shorter ones are moved together. */
const LARGE = 4096;

const CR = 0x0d;
const LF = 0x0a;
const SEMICOLON = 0x3b;
const TAB = 0x09;

/** One chunked body. */
export class ChunkReader {
  /** The last chunk and the trailers are behind. */
  done = false;
  #state = SIZE;
  #left = 0;
  #digits = 0;
  #extra = 0;

  begin(): void {
    this.done = false;
    this.#state = SIZE;
    this.#left = 0;
    this.#digits = 0;
    this.#extra = 0;
  }

  /**
   * Reads on. The data of small chunks is moved together within `bytes`, so that a read from the socket with a hundred small
   * events in it goes on as one piece.
   *
   * @param data takes a piece of the body, and says whether to go on
   * @returns where it stopped: behind the body when that is `done`
   * @throws InvalidMessage after everything that came before the mistake was passed on
   */
  read(bytes: Buffer, start: number, data: (piece: Buffer) => boolean): number {
    const { length } = bytes;
    let at = start;
    let from = 0;
    let to = 0;
    while (at < length && !this.done) {
      if (this.#state !== DATA) {
        if (this.#frame(bytes[at++]!)) continue;
        if (to > from) data(bytes.subarray(from, to));
        throw new InvalidMessage("malformed chunks");
      }
      const size = Math.min(this.#left, length - at);
      if (to === from) {
        from = at;
        to = at + size;
      } else if (size > LARGE) {
        if (!data(bytes.subarray(from, to))) return at;
        from = at;
        to = at + size;
      } else {
        bytes.copyWithin(to, at, at + size);
        to += size;
      }
      at += size;
      this.#left -= size;
      if (this.#left === 0) this.#state = DATA_CR;
    }
    if (to > from) data(bytes.subarray(from, to));
    return at;
  }

  /** One byte that is not data. @returns false when it must not stand there */
  #frame(byte: number): boolean {
    switch (this.#state) {
      case SIZE: {
        const digit = hexDigit(byte);
        if (digit >= 0) {
          this.#left = this.#left * 16 + digit;
          return ++this.#digits <= MAX_DIGITS;
        }
        if (this.#digits === 0) return false;
        this.#state = byte === SEMICOLON ? EXTENSION : SIZE_LF;
        this.#extra = 0;
        return byte === CR || byte === SEMICOLON;
      }
      case EXTENSION:
        return this.#line(byte, SIZE_LF, MAX_EXTENSION);
      case SIZE_LF:
        this.#state = this.#left === 0 ? TRAILER_START : DATA;
        this.#digits = 0;
        this.#extra = 0;
        return byte === LF;
      case DATA_CR:
        this.#state = DATA_LF;
        return byte === CR;
      case DATA_LF:
        this.#state = SIZE;
        return byte === LF;
      case TRAILER_START:
        this.#state = TRAILER;
        // A line that begins with a blank would be a folded one.
        return byte !== 0x20 && byte !== TAB && this.#line(byte, END_LF, MAX_TRAILERS);
      case TRAILER:
        return this.#line(byte, TRAILER_LF, MAX_TRAILERS);
      case TRAILER_LF:
        this.#state = TRAILER_START;
        return byte === LF;
      default:
        this.done = true;
        return byte === LF;
    }
  }

  /** A line that is passed over: chunk extensions and trailers are not relayed. */
  #line(byte: number, end: number, limit: number): boolean {
    if (byte === CR) this.#state = end;
    else if (++this.#extra > limit || (byte < 0x20 && byte !== TAB) || byte === 0x7f) return false;
    return true;
  }
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
