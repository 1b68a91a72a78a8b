/** The body of an answer that is not all there yet, on its way into a socket. */
import type { Outlet } from "../../body/pipe.ts";

/** What an outlet needs of its connection. */
export interface OutletOwner {
  /** @returns false when the client is slow: `pipe.drained()` is called when it reads again */
  write(bytes: Uint8Array): boolean;
  /** The answer is over. @param whole the client has, or will have, all of it */
  answered(whole: boolean): void;
}

const LAST_CHUNK = Buffer.from("0\r\n\r\n");
/** Pieces up to here are copied into one buffer with their frame; a write costs more than that copy. */
const SMALL = 32 * 1024;

export class SocketOutlet implements Outlet {
  readonly #owner: OutletOwner;
  /** Until it is sent, which is together with the first bytes where these come at once. */
  #head: string | undefined;
  readonly #isChunked: boolean;
  /** Bytes that are still due, where the head tells their number. */
  #left: number;

  /** @param length of the body, where the head says it */
  constructor(owner: OutletOwner, head: string, isChunked: boolean, length: number | undefined) {
    this.#owner = owner;
    this.#head = head;
    this.#isChunked = isChunked;
    this.#left = length ?? Number.POSITIVE_INFINITY;
  }

  write(chunk: Uint8Array): boolean {
    return this.#send(chunk, false);
  }

  end(last?: Uint8Array): void {
    if (last || this.#isChunked || this.#head !== undefined) this.#send(last ?? EMPTY, true);
    // RFC 9112 §8: fewer bytes than were announced are no whole answer.
    this.#owner.answered(this.#left === 0 || this.#left === Number.POSITIVE_INFINITY);
  }

  cut(): void {
    this.flushHead();
    this.#owner.answered(false);
  }

  flushHead(): void {
    if (this.#head === undefined) return;
    this.#owner.write(Buffer.from(this.#head, "latin1"));
    this.#head = undefined;
  }

  #send(chunk: Uint8Array, isLast: boolean): boolean {
    const { length } = chunk;
    this.#left -= length;
    // More than was announced would be the beginning of the next answer.
    if (this.#left < 0) {
      this.#owner.answered(false);
      return true;
    }
    const size = this.#isChunked && length > 0 ? `${length.toString(16)}\r\n` : "";
    const before = this.#head === undefined ? size : this.#head + size;
    const after = this.#isChunked ? (length > 0 ? 2 : 0) + (isLast ? 5 : 0) : 0;
    this.#head = undefined;
    if (length > SMALL) {
      if (before) this.#owner.write(Buffer.from(before, "latin1"));
      const goesOn = this.#owner.write(chunk);
      return after > 0 ? this.#owner.write(Buffer.from(isLast ? "\r\n0\r\n\r\n" : "\r\n")) : goesOn;
    }
    const bytes = Buffer.allocUnsafe(before.length + length + after);
    let at = before ? bytes.write(before, 0, "latin1") : 0;
    bytes.set(chunk, at);
    at += length;
    if (this.#isChunked && length > 0) {
      bytes[at++] = 0x0d;
      bytes[at++] = 0x0a;
    }
    if (this.#isChunked && isLast) LAST_CHUNK.copy(bytes, at);
    return this.#owner.write(bytes);
  }
}

const EMPTY = new Uint8Array();
