import type { Socket } from "node:net";
import { type WaitOptions, within } from "../wait.ts";
import { gate } from "./gate.ts";

/** How and when one direction of a connection, or all of it, ended. */
export interface Ending {
  /** `fin` and `reset` were sent by the other side, `local` is our own doing. */
  how: "fin" | "reset" | "local";
  /** `performance.now()` at that moment. */
  at: number;
}

/** A wait that can never be fulfilled because the other side has left. */
export class PeerGoneError extends Error {
  override readonly name = "PeerGoneError";
}

/** One end of a TCP connection, scripted. Both the raw client and each connection of the raw server are one. */
export interface Peer {
  readonly socket: Socket;
  /** Everything received so far as latin1 text: one character is one byte. Waits never shorten it. */
  readonly received: string;
  /**
   * Waits until the input that no earlier wait has consumed matches, then consumes and returns it: up to the end of the
   * match, or all of it for a predicate.
   */
  receive(until: RegExp | ((pending: string) => boolean), options?: WaitOptions): Promise<string>;
  /** Like `receive`, for a parser: it returns a value and how many characters it used, or `undefined` for "not yet". */
  take<T>(parse: Parse<T>, what: string, options?: WaitOptions): Promise<T>;
  /** Writes bytes (text as UTF-8); `false` means that the buffers are full because the other side does not read. */
  send(data: string | Buffer): boolean;
  /** Half-closes: no more bytes from here, the other direction stays open. */
  fin(): void;
  /** Aborts the connection with a TCP reset. */
  reset(): void;
  /** Stops reading, so that back-pressure builds up. A paused peer does not notice a FIN or a reset either. */
  pause(): void;
  resume(): void;
  /** The other side will send nothing more: FIN, reset, or our own close. */
  readonly ended: Promise<Ending>;
  /** The connection is gone in both directions. */
  readonly closed: Promise<Ending>;
}

type Parse<T> = (pending: string, ended: boolean) => { value: T; length: number } | undefined;

/** Wraps a connected socket. @param answers whether a piece of input was dealt with already: then nobody sees it */
export function peer(socket: Socket, answers?: (text: string) => boolean): Peer {
  let received = "";
  let consumed = 0;
  let ending: Ending | undefined;
  let failure: NodeJS.ErrnoException | undefined;
  const ended = gate();
  const waiting = new Set<() => void>();
  const wake = () => {
    for (const check of waiting) check();
  };
  const end = (how: Ending["how"]) => {
    ending ??= { how, at: performance.now() };
    ended.open();
    wake();
  };
  socket.setNoDelay(true);
  socket.on("data", (chunk) => {
    const text = chunk.toString("latin1");
    if (answers?.(text)) return;
    received += text;
    wake();
  });
  socket.on("end", () => end("fin"));
  // Without a listener a reset would be an uncaught exception; `close` follows and reports it.
  socket.on("error", (error) => {
    failure = error;
  });
  const closed = new Promise<Ending>((resolve) => {
    socket.on("close", () => {
      end(failure ? "reset" : "local");
      resolve({ how: failure ? "reset" : (ending?.how ?? "local"), at: performance.now() });
    });
  });

  async function take<T>(parse: Parse<T>, what: string, options?: WaitOptions): Promise<T> {
    let check!: () => void;
    const parsed = new Promise<T>((resolve, reject) => {
      check = () => {
        try {
          const result = parse(received.slice(consumed), ending !== undefined);
          if (result) {
            waiting.delete(check);
            consumed += result.length;
            resolve(result.value);
          } else if (ending) {
            reject(
              new PeerGoneError(`the connection ended (${ending.how}) before ${what}; received: ${show(received)}`),
            );
          }
        } catch (error) {
          reject(error);
        }
      };
      waiting.add(check);
      check();
    });
    try {
      return await within(parsed, () => `${what}; received: ${show(received)}`, options);
    } finally {
      waiting.delete(check);
    }
  }

  return {
    socket,
    get received() {
      return received;
    },
    take,
    receive(until, options) {
      if (typeof until === "function") {
        return take(
          (pending) => (until(pending) ? { value: pending, length: pending.length } : undefined),
          `${until}`,
          options,
        );
      }
      // A sticky or global expression would remember where it stopped between two looks at the input.
      const pattern = new RegExp(until.source, until.flags.replace(/[gy]/g, ""));
      return take(
        (pending) => {
          const match = pattern.exec(pending);
          const value = match ? pending.slice(0, match.index + match[0].length) : "";
          return match ? { value, length: value.length } : undefined;
        },
        `${until}`,
        options,
      );
    },
    send: (data) => socket.write(data),
    fin: () => void socket.end(),
    reset: () => void socket.resetAndDestroy(),
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    ended: ended.promise.then(() => ending as Ending),
    closed,
  };
}

/** The tail of a long text says why a wait failed; megabytes of it would not be read. */
function show(text: string): string {
  return JSON.stringify(text.length > 2_000 ? `…${text.slice(-2_000)}` : text);
}
