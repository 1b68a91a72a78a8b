/** Sockets for scripts: bytes in the pieces that were asked for, and waits that cannot last for ever. */
import { type Socket, connect } from "node:net";

/** How long anything may take, in turns of {@link TICK} ms. Counted in turns, so that a busy machine does not fail a case. */
const TICKS = 20;
const TICK = 100;

/** Something that had to happen did not. */
export class Hang extends Error {
  override readonly name = "Hang";
}

/** @throws Hang after 2 s of this process' own time */
export async function within<T>(promise: Promise<T>, what: () => string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const expired = new Promise<never>((_, reject) => {
    let left = TICKS;
    const tick = () => {
      if (left-- === 0) reject(new Hang(`still waiting for ${what()}`));
      else timer = setTimeout(tick, TICK);
    };
    tick();
  });
  try {
    return await Promise.race([promise, expired]);
  } finally {
    clearTimeout(timer);
  }
}

export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** One end of a connection: what came, and whether more can come. */
export class Peer {
  readonly socket: Socket;
  /** What came and was not taken yet. */
  input: Buffer = Buffer.alloc(0);
  /** The other side sends no more. */
  ended = false;
  closed = false;
  #wake: (() => void)[] = [];

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (bytes: Buffer) => {
      this.input = this.input.length === 0 ? bytes : Buffer.concat([this.input, bytes]);
      this.#call();
    });
    socket.on("error", () => {});
    socket.on("end", () => {
      this.ended = true;
      this.#call();
    });
    socket.on("close", () => {
      this.ended = true;
      this.closed = true;
      this.#call();
    });
  }

  static async connect(port: number): Promise<Peer> {
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    const peer = new Peer(socket);
    await within(
      new Promise((resolve) => socket.once("connect", () => resolve(0)).once("close", resolve)),
      () => "a connection",
    );
    return peer;
  }

  #call(): void {
    const wake = this.#wake;
    this.#wake = [];
    for (const each of wake) each();
  }

  /** Waits for more input, as long as it takes. */
  async more(): Promise<void> {
    while (this.input.length === 0 && !this.ended) await new Promise<void>((resolve) => this.#wake.push(resolve));
  }

  /** Waits until `find` finds something, or the other side sends no more. */
  async until<T>(find: () => T | undefined, what: () => string): Promise<T | undefined> {
    return within(
      (async () => {
        for (;;) {
          const found = find();
          if (found !== undefined || this.ended) return found;
          await new Promise<void>((resolve) => this.#wake.push(resolve));
        }
      })(),
      () => `${what()}; so far came ${show(this.input)}`,
    );
  }

  /** Writes each piece in a turn of its own, as long as somebody listens. */
  async write(pieces: readonly Buffer[]): Promise<void> {
    for (const [i, piece] of pieces.entries()) {
      if (this.closed || this.socket.destroyed) return;
      if (piece.length > 0) this.socket.write(piece);
      if (i < pieces.length - 1) await turn();
    }
  }

  /** RST, and no FIN before it: `resetAndDestroy()` of Node sends both, and the other side reads a proper end. */
  reset(): void {
    Object.assign(this.socket, { resetAndClosing: true }).destroy();
  }

  /** Takes the first `length` bytes away. */
  take(length: number): void {
    this.input = this.input.subarray(length);
  }

  gone(what: () => string): Promise<unknown> {
    return this.closed ? Promise.resolve() : within(new Promise((resolve) => this.socket.once("close", resolve)), what);
  }
}

/** Bytes for a report. */
export function show(bytes: Buffer, most = 1200): string {
  const text = JSON.stringify(bytes.toString("latin1"));
  return text.length > most ? `${text.slice(0, most)}… (${bytes.length} bytes)` : text;
}
