/** One request to one address, and its answer as far as it is wanted. */
import { StreamBody, collect } from "../body/body.ts";
import type { Deadlines } from "../deadlines.ts";
import type { TlsOptions } from "../types.ts";
import { Call } from "../upstream/http1/call.ts";
import { type Dial, createDial } from "../upstream/http1/connect.ts";
import { Pool } from "../upstream/http1/pool.ts";
import type { WireRequest } from "../upstream/wire.ts";

/** How a connection to an address is made. */
export type DialAddress = (url: URL, timeout: number, tls: TlsOptions | undefined, address: string) => Dial;

export const dialAddress: DialAddress = (url, timeout, tls, address) =>
  createDial(url, timeout, tls, undefined, address);

/** The head of an answer. */
export interface Head {
  status: number;
  /** name, value, name, value …; names in lower case. */
  headers: readonly string[];
}

/** What came back. */
export interface Fetched extends Head {
  bytes: Uint8Array;
}

/**
 * @param wants whether the body is read; what it throws ends the request
 * @param limit of the body, in bytes
 * @throws ProxyError; `UPSTREAM_UNREACHABLE` and `UPSTREAM_CONNECT_TIMEOUT` only where no byte has left
 */
export async function requestOnce(
  url: URL,
  request: WireRequest,
  dial: Dial,
  wants: (head: Head) => boolean,
  limit: number,
  deadlines: Deadlines,
  signal: AbortSignal,
): Promise<Fetched> {
  const pool = new Pool({ host: url.host, targetPrefix: "", lines: "" }, dial);
  const call = new Call(url.host, request, deadlines);
  const abort = () => call.abort();
  signal.addEventListener("abort", abort, { once: true });
  try {
    pool.send(call);
    const { status, headers, source } = await call.answer;
    const bytes = wants({ status, headers })
      ? await collect({ body: new StreamBody(source) }, limit)
      : new Uint8Array();
    return { status, headers, bytes };
  } finally {
    signal.removeEventListener("abort", abort);
    // Each request has a connection of its own: the next one is checked anew.
    pool.close();
  }
}
