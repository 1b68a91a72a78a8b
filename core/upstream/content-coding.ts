/**
 * Answers in a content coding (RFC 9110 §8.4). We ask for none; a server that compresses all the same, an event stream perhaps,
 * would hide its messages from hooks, and its client asked for none either.
 */
import { createBrotliDecompress, createGunzip, createInflate, constants } from "node:zlib";
import type { Receiver, Source } from "../body/body.ts";
import { ProxyError } from "../errors.ts";
import type { HeaderList } from "../headers.ts";

/** What a byte of the server may become. Texts shrink to a tenth, rarely to a hundredth; a bomb of zeros to a thousandth. */
const MAX_RATIO = 100;
/** Up to here, in bytes, a short answer may grow as it likes. */
const MAX_UNASKED = 1024 * 1024;
/** What these fields say is true of the coded bytes only (RFC 9110 §8.8.3, RFC 9530, RFC 3230). */
const OF_CODED_BYTES = ["content-encoding", "content-length", "etag", "content-digest", "repr-digest", "digest"];

type Decoder = ReturnType<typeof createGunzip> | ReturnType<typeof createBrotliDecompress>;

const DECODERS: Readonly<Record<string, () => Decoder>> = {
  gzip: () => createGunzip({ flush: constants.Z_SYNC_FLUSH }),
  "x-gzip": () => createGunzip({ flush: constants.Z_SYNC_FLUSH }),
  deflate: () => createInflate({ flush: constants.Z_SYNC_FLUSH }),
  br: () => createBrotliDecompress({ flush: constants.BROTLI_OPERATION_FLUSH }),
};

/**
 * Takes the coding off an answer, and off its fields what is no longer true.
 *
 * @param server its name, for error messages
 * @param coding the value of `Content-Encoding`
 * @param headers changed in place
 * @returns the bytes as the server meant them
 * @throws ProxyError `UPSTREAM_INVALID` for a coding that is not known, and for several: nobody needs them, and bombs are made of them
 */
export function decoded(server: string, source: Source, coding: string, headers: HeaderList): Source {
  const codings = coding
    .toLowerCase()
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "" && name !== "identity");
  const [name, ...more] = codings;
  const create = name === undefined ? undefined : DECODERS[name];
  if (name !== undefined && (more.length > 0 || !create)) {
    source.abort();
    throw new ProxyError("UPSTREAM_INVALID", { server, detail: "content codings that were not asked for" });
  }
  if (!create) {
    headers.delete("content-encoding");
    return source;
  }
  for (const field of OF_CODED_BYTES) headers.delete(field);
  return new DecodedSource(server, source, create());
}

/** A source that is decoded piece by piece: what the server flushed goes on at once. */
class DecodedSource implements Source, Receiver {
  readonly #server: string;
  readonly #source: Source;
  readonly #decoder: Decoder;
  #receiver!: Receiver;
  #bytesIn = 0;
  #bytesOut = 0;
  /** Pieces that the decoder has not worked off. */
  #pending = 0;
  /** How the coded bytes ended. */
  #broke: ProxyError | undefined;
  #over = false;

  constructor(server: string, source: Source, decoder: Decoder) {
    this.#server = server;
    this.#source = source;
    this.#decoder = decoder;
  }

  start(receiver: Receiver): void {
    this.#receiver = receiver;
    this.#decoder.on("data", (bytes: Uint8Array) => this.#emit(bytes));
    this.#decoder.on("end", () => this.#finish());
    this.#decoder.on("error", (cause) => this.#finish(this.#broke ?? this.#error("UPSTREAM_BROKE", cause)));
    this.#decoder.on("drain", () => this.#source.resume());
    this.#source.start(this);
  }

  pause(): void {
    this.#decoder.pause();
  }

  resume(): void {
    this.#decoder.resume();
    this.#settle();
  }

  abort(): void {
    if (this.#over) return;
    this.#over = true;
    this.#source.abort();
    this.#decoder.destroy();
  }

  data(chunk: Uint8Array): void {
    if (this.#over) return;
    this.#bytesIn += chunk.length;
    this.#pending++;
    const goesOn = this.#decoder.write(chunk, () => {
      this.#pending--;
      this.#settle();
    });
    if (!goesOn) this.#source.pause();
  }

  end(): void {
    // RFC 9110 §8.4: an empty answer has nothing to decode, whatever its fields say.
    if (this.#bytesIn === 0) this.#finish();
    else if (!this.#over) this.#decoder.end();
  }

  fail(error: ProxyError): void {
    this.#broke = error;
    this.#settle();
  }

  #emit(bytes: Uint8Array): void {
    if (this.#over) return;
    this.#bytesOut += bytes.length;
    if (this.#bytesOut > MAX_UNASKED && this.#bytesOut > this.#bytesIn * MAX_RATIO)
      return this.#finish(this.#error("UPSTREAM_INVALID", `more than ${MAX_RATIO} times its size when decoded`));
    this.#receiver.data(bytes);
    this.#settle();
  }

  /** What came before the break is passed on first. */
  #settle(): void {
    if (this.#broke && this.#pending === 0 && this.#decoder.readableLength === 0) this.#finish(this.#broke);
  }

  #finish(error?: ProxyError): void {
    if (this.#over) return;
    this.abort();
    if (error) this.#receiver.fail(error);
    else this.#receiver.end();
  }

  #error(code: "UPSTREAM_BROKE" | "UPSTREAM_INVALID", cause: unknown): ProxyError {
    const detail = typeof cause === "string" ? cause : "a content coding that cannot be decoded";
    return new ProxyError(code, { server: this.#server, detail, cause: typeof cause === "string" ? undefined : cause });
  }
}
