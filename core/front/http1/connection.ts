/** One connection of a client: one request at a time, its answer, and then the next one or the end (RFC 9112 §9). */
import type { Socket } from "node:net";
import type { BagEntry } from "../../bag.ts";
import { Pipe } from "../../body/pipe.ts";
import type { Outgoing } from "../../down.ts";
import type { Deadlines } from "../../deadlines.ts";
import { ProxyError, isProxyError } from "../../errors.ts";
import { ChunkReader } from "../../http1/chunks.ts";
import { InvalidMessage } from "../../http1/fields.ts";
import type { PublicOrigin } from "../../public-url.ts";
import type { Awaitable } from "../../types.ts";
import type { Inbound } from "../inbound.ts";
import { type OutletOwner, SocketOutlet } from "./outlet.ts";
import { CHUNKED, HeadReader } from "./request-head.ts";
import { type Carrier, SocketRequest } from "./request.ts";
import { type Framing, writeResponseHead } from "./response-head.ts";

/** What all connections of a server share. */
export interface ConnectionOwner {
  readonly origin: PublicOrigin;
  readonly scheme: "http" | "https";
  readonly isPrivate: boolean;
  readonly deadlines: Deadlines;
  /** In milliseconds; 0 is no limit. */
  readonly headersTimeout: number;
  readonly bodyTimeout: number;
  readonly keepAliveTimeout: number;
  readonly writeTimeout: number;
  /** No further request is taken on. */
  readonly closing: boolean;
  /** For the `Date` field. */
  readonly date: string;
  /** Milliseconds, as of the last look at the clock. */
  readonly now: number;
  /** Answers a request. Never rejects. */
  handle(request: Inbound): Awaitable<Outgoing>;
  /** What is said where there is no request. */
  refuse(error: ProxyError): Outgoing;
  gone(connection: Connection): void;
}

/** Bytes that are held: of a body that nobody reads yet, and of requests behind the one under way. */
const MAX_HELD = 64 * 1024;
/** How long what is left of a refused body is still read, so that the refusal arrives (RFC 9112 §9.6). */
const LINGER = 2000;
const SMALL = 32 * 1024;
const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";

export class Connection implements Carrier, OutletOwner {
  /** When it is ended (`performance.now()`), unless something happens; 0 is never. */
  due: number;
  entry: BagEntry<Connection> | undefined;
  readonly #socket: Socket;
  readonly #owner: ConnectionOwner;
  readonly #heads = new HeadReader();
  #chunks: ChunkReader | undefined;
  /** Under way: until its answer is out and its body is here. */
  #request: SocketRequest | undefined;
  /** Bytes of the body that are still to come, or {@link CHUNKED}. */
  #bodyLeft = 0;
  /** Bytes behind the request under way. */
  #held: Buffer[] = [];
  #heldSize = 0;
  #pipe: Pipe | undefined;
  #isAnswered = false;
  #keepAlive = true;
  #paused = false;
  #consuming = false;
  /** Nothing more is read as a request. */
  #ending = false;
  #dead = false;
  /** Bytes of an answer that had not left when its time was over for the first time. */
  #waiting = 0;

