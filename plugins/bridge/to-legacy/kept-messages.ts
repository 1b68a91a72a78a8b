/** What a server says to a client that is away: notifications, and how much its answer weighs. */
import type { ServerMessage } from "../messages.ts";

/** Where bytes of all calls are counted. */
export interface Scale {
  /** @returns false where there are too many */
  keep(bytes: number): boolean;
}

/** Of one call, in bytes; more, and the server is not read. */
const FULL = 64 * 1024;

export class KeptMessages {
  readonly #scale: Scale;
  #messages: ServerMessage[] = [];
  #size = 0;

  constructor(scale: Scale) {
    this.#scale = scale;
  }

  /** @returns false when there should be no more for now */
  add(message: ServerMessage): boolean {
    // Without room for it, it is lost: of progress the next one says more.
    if (this.keep(message.text.length)) this.#messages.push(message);
    return this.#size < FULL;
  }

  /** Something else is kept for the same client. @returns false where there is no room */
  keep(bytes: number): boolean {
    if (!this.#scale.keep(bytes)) return false;
    this.#size += bytes;
    return true;
  }

  takeAll(): ServerMessage[] {
    const messages = this.#messages;
    this.#messages = [];
    return messages;
  }

  /** Nothing is kept any more. */
  clear(): void {
    this.#scale.keep(-this.#size);
    this.#size = 0;
    this.#messages = [];
  }
}
