/** One connection to a server: one request at a time, and after its answer either the next one or the end. */
import type { Socket } from "node:net";
import type { BagEntry } from "../../bag.ts";
import type { ProxyError } from "../../errors.ts";
import type { Call, Carrier } from "./call.ts";
import { ResponseParser, type ResponseHandler } from "./response-parser.ts";
import { type Origin, writeRequest } from "./request.ts";

/** Who hands out connections. */
export interface ConnectionOwner {
  readonly origin: Origin;
  /** The connection is free for another call. */
  free(connection: Connection): void;
  /** The connection is closed. */
  gone(connection: Connection): void;
}

export class Connection implements Carrier, ResponseHandler {
  /** Until when it may be used again, while it is idle (`performance.now()`). */
  freshUntil = 0;
  /** Its place with the owner. */
  entry: BagEntry<Connection> | undefined;
  readonly #socket: Socket;
  readonly #owner: ConnectionOwner;
  readonly #parser: ResponseParser = new ResponseParser(this);
  #call: Call | undefined;
  #paused = false;
  #dead = false;

  constructor(socket: Socket, owner: ConnectionOwner) {
    this.#socket = socket;
    this.#owner = owner;
    socket.on("data", (bytes: Buffer) => this.#read(bytes));
    socket.on("end", () => this.#finish());
    socket.on("error", (error) => this.#close(error));
    socket.on("close", () => this.#close(new Error("the connection was closed")));
  }

  /** It will carry nothing any more. */
  get dead(): boolean {
    return this.#dead || this.#socket.destroyed;
  }

  /** How long the server keeps it while it is idle, in milliseconds, where it says so. */
  get keptFor(): number | undefined {
    return this.#parser.keepAliveFor;
  }

  /** Only on a connection that is free and not dead. */
  send(call: Call): void {
    let pieces: [Buffer] | [Buffer, Uint8Array];
    try {
      pieces = writeRequest(this.#owner.origin, call.request);
    } catch (error) {
      call.fail(error);
      return this.#owner.free(this);
    }
    this.#call = call;
    call.carrier = this;
    call.sent = true;
    this.#parser.begin(call.request.method);
    const [head, body] = pieces;
    if (body) {
      this.#socket.cork();
      this.#socket.write(head);
      this.#socket.write(body);
      this.#socket.uncork();
    } else this.#socket.write(head);
  }

  pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#socket.resume();
  }

  destroy(): void {
    this.#call = undefined;
    this.#close();
  }

  /** Ends it and the call that it carries. */
  cut(reason: ProxyError): void {
    this.#close(reason);
  }

  head(status: number, headers: string[]): void {
    this.#call!.head(status, headers);
  }

  data(bytes: Buffer): void {
    this.#call!.data(bytes);
  }

  end(excess: boolean): void {
    const call = this.#call!;
    this.#call = undefined;
    this.resume();
    // Bytes behind an answer would answer the next request; a request that is not all out would go on in the next one.
    const reusable = this.#parser.keepAlive && !excess && this.#socket.writableLength === 0 && !this.dead;
    if (reusable) this.#owner.free(this);
    else this.#close();
    call.finish();
  }

  #read(bytes: Buffer): void {
    if (this.#dead) return;
    // Nobody asked: whoever sent this wants to answer the next request (response queue poisoning).
    if (!this.#call) return this.#close();
    this.#call.answering = true;
    try {
      this.#parser.write(bytes);
    } catch (error) {
      this.#close(error);
    }
  }

  #finish(): void {
    if (this.#call && this.#parser.finish()) return;
    this.#close(new Error("the server closed the connection"));
  }

  #close(reason?: unknown): void {
    if (this.#dead) return;
    this.#dead = true;
    const call = this.#call;
    this.#call = undefined;
    this.#parser.stop();
    this.#socket.destroy();
    this.#owner.gone(this);
    call?.fail(reason);
  }
}
