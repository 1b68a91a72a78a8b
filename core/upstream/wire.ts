/** What drivers and HTTP clients agree on: one request out, one answer back. */
import type { Source } from "../body/body.ts";
import type { Deadlines } from "../deadlines.ts";
import type { Logger } from "../log.ts";
import type { Answer, Json, UpstreamRequest } from "../types.ts";

/** One request as an HTTP client sends it. */
export interface WireRequest {
  method: string;
  /** Path and query. */
  path: string;
  /** name, value, name, value … */
  headers: string[];
  body: Uint8Array | null;
  /** Wait for the head of the answer, in milliseconds; 0 waits for ever. */
  headersTimeout: number;
  /** The same for its end. @default 0 */
  totalTimeout?: number;
}

/** What an HTTP client of some runtime gives back. */
export interface WireAnswer {
  status: number;
  /** name, value, name, value …; names in lower case, repeated fields apart. */
  headers: readonly string[];
  source: Source;
  /** Ends the answer when no byte came for so long, in milliseconds. Called before the source is started. */
  limitGap(ms: number): void;
}

/** An HTTP client for one origin. */
export interface WireClient {
  /** @param onAbort takes a function that ends the request @throws ProxyError */
  send(request: WireRequest, onAbort: OnAbort): Promise<WireAnswer>;
  close(): Promise<void>;
}

/** Tells a function when nobody waits any longer. */
export type OnAbort = (abort: () => void) => void;

/** What drivers need of their proxy. */
export interface DriverHost {
  log: Logger;
  deadlines: Deadlines;
  /** Added to `Via` of answers. */
  via: string;
  /** Calls a function, which must not wait for anything, when this process exits. @returns a function that takes it back */
  atExit(run: () => void): () => void;
}

/**
 * Speaks to one server. All drivers look the same from inside: like a server of Streamable HTTP (MCP 2025-11-25, Transports).
 * Where the transport has no such sessions by itself (stdio, HTTP+SSE), `initialize` opens one, and the head of its answer names it.
 */
export interface Driver {
  /**
   * @param method JSON-RPC method of the body, where known
   * @throws ProxyError; `SESSION_NOT_FOUND` only where no byte has left
   */
  send(request: Omit<UpstreamRequest, "signal">, onAbort: OnAbort, method?: string, idText?: string): Promise<Answer>;
  /** What is told about what runs behind it, in `/health`. */
  report?(): Json;
  close(): Promise<void>;
}
