/** A client on standard input and output (MCP 2025-11-25 and 2026-07-28, Transports, stdio): one JSON-RPC message per line. */
import type { Readable, Writable } from "node:stream";
import type { Penstock } from "../app.ts";
import { type Scan, scan } from "../body/scan.ts";
import { mentionsClient } from "../clients.ts";
import { decideEra } from "../era.ts";
import { ProxyError } from "../errors.ts";
import { HeaderList } from "../headers.ts";
import { mirrorsOf } from "../mirrors.ts";
import type { Message } from "../types.ts";
import { LineFramer } from "../upstream/line-framer.ts";
import type { ChannelClient, PostOptions } from "./channel.ts";
import { type ChannelHead, ChannelRequest } from "./channel-request.ts";

/** What a stdio client is served with. */
export interface StdioOptions {
  /** What the client writes. */
  input: Readable;
  /** What it reads: nothing but messages is written there. */
  output: Pick<Writable, "write" | "on">;
  /** Sent with each request as `User-Agent`. */
  userAgent: string;
  /** Requests that may be under way; more wait. @default 128 */
  maxRequests?: number;
}

/** Longest message, in bytes, as in the SDKs. */
export const MAX_LINE: number = 10 * 1024 * 1024;
/** Bytes that may wait here before no more is read. */
const HIGH_WATER = MAX_LINE;
const LF = Buffer.from("\n");

interface Line {
  bytes: Buffer;
  /** `undefined` where it is no message. */
  posted: Scan | undefined;
}

export class StdioFront {
  /** Resolves when the client has closed its side, or cannot be reached any more. */
  readonly gone: Promise<"eof" | "broken">;
  readonly #channel: ChannelClient;
  readonly #options: StdioOptions;
  readonly #head: ChannelHead;
  readonly #waiting: Line[] = [];
  #size = 0;
  #isReading = true;
  #working = false;

  /** @param server its name in the configuration @throws ProxyError `BAD_OPTION` for one that there is not */
  constructor(penstock: Penstock, server: string, options: StdioOptions) {
    const { input, output, userAgent } = options;
    this.#options = options;
    this.#channel = penstock.channel(server, (line) => output.write(Buffer.concat([line, LF])));
    const url = new URL("http://localhost/");
    const fields = ["content-type", "application/json", "user-agent", userAgent];
    this.#head = { url, fields, ip: "127.0.0.1", local: true, publicUrl: url.origin, stdio: true };
    output.on("drain", () => this.#channel.drained());
    this.#channel.onIdle = () => void this.#work();
    const framer = new LineFramer(MAX_LINE, (line) => this.#line(line));
    const read = splitAtLineEnds(framer, () => this.#tooLong());
    this.gone = new Promise((resolve) => {
      const broken = () => resolve("broken");
      for (const stream of [input, output]) stream.on("error", broken);
      output.on("close", broken);
      input.on("data", read);
      input.on("end", () => {
        framer.end();
        resolve("eof");
      });
    });
  }

  /** Waits for answers that are due. @param ms at most so many milliseconds */
  async finish(ms: number): Promise<void> {
    const deadline = performance.now() + ms;
    while ((this.#channel.underWay > 0 || this.#waiting.length > 0) && performance.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 10));
  }

  /** Lets go of what is under way, and ends the session. @param ms it waits for the server, in milliseconds, at most */
  async close(ms: number): Promise<void> {
    this.#options.input.pause();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const expired = new Promise((resolve) => (timer = setTimeout(resolve, ms)));
    await Promise.race([this.#channel.close(), expired]);
    clearTimeout(timer);
  }

  #line(bytes: Buffer): void {
    let posted: Scan | undefined;
    try {
      posted = scan(bytes);
    } catch {
      // What is wrong with it is said by the exchange that refuses it.
    }
    this.#waiting.push({ bytes, posted });
    this.#size += bytes.length;
    this.#flow();
    void this.#work();
  }

  /** In order, one after the other, until the server is asked; then the next one need not wait for the answer. */
  async #work(): Promise<void> {
    if (this.#working) return;
    this.#working = true;
    for (let line = this.#next(); line; line = this.#next()) {
      this.#size -= line.bytes.length;
      this.#flow();
      await this.#post(line);
    }
    this.#working = false;
  }

  /** Where too many requests are under way, others wait; what else the client says may be what they need to go on. */
  #next(): Line | undefined {
    const isFull = this.#channel.pending >= (this.#options.maxRequests ?? 128);
    const at = isFull ? this.#waiting.findIndex(({ posted }) => posted?.kind !== "request") : 0;
    return at === -1 ? undefined : this.#waiting.splice(at, 1)[0];
  }

  async #post({ bytes, posted }: Line): Promise<void> {
    const options: PostOptions = { inBand: true, posted };
    if (posted?.method === "initialize") options.isFirst = true;
    if (posted?.method === "notifications/cancelled" && this.#cancelled(bytes)) return;
    if (posted && mentionsClient(bytes)) {
      const message = JSON.parse(bytes.toString()) as Message;
      if (decideEra("POST", NO_FIELDS, message).era === "modern")
        Object.assign(options, { isModern: true, fields: mirrorsOf(message) });
    }
    await this.#channel.post(new ChannelRequest("POST", this.#head, [], () => bytes), options);
  }

  /** A modern request is cancelled by the end of its exchange (MCP 2026-07-28, Streamable HTTP): there is nothing to post. */
  #cancelled(bytes: Buffer): boolean {
    const { params } = JSON.parse(bytes.toString()) as Message;
    return this.#channel.cancel(params?.requestId) || !this.#channel.isLegacy;
  }

  #tooLong(): void {
    const error = new ProxyError("BODY_TOO_LARGE");
    const body = { code: error.rpcCode, message: error.message, data: { code: error.code } };
    this.#channel.send(Buffer.from(JSON.stringify({ jsonrpc: "2.0", id: null, error: body })));
  }

  #flow(): void {
    const goesOn = this.#size <= HIGH_WATER;
    if (goesOn === this.#isReading) return;
    this.#isReading = goesOn;
    if (goesOn) this.#options.input.resume();
    else this.#options.input.pause();
  }
}

const NO_FIELDS = new HeaderList();

/** Whatever is too long, it is over with its line. */
function splitAtLineEnds(framer: LineFramer, onTooLong: () => void): (chunk: Buffer) => void {
  let skipping = false;
  return (chunk) => {
    for (let from = 0; from < chunk.length;) {
      const end = chunk.indexOf(LF, from);
      const to = end === -1 ? chunk.length : end + 1;
      const hadSkipped = skipping;
      if (!skipping && !framer.write(chunk.subarray(from, to))) skipping = true;
      if (skipping && !hadSkipped) onTooLong();
      if (end !== -1) skipping = false;
      from = to;
    }
  };
}
