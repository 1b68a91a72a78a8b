import type { Shelf } from "./_session-stream-log.ts";
import type { StreamSettings } from "./_session-stream-options.ts";
import type { SessionStream } from "./_session-stream.ts";

/** What a stream needs of its session. */
export interface StreamHost {
  readonly settings: StreamSettings;
  readonly shelf: Shelf;
  /** The client knows that an event without data only has an id (2025-11-25). */
  readonly primes: boolean;
  /** Gives a server's request an id for the client. */
  ask(carrier: SessionStream, idText: string, method: string): string | undefined;
  /** The server takes a question back. */
  takeBack(idText: string): string | undefined;
  isOpen(question: string): boolean;
  /** Something was added: there may be too much now. */
  grown(): void;
  /** Nobody reads it, but somebody may come back. */
  left(stream: SessionStream): void;
  /** Somebody reads it again. */
  taken(stream: SessionStream): void;
  /** Nobody reads it any more, and nobody can come back to it. */
  closed(stream: SessionStream): void;
  /** Of the server, for messages. */
  readonly server: string;
}

/** What a stream is about. */
export interface StreamSubject {
  /** Part of its event ids. */
  name: string;
  /** The id of the request that it answers, as the client wrote it. */
  idText: string | undefined;
  /** Header fields of the server's answer. */
  head: Headers;
}