  constructor(socket: Socket, owner: ConnectionOwner) {
    this.#socket = socket;
    this.#owner = owner;
    this.due = owner.headersTimeout > 0 ? performance.now() + owner.headersTimeout : 0;
    socket.on("data", (bytes: Buffer) => this.#read(bytes));
    socket.on("end", () => this.#finish());
    socket.on("drain", () => this.#drained());
    // What it means is said by the `close` that follows.
    socket.on("error", () => {});
    socket.on("close", () => this.#close());
  }

  get ip(): string {
    return this.#socket.remoteAddress ?? "";
  }
  get scheme(): "http" | "https" {
    return this.#owner.scheme;
  }
  get isPrivate(): boolean {
    return this.#owner.isPrivate;
  }
  get deadlines(): Deadlines {
    return this.#owner.deadlines;
  }
  get bodyTimeout(): number {
    return this.#owner.bodyTimeout;
  }
  get isIdle(): boolean {
    return this.#request === undefined && !this.#heads.isWaiting && !this.#ending;
  }

  /** A request is under way, or bytes of an answer have not left. */
  get isBusy(): boolean {
    return !this.#isOver && (this.#request !== undefined || this.#socket.writableLength > 0);
  }
  get #isOver(): boolean {
    return this.#isAnswered && this.#ending && this.#socket.writableLength === 0;
  }

  /** Its time is over, unless bytes of an answer still wait for a slow client. */
  expire(): void {
    const waiting = this.#socket.writableLength;
    if (waiting > 0 && waiting !== this.#waiting && !this.#socket.destroyed) {
      this.#waiting = waiting;
      const { now, writeTimeout } = this.#owner;
      this.due = writeTimeout > 0 ? now + writeTimeout * Math.ceil(waiting / MAX_HELD) : 0;
      return;
    }
    if (this.#ending || !this.#heads.isWaiting) return this.destroy();
    this.#refuse(new ProxyError("HEAD_TIMEOUT"));
  }

  /** What was written still leaves. */
  end(): void {
    this.#ending = true;
    this.due = this.#owner.now + LINGER;
    this.#resume();
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  wantBody(): void {
    const request = this.#request!;
    if (request.size === 0 && request.isModern && request.field("expect") !== undefined) this.#socket.write(CONTINUE);
    this.#resume();
  }

  write(bytes: Uint8Array): boolean {
    return this.#socket.write(bytes);
  }

  answered(whole: boolean): void {
    if (this.#isAnswered) return;
    this.#isAnswered = true;
    this.#pipe = undefined;
    this.#request!.closed(whole);
    if (!whole) return this.#cut();
    this.#next();
  }

  #read(bytes: Buffer): void {
    if (this.#ending) return;
    if (this.#bodyLeft !== 0) {
      const rest = this.#readBody(bytes, 0);
      if (rest === bytes.length || this.#ending) return this.#next();
      this.#hold(bytes.subarray(rest));
      return this.#next();
    }
    this.#hold(bytes);
    this.#consume();
  }

  #hold(bytes: Buffer): void {
    this.#held.push(bytes);
    this.#heldSize += bytes.length;
    if (this.#heldSize > MAX_HELD && this.#request) this.#pause();
  }

  /** Requests that are here, as far as they can be answered. A loop, since a client may send thousands at once. */
  #consume(): void {
    if (this.#consuming) return;
    this.#consuming = true;
    while (this.#held.length > 0 && !this.#request && !this.#ending && !this.#socket.writableNeedDrain) {
      const input = this.#held.length === 1 ? this.#held[0]! : Buffer.concat(this.#held);
      this.#held = [];
      this.#heldSize = 0;
      this.#resume();
      this.#begin(input);
    }
    this.#consuming = false;
  }

  #begin(input: Buffer): void {
    const { headersTimeout } = this.#owner;
    const isFirst = !this.#heads.isWaiting;
    try {
      const found = this.#heads.read(input);
      if (!found) {
        if (isFirst && headersTimeout > 0) this.due = performance.now() + headersTimeout;
        return;
      }
      const { head, bytes, end } = found;
      this.due = 0;
      const request = new SocketRequest(head, this, this.#owner.origin);
      this.#request = request;
      this.#isAnswered = false;
      this.#keepAlive = head.keepAlive;
      this.#bodyLeft = head.length;
      if (head.length === CHUNKED) (this.#chunks ??= new ChunkReader()).begin();
      // The body of a small request is here already, and whoever reads it need not wait.
      const rest = head.length === 0 ? end : this.#readBody(bytes, end);
      if (rest < bytes.length) this.#hold(bytes.subarray(rest));
      const expect = request.field("expect");
      if (expect !== undefined && expect.toLowerCase() !== "100-continue")
        return this.#answer(this.#owner.refuse(new ProxyError("EXPECTATION_FAILED")));
      const outgoing = this.#owner.handle(request);
      if (outgoing instanceof Promise) void outgoing.then((later) => this.#answer(later));
      else this.#answer(outgoing);
    } catch (cause) {
      this.#refuse(isProxyError(cause) ? cause : new ProxyError("INTERNAL", { cause }));
    }
  }

  /** @returns where the bytes behind the body begin */
  #readBody(bytes: Buffer, start: number): number {
    const request = this.#request!;
    if (start === bytes.length) return start;
    let end: number;
    if (this.#bodyLeft === CHUNKED) {
      try {
        end = this.#chunks!.read(bytes, start, (piece) => {
          request.push(piece);
          return true;
        });
      } catch (cause) {
        if (!(cause instanceof InvalidMessage)) throw cause;
        // Where the next request would begin is not known.
        this.#keepAlive = false;
        this.#bodyLeft = 0;
        request.fail(new ProxyError("INVALID_HTTP", { hint: `There are ${cause.message}.` }));
        return bytes.length;
      }
      if (this.#chunks!.done) this.#bodyLeft = 0;
    } else {
      end = Math.min(bytes.length, start + this.#bodyLeft);
      this.#bodyLeft -= end - start;
      request.push(bytes.subarray(start, end));
    }
    if (this.#bodyLeft === 0) request.finish();
    else if (request.size > MAX_HELD && !request.isRead) this.#pause();
    return end;
  }

  #answer(outgoing: Outgoing): void {
    const { body } = outgoing;
    if (this.#dead || !this.#request) {
      if (body instanceof Pipe) body.abort();
      return;
    }
    const request = this.#request;
    // What is left of a refused body is not waited for.
    if (!request.isWhole || !request.keepAlive || this.#owner.closing) this.#keepAlive = false;
    const { status, headers } = outgoing;
    if (headers.get("connection") === "close") this.#keepAlive = false;
    const isBodiless = request.method === "HEAD" || status === 204 || status === 304;
    const announced = headers.get("content-length");
    let framing: Framing = "none";
    if (body instanceof Pipe && !isBodiless)
      framing =
        announced !== null && /^\d{1,15}$/.test(announced) ? Number(announced) : request.isModern ? "chunked" : "close";
    else if (!isBodiless) framing = (body as Uint8Array | null)?.length ?? 0;
    if (framing === "close") this.#keepAlive = false;
    const { date, keepAliveTimeout } = this.#owner;
    const head = writeResponseHead(
      { status, headers, framing, keepAlive: this.#keepAlive, isOld: !request.isModern, date },
      Math.floor(keepAliveTimeout / 1000),
    );
    if (body instanceof Pipe && !isBodiless) {
      this.#pipe = body;
      return body.attach(
        new SocketOutlet(this, head, framing === "chunked", typeof framing === "number" ? framing : undefined),
      );
    }
    if (body instanceof Pipe) body.abort();
    this.#writeWhole(head, isBodiless ? null : (body as Uint8Array | null));
    this.answered(true);
  }

  #writeWhole(head: string, body: Uint8Array | null): void {
    const size = body?.length ?? 0;
    if (size > SMALL) {
      this.#socket.cork();
      this.#socket.write(head, "latin1");
      this.#socket.write(body!);
      this.#socket.uncork();
      return;
    }
    const bytes = Buffer.allocUnsafe(head.length + size);
    bytes.write(head, 0, "latin1");
    if (size > 0) bytes.set(body!, head.length);
    this.#socket.write(bytes);
  }

  /** After an answer, and after a body: both must be over before the next request. */
  #next(): void {
    const request = this.#request;
    if (!request || !this.#isAnswered || this.#ending) return;
    if (!this.#keepAlive || !request.isWhole || this.#owner.closing) return this.end();
    this.#request = undefined;
    this.due = this.#owner.keepAliveTimeout > 0 ? this.#owner.now + this.#owner.keepAliveTimeout : 0;
    this.#resume();
    this.#consume();
  }

  /** What is on the connection is no request: it is said once, and nothing more is read. */
  #refuse(error: ProxyError): void {
    const { status, headers, body } = this.#owner.refuse(error);
    const { date } = this.#owner;
    const bytes = body instanceof Pipe ? null : body;
    this.#request = undefined;
    this.#held = [];
    this.#writeWhole(
      writeResponseHead({ status, headers, framing: bytes?.length ?? 0, keepAlive: false, isOld: false, date }, 0),
      bytes,
    );
    this.end();
  }

  /** The client sees that the answer is not whole: no last chunk, or too few bytes. What was written still leaves. */
  #cut(): void {
    this.#ending = true;
    if (this.#socket.writableNeedDrain || this.#socket.destroyed) return this.destroy();
    this.due = this.#owner.now + LINGER;
    this.#socket.end(() => this.#socket.destroy());
  }

  #drained(): void {
    if (this.#pipe) this.#pipe.drained();
    else this.#consume();
  }

  #pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.#socket.pause();
  }

  #resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#socket.resume();
  }

  /** The client sends nothing more: where it waits for an answer, it is gone (RFC 9112 §9.6 lets it, but few do). */
  #finish(): void {
    if (this.#request && !this.#ending) return this.destroy();
    this.#socket.end();
  }

  #close(): void {
    if (this.#dead) return;
    this.#dead = true;
    this.#ending = true;
    this.#owner.gone(this);
    const request = this.#request;
    request?.fail(new ProxyError("CLIENT_GONE"));
    request?.closed(false);
    if (this.#pipe) this.#pipe.abort();
  }
}
