/** One request on a connection, and its body as it arrives. */
import { joinChunks } from "../../body/sse.ts";
import type { Deadline, Deadlines } from "../../deadlines.ts";
import { ProxyError } from "../../errors.ts";
import { type PublicOrigin, isLocal } from "../../public-url.ts";
import type { Awaitable } from "../../types.ts";
import { Inbound } from "../inbound.ts";
import type { RequestHeadText } from "./request-head.ts";

/** What a request needs of the connection that it came on. */
export interface Carrier {
  readonly ip: string;
  readonly scheme: "http" | "https";
  readonly isPrivate: boolean;
  readonly deadlines: Deadlines;
  /** A client may take this long for each KiB of its body, in milliseconds; 0 is no limit. */
  readonly bodyTimeout: number;
  /** Somebody waits for the body: RFC 9110 §10.1.1, and no more back-pressure. */
  wantBody(): void;
}

const EMPTY = new Uint8Array();
/** So many bytes are progress: a client that sends one now and then holds its connection no longer than one that is silent. */
const PROGRESS = 1024;

export class SocketRequest extends Inbound {
  readonly #head: RequestHeadText;
  readonly #carrier: Carrier;
  #chunks: Uint8Array[] | undefined;
  /** Bytes of the body that are here. */
  size = 0;
  /** How many there were when the limit for pauses began anew. */
  #marked = 0;
  #end: "no" | "well" | ProxyError = "no";
  #reader:
    | { resolve(body: Uint8Array): void; reject(error: ProxyError): void; limit: number; gap?: Deadline }
    | undefined;

  constructor(head: RequestHeadText, carrier: Carrier, origin: PublicOrigin) {
    super(origin);
    this.#head = head;
    this.#carrier = carrier;
    if (head.length === 0) this.#end = "well";
  }

  get method(): string {
    return this.#head.method;
  }
  protected get line(): string {
    return this.#head.target;
  }
  get fields(): readonly string[] {
    return this.#head.fields;
  }
  get isModern(): boolean {
    return this.#head.isModern;
  }
  get keepAlive(): boolean {
    return this.#head.keepAlive;
  }
  get ip(): string {
    return this.#carrier.ip;
  }
  override get local(): boolean {
    return isLocal(this, this.#carrier.isPrivate);
  }
  protected get absoluteUrl(): string {
    const { line } = this;
    return line.startsWith("/") ? `${this.#carrier.scheme}://${this.field("host")}${line}` : line;
  }
  /** Everything that the client sends with it is here. */
  get isWhole(): boolean {
    return this.#end === "well";
  }
  get isRead(): boolean {
    return this.#reader !== undefined;
  }

  read(limit: number): Awaitable<Uint8Array> {
    // RFC 9110 §15.5.14: what is announced need not be waited for.
    if (this.#head.length > limit || this.size > limit) return Promise.reject(new ProxyError("BODY_TOO_LARGE"));
    if (this.#end === "well") return this.#take();
    if (this.#end !== "no") return Promise.reject(this.#end);
    const body = new Promise<Uint8Array>((resolve, reject) => (this.#reader = { resolve, reject, limit }));
    const { bodyTimeout, deadlines } = this.#carrier;
    if (bodyTimeout > 0)
      this.#reader!.gap = deadlines.after(bodyTimeout, () => this.fail(new ProxyError("BODY_TIMEOUT")));
    this.#carrier.wantBody();
    return body;
  }

  /** A piece of the body. */
  push(bytes: Uint8Array): void {
    if (this.#end !== "no") return;
    this.size += bytes.length;
    const reader = this.#reader;
    if (reader && this.size > reader.limit) return this.fail(new ProxyError("BODY_TOO_LARGE"));
    if (this.#chunks) this.#chunks.push(bytes);
    else this.#chunks = [bytes];
    if (this.size - this.#marked < PROGRESS) return;
    this.#marked = this.size;
    reader?.gap?.restart();
  }

  /** The body is whole. */
  finish(): void {
    if (this.#end !== "no") return;
    this.#end = "well";
    this.#reader?.gap?.cancel();
    this.#reader?.resolve(this.#take());
  }

  /** Nothing more of the body counts. */
  fail(error: ProxyError): void {
    if (this.#end !== "no") return;
    this.#end = error;
    this.#chunks = undefined;
    this.#reader?.gap?.cancel();
    this.#reader?.reject(error);
  }

  #take(): Uint8Array {
    const chunks = this.#chunks;
    this.#chunks = undefined;
    if (chunks === undefined) return EMPTY;
    return chunks.length === 1 ? chunks[0]! : joinChunks(chunks);
  }
}
