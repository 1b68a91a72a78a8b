/** What an answer's body can be, and the public functions that make and read one. */
import { ProxyError } from "../errors.ts";
import { HeaderList } from "../headers.ts";
import type { Answer, Body, Frame, Json } from "../types.ts";
import { joinChunks, writeFrame } from "./sse.ts";

/** Bytes that arrive by themselves. Started once; says `end` or `fail` once, nothing after it. */
export interface Source {
  start(receiver: Receiver): void;
  pause(): void;
  resume(): void;
  /** Nobody reads on. */
  abort(): void;
  /** Before `start`: every byte of it, if the end has come already. Then the source need not be started. */
  whole?(): Uint8Array | undefined;
}

export interface Receiver {
  data(chunk: Uint8Array): void;
  /** @param cancelled without the response, because the client asked for that */
  end(cancelled?: boolean): void;
  fail(error: ProxyError): void;
}

export class EmptyBody implements Body {
  readonly kind = "empty";
}

export class BytesBody implements Body {
  readonly kind = "bytes";
  readonly bytes: Uint8Array;
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }
}

export class StreamBody implements Body {
  readonly kind = "stream";
  readonly source: Source;
  constructor(source: Source) {
    this.source = source;
  }
}

export type AnyBody = EmptyBody | BytesBody | StreamBody;

const encoder = new TextEncoder();

/** An answer with a JSON body. @param status HTTP status @param headers added to `content-type` */
export function json(value: unknown, status = 200, headers: Record<string, string> = {}): Answer {
  return jsonText(JSON.stringify(value), status, headers);
}

/** The same from JSON text, where `JSON.stringify` would round an id. */
export function jsonText(text: string, status = 200, headers: Record<string, string> = {}): Answer {
  return {
    status,
    headers: HeaderList.from({ "content-type": "application/json", ...headers }),
    body: new BytesBody(encoder.encode(text)),
  };
}

/** An answer that is an event stream. The iterable is ended (`return`) when the client leaves. @param headers added to `content-type` */
export function sse(frames: AsyncIterable<Frame>, headers: Record<string, string> = {}): Answer {
  async function* bytes(): AsyncGenerator<Uint8Array> {
    for await (const frame of frames) yield encoder.encode(writeFrame(frame));
  }
  return {
    status: 200,
    headers: HeaderList.from({ "content-type": "text/event-stream", ...headers }),
    body: new StreamBody(fromIterable(bytes())),
  };
}

/** An answer without a body. */
export function empty(status: number, headers: Record<string, string> = {}): Answer {
  return { status, headers: HeaderList.from(headers), body: new EmptyBody() };
}

/** Takes over a web `Response`. Its body must not have been read. */
export function fromResponse(response: Response): Answer {
  const body = response.body ? new StreamBody(fromIterable(chunksOf(response.body))) : new EmptyBody();
  return { status: response.status, headers: HeaderList.from(response.headers), body };
}

/**
 * Reads an answer's body to its end. The answer can then not be sent on; make a new one.
 *
 * @param limit in bytes
 * @throws ProxyError `UPSTREAM_TOO_LARGE`, or what the source failed with
 */
export async function collect(
  answer: Pick<Answer, "body">,
  limit: number = Number.POSITIVE_INFINITY,
): Promise<Uint8Array> {
  const body = answer.body as AnyBody;
  if (body.kind === "empty") return new Uint8Array();
  const tooLarge = () => new ProxyError("UPSTREAM_TOO_LARGE", { detail: `more than ${limit} bytes` });
  if (body.kind === "bytes") {
    // Whether it came in one piece must not decide.
    if (body.bytes.length > limit) throw tooLarge();
    return body.bytes;
  }
  const { source } = body;
  const chunks: Uint8Array[] = [];
  let size = 0;
  await new Promise<void>((resolve, reject) => {
    source.start({
      data(chunk) {
        size += chunk.length;
        if (size <= limit) return void chunks.push(chunk);
        reject(tooLarge());
        // Last, because a source may tell its abort as a failure.
        source.abort();
      },
      end: () => resolve(),
      fail: reject,
    });
  });
  return joinChunks(chunks);
}

/** Reads a JSON answer. @throws ProxyError `UPSTREAM_INVALID` when it is not a JSON object */
export async function readJson(answer: Pick<Answer, "body">, limit?: number): Promise<Json> {
  try {
    return JSON.parse(new TextDecoder().decode(await collect(answer, limit))) as Json;
  } catch (cause) {
    throw cause instanceof SyntaxError ? new ProxyError("UPSTREAM_INVALID", { detail: "not JSON", cause }) : cause;
  }
}

/** Lets go of a body that nobody will read. */
export function discard(answer: Pick<Answer, "body">): void {
  const body = answer.body as AnyBody;
  if (body.kind === "stream") body.source.abort();
}

/** The same body, which tells once when it has ended, broken or been let go. */
export function watchEnd(body: Body, onEnd: () => void): Body {
  if (body.kind !== "stream") {
    onEnd();
    return body;
  }
  const { source } = body as StreamBody;
  let told = false;
  const tell = () => {
    if (told) return;
    told = true;
    onEnd();
  };
  return new StreamBody({
    start: (receiver) =>
      source.start({
        data: (chunk) => receiver.data(chunk),
        end(cancelled) {
          tell();
          receiver.end(cancelled);
        },
        fail(error) {
          tell();
          receiver.fail(error);
        },
      }),
    pause: () => source.pause(),
    resume: () => source.resume(),
    abort() {
      tell();
      source.abort();
    },
  });
}

/** Bytes that are there already, as a source. */
export function onePiece(bytes: Uint8Array): Source {
  return {
    start(receiver) {
      receiver.data(bytes);
      receiver.end();
    },
    pause() {},
    resume() {},
    abort() {},
  };
}

/** A pull source as a push source: reads one chunk at a time, none while paused. */
export function fromIterable(iterable: AsyncIterable<Uint8Array>): Source {
  const iterator = iterable[Symbol.asyncIterator]();
  let receiver: Receiver | undefined;
  let paused = false;
  let reading = false;
  let over = false;
  async function read(): Promise<void> {
    if (reading) return;
    reading = true;
    try {
      // oxlint-disable-next-line no-unmodified-loop-condition -- pause() and abort() change them between two chunks
      while (!paused && !over) {
        const { done, value } = await iterator.next();
        if (over) return;
        if (done) {
          over = true;
          receiver!.end();
        } else receiver!.data(value);
      }
    } catch (cause) {
      if (over) return;
      over = true;
      receiver!.fail(cause instanceof ProxyError ? cause : new ProxyError("UPSTREAM_BROKE", { cause }));
    } finally {
      reading = false;
    }
  }
  return {
    start(to) {
      receiver = to;
      void read();
    },
    pause() {
      paused = true;
    },
    resume() {
      paused = false;
      if (receiver && !over) void read();
    },
    abort() {
      if (over) return;
      over = true;
      // A generator that waits inside next() returns when that settles; nobody waits for it here.
      iterator.return?.()?.then(undefined, () => {});
    },
  };
}

async function* chunksOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}
