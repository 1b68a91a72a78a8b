/** Whom a server has asked: an answer from anybody else does not go up, and none twice. */
import type { ChannelSession } from "./channel-session.ts";

/** Requests of a server that wait for their answers. */
const MAX_ASKED = 1024;

export class Asked {
  readonly #waiting = new Map<string, { idText: string; session: ChannelSession }>();

  get hasRoom(): boolean {
    return this.#waiting.size < MAX_ASKED;
  }

  add(idText: string, session: ChannelSession): void {
    this.#waiting.set(keyOf(idText)!, { idText, session });
  }

  take(idText: string, session: ChannelSession): boolean {
    const key = keyOf(idText);
    return key !== undefined && this.#waiting.get(key)?.session === session && this.#waiting.delete(key);
  }

  /** What nobody will answer now. */
  takeAll(session: ChannelSession): string[] {
    const left: string[] = [];
    for (const [key, asked] of this.#waiting) {
      if (asked.session !== session) continue;
      this.#waiting.delete(key);
      left.push(asked.idText);
    }
    return left;
  }
}

/** The same text for ids that are equal, however they are written; `undefined` for what is neither a string nor a number. */
export function keyOf(idText: string): string | undefined {
  try {
    const id: unknown = JSON.parse(idText);
    return typeof id === "string" || typeof id === "number" || id === null ? JSON.stringify(id) : undefined;
  } catch {
    return undefined;
  }
}
