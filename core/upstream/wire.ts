/** What drivers and HTTP clients agree on: one request out, one answer back. */
import type { Source } from "../body/body.ts";
import type { Answer, UpstreamRequest } from "../types.ts";

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

/** Speaks to one server. All drivers look the same from inside. */
export interface Driver {
  /** @param method JSON-RPC method of the body, where known @throws ProxyError */
  send(request: Omit<UpstreamRequest, "signal">, onAbort: OnAbort, method?: string, idText?: string): Promise<Answer>;
  close(): Promise<void>;
}
