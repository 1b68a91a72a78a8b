/** What a server answers, message by message, as it comes: one out of JSON, or many out of an event stream. */
import {
  type Answer,
  EventSplitter,
  type Kind,
  type Message,
  ProxyError,
  type Receiver,
  type Source,
  findElements,
  findMembers,
  isEventStream,
  onOneLine,
  parseEvent,
  sourceOf,
} from "../../core/index.ts";

/** One message of a server: its text, on one line, and in outline what it is. */
export class ServerMessage {
  readonly text: Buffer;
  readonly kind: Kind;
  readonly method: string | undefined;
  /** As the server wrote it, quotes included. */
  readonly idText: string | undefined;
  /** Of a response: whether it is an error. */
  readonly isError: boolean;
  #parsed: Message | undefined;

  private constructor(text: Buffer, outline: Pick<ServerMessage, "kind" | "method" | "idText" | "isError">) {
    this.text = text;
    this.kind = outline.kind;
    this.method = outline.method;
    this.idText = outline.idText;
    this.isError = outline.isError;
  }

  /** @returns `undefined` for what is no message */
  static read(text: Buffer): ServerMessage | undefined {
    const members = findMembers(text, { id: true, method: true, result: true, error: true });
    if (!members) return undefined;
    const valueOf = (key: string) => {
      const span = members.get(key);
      return span && text.toString("utf8", ...span);
    };
    const idText = valueOf("id");
    const method = valueOf("method");
    const isError = members.has("error");
    if (method !== undefined)
      return new ServerMessage(text, {
        kind: idText === undefined ? "notification" : "request",
        method: JSON.parse(method) as string,
        idText,
        isError: false,
      });
    if (!isError && !members.has("result")) return undefined;
    return new ServerMessage(text, { kind: "response", method: undefined, idText, isError });
  }

  /** Parsed when somebody looks: of most messages nobody needs more than the outline. */
  get message(): Message {
    return (this.#parsed ??= JSON.parse(this.text.toString()) as Message);
  }
}

/** Told by a {@link MessageReader}. `end` or `fail` comes once, and last. */
export interface MessageTaker {
  message(message: ServerMessage): void;
  /** The stream can be resumed behind this event; the event may hold no message. */
  eventId?(id: string): void;
  /** How long to wait before the stream is opened again, in milliseconds. */
  retry?(ms: number): void;
  /** @param cancelled the driver was told that nobody waits for a response */
  end(cancelled: boolean): void;
  fail(error: ProxyError): void;
}

/** Reads the messages of one answer. What is no message is passed over. */
export class MessageReader implements Receiver {
  readonly #source: Source;
  readonly #taker: MessageTaker;
  readonly #limit: number;
  readonly #splitter: EventSplitter | undefined;
  #json: Uint8Array[] = [];
  #size = 0;
  #begun = false;
  #over = false;

  /** @param limit largest message, in bytes */
  constructor(answer: Answer, limit: number, taker: MessageTaker) {
    this.#source = sourceOf(answer);
    this.#taker = taker;
    this.#limit = limit;
    if (isEventStream(answer.headers)) this.#splitter = new EventSplitter(limit);
  }

  start(): void {
    this.#source.start(this);
  }
  pause(): void {
    if (!this.#over) this.#source.pause();
  }
  resume(): void {
    if (!this.#over) this.#source.resume();
  }
  /** Nobody reads on; the taker hears nothing any more. */
  abort(): void {
    if (this.#over) return;
    this.#over = true;
    this.#source.abort();
  }

  data(chunk: Uint8Array): void {
    if (this.#over) return;
    try {
      if (this.#splitter) return this.#splitter.write(chunk, (event) => this.#event(event));
      this.#size += chunk.length;
      if (this.#size > this.#limit)
        throw new ProxyError("UPSTREAM_TOO_LARGE", { detail: `more than ${this.#limit} bytes` });
      this.#json.push(chunk);
    } catch (cause) {
      this.abort();
      this.#taker.fail(cause instanceof ProxyError ? cause : new ProxyError("UPSTREAM_INVALID", { cause }));
    }
  }

  end(cancelled = false): void {
    if (this.#over) return;
    this.#over = true;
    if (!this.#splitter) this.#take(Buffer.concat(this.#json));
    this.#taker.end(cancelled);
  }

  fail(error: ProxyError): void {
    if (this.#over) return;
    this.#over = true;
    this.#taker.fail(error);
  }

  #event(bytes: Buffer): void {
    if (this.#over) return;
    const { data, event, others } = parseEvent(bytes.toString(), !this.#begun);
    this.#begun = true;
    if (data && event === "message") this.#take(Buffer.from(data));
    // Told after its message: whoever resumes behind it must have had it.
    for (const line of others) {
      if (this.#over) return;
      const [, field, value = ""] = /^(id|retry)(?:: ?(.*))?$/.exec(line) ?? [];
      if (field === "id" && !value.includes("\0")) this.#taker.eventId?.(value);
      else if (field === "retry" && /^\d+$/.test(value)) this.#taker.retry?.(Number(value));
    }
  }

  #take(text: Buffer): void {
    // What is sent on as an event has one line.
    const message = ServerMessage.read(onOneLine(text));
    if (message) return this.#taker.message(message);
    // MCP 2025-03-26 has batches.
    for (const [from, to] of findElements(text) ?? []) {
      const element = ServerMessage.read(text.subarray(from, to));
      if (element) this.#taker.message(element);
    }
  }
}
