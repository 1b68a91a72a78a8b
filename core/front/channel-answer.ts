/** From the answer of an exchange to messages on a channel. */
import { EventReader, onOneLine } from "../body/event-reader.ts";
import { isRecord, kindOf } from "../body/message.ts";
import { type Outlet, Pipe } from "../body/pipe.ts";
import { scan } from "../body/scan.ts";
import { asBuffer, joinChunks } from "../body/sse.ts";
import type { Outgoing } from "../down.ts";
import { ProxyError } from "../errors.ts";
import { isEventStream } from "../headers.ts";
import type { Kind, Message } from "../types.ts";

/** Who takes the messages of one answer. */
export interface AnswerTaker {
  /** One message on one line. */
  message(line: Buffer): void;
  /** No response is due any more. */
  cancelled?(): void;
  /** The answer is over. @param whole it did not break @param body of an answer that is no event stream @param events where it is one */
  end(whole: boolean, body?: Buffer, events?: EventReader): void;
  /** Whether the channel is full; the pipe is then told when it no longer is. */
  isFull(pipe: Pipe): boolean;
}

/** @param limit of one message, in bytes */
export function readAnswer({ status, headers, body }: Outgoing, limit: number, taker: AnswerTaker): void {
  const events =
    status < 300 && isEventStream(headers) ? new EventReader(limit, (line) => taker.message(line)) : undefined;
  const outlet = new AnswerOutlet(limit, events, taker, body instanceof Pipe ? body : undefined);
  if (body instanceof Pipe) body.attach(outlet);
  else outlet.end(body ?? undefined);
}

class AnswerOutlet implements Outlet {
  readonly #limit: number;
  readonly #events: EventReader | undefined;
  readonly #taker: AnswerTaker;
  readonly #pipe: Pipe | undefined;
  #chunks: Uint8Array[] = [];
  #size = 0;

  constructor(limit: number, events: EventReader | undefined, taker: AnswerTaker, pipe: Pipe | undefined) {
    this.#limit = limit;
    this.#events = events;
    this.#taker = taker;
    this.#pipe = pipe;
  }

  write(chunk: Uint8Array): boolean {
    if (this.#events) this.#events.write(chunk);
    else this.#keep(chunk);
    return !this.#pipe || !this.#taker.isFull(this.#pipe);
  }

  end(last?: Uint8Array): void {
    let whole = true;
    try {
      if (last && this.#events) this.#events.write(last);
      else if (last) this.#keep(last);
    } catch {
      // More than one message may have; the pipe is over and cannot say so.
      whole = false;
      this.#chunks = [];
    }
    if (this.#pipe?.isCancelled) this.#taker.cancelled?.();
    this.#taker.end(whole, this.#events ? undefined : asBuffer(joinChunks(this.#chunks)), this.#events);
  }

  cut(): void {
    this.#chunks = [];
    this.#taker.end(false, undefined, this.#events);
  }

  flushHead(): void {}

  #keep(chunk: Uint8Array): void {
    this.#size += chunk.length;
    if (this.#size > this.#limit)
      throw new ProxyError("UPSTREAM_TOO_LARGE", { detail: `an answer of more than ${this.#limit} bytes` });
    this.#chunks.push(chunk);
  }
}

/** What kind of message a text is; of a batch whether it holds a response. Read only where the search cannot tell. */
export function kindOfLine(line: Buffer): Kind | undefined {
  // Nothing else may go onto a channel.
  if (!/^\s*[[{]/.test(line.toString("latin1", 0, 64))) return undefined;
  if (!line.includes('"method"') && !line.includes("\\u00"))
    return line.includes('"id"') && (line.includes('"result"') || line.includes('"error"')) ? "response" : undefined;
  try {
    return scan(line).kind;
  } catch {
    return kindOfJson(line);
  }
}

function kindOfJson(line: Buffer): Kind | undefined {
  try {
    const json: unknown = JSON.parse(line.toString());
    const kinds = [json].flat().map((one) => (isRecord(one) ? kindOf(one as unknown as Message) : undefined));
    return kinds.includes("response") ? "response" : kinds[0];
  } catch {
    return undefined;
  }
}

/**
 * The error of a refusal, as the response to the message that was refused.
 *
 * @param idText of that message
 * @returns nothing where the body holds no JSON-RPC error
 */
export function errorFor(idText: string, body: Buffer): Buffer | undefined {
  let json: unknown;
  try {
    json = JSON.parse(onOneLine(body).toString());
  } catch {
    return undefined;
  }
  if (!isRecord(json) || !isRecord(json.error) || typeof json.error.code !== "number") return undefined;
  return Buffer.from(`{"jsonrpc":"2.0","id":${idText},"error":${JSON.stringify(json.error)}}`);
}
