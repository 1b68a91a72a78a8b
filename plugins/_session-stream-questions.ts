import type { Logger, Message } from "../core/index.ts";
import { errorText, withId } from "./_session-stream-event.ts";

/** A server's request that waits for its answer. */
interface Question {
  /** The server's own id, as it wrote it. */
  idText: string;
  method: string;
  /** The stream that it came with. */
  carrier: object;
  /** When the server has waited long enough (`performance.now()`). */
  due: number;
}

/** What open questions need of their session. */
export interface QuestionHost {
  /** Posts to the server; what becomes of it is nobody's concern here. */
  post(body: Uint8Array): void;
  readonly log: Logger;
  /** Of the server, for messages. */
  readonly server: string;
}

/** More at a time are answered with an error: no client is asked so much. */
const MAX_OPEN = 1000;
/** As the SDKs number them: the connection ended, the time is over. */
const CONNECTION_CLOSED = -32_000;
const REQUEST_TIMEOUT = -32_001;
const encoder = new TextEncoder();

/**
 * The server's requests to the client. Each gets an id of its own, unlike any other of this session and any that the client
 * counts, and its answer the server's id again, whichever connection it comes by.
 */
export class Questions {
  readonly #host: QuestionHost;
  readonly #prefix: string;
  /** Milliseconds; 0 for ever. */
  readonly #timeout: number;
  readonly #open = new Map<string, Question>();
  #count = 0;

  constructor(host: QuestionHost, prefix: string, timeout: number) {
    this.#host = host;
    this.#prefix = prefix;
    this.#timeout = timeout;
  }

  get size(): number {
    return this.#open.size;
  }

  /** @returns the id for the client; nothing where the server has its answer already */
  ask(carrier: object, idText: string, method: string): string | undefined {
    if (this.#open.size >= MAX_OPEN) {
      this.#refuse({ idText, method }, CONNECTION_CLOSED, `more than ${MAX_OPEN} requests wait for this client`);
      return undefined;
    }
    const id = `${this.#prefix}-${++this.#count}`;
    const due = this.#timeout > 0 ? performance.now() + this.#timeout : Number.POSITIVE_INFINITY;
    this.#open.set(id, { idText, method, carrier, due });
    return id;
  }

  /** The server takes a question back. @returns its id for the client */
  takeBack(idText: string): string | undefined {
    for (const [id, question] of this.#open) {
      if (question.idText !== idText) continue;
      this.#open.delete(id);
      return id;
    }
    return undefined;
  }

  isOpen(id: string): boolean {
    return this.#open.has(id);
  }

  /** @param body a response of the client @returns what goes to the server; nothing where nobody waits for it */
  answered(message: Message, body: Message | Uint8Array): Uint8Array | undefined {
    const id = String(message.id);
    const question = this.#open.get(id);
    if (!question || typeof message.id !== "string") {
      this.#host.log.debug(() => `${this.#host.server}: an answer that nobody waits for was dropped`);
      return undefined;
    }
    this.#open.delete(id);
    return withId(body, question.idText);
  }

  /** The client has left the stream that carried the question; without a stream, for good. */
  free(carrier?: object): void {
    for (const [id, question] of this.#open) {
      if (carrier && question.carrier !== carrier) continue;
      this.#open.delete(id);
      this.#refuse(question, CONNECTION_CLOSED, "the client has left without an answer");
    }
  }

  /** The server has forgotten what it asked. */
  forget(): void {
    this.#open.clear();
  }

  /** @param now `performance.now()` */
  check(now: number): void {
    for (const [id, question] of this.#open) {
      if (question.due > now) continue;
      this.#open.delete(id);
      const { server } = this.#host;
      this.#host.log.warn(
        () =>
          `${server}: its client did not answer ${question.method} within ${this.#timeout} ms; answered with an error`,
      );
      this.#refuse(question, REQUEST_TIMEOUT, `the client gave no answer within ${this.#timeout} ms`);
    }
  }

  #refuse({ idText, method }: Pick<Question, "idText" | "method">, code: number, why: string): void {
    const { server } = this.#host;
    this.#host.log.debug(() => `${server}: ${method} is answered with an error: ${why}`);
    this.#host.post(encoder.encode(errorText(idText, code, `Penstock: ${why}`, { method, server })));
  }
}
