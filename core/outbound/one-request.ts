/** One request to one address, and its whole answer. */
import { collect, StreamBody } from "../body/body.ts";
import type { Deadlines } from "../deadlines.ts";
import type { TlsOptions } from "../types.ts";
import { Call } from "../upstream/http1/call.ts";
import { createDial, type Dial } from "../upstream/http1/connect.ts";
import { Pool } from "../upstream/http1/pool.ts";
import type { WireRequest } from "../upstream/wire.ts";

/** How a connection to an address is made. */
export type DialAddress = (url: URL, timeout: number, tls: TlsOptions | undefined, address: string) => Dial;

export const dialAddress: DialAddress = (url, timeout, tls, address) =>
  createDial(url, timeout, tls, undefined, address);

/** What came back. */
export interface Fetched {
  status: number;
  /** name, value, name, value …; names in lower case. */
  headers: readonly string[];
  bytes: Uint8Array;
}

/**
 * @param dial made for the address
 * @param limit of the body, in bytes
 * @throws ProxyError; `UPSTREAM_UNREACHABLE` and `UPSTREAM_CONNECT_TIMEOUT` only where no byte has left
 */
export async function requestOnce(
  url: URL,
  request: WireRequest,
  dial: Dial,
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
    const bytes = await collect({ body: new StreamBody(source) }, limit);
    return { status, headers, bytes };
  } finally {
    signal.removeEventListener("abort", abort);
    pool.close();
  }
}
