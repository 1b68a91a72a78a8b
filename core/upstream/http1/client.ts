/**
 * The HTTP client of Penstock, over plain sockets: the same on every runtime. The clients that runtimes bring along send a
 * POST twice, stop at 256 requests, or accept answers that can be read in two ways.
 */
import { Deadlines } from "../../deadlines.ts";
import type { TlsOptions } from "../../types.ts";
import type { WireClient } from "../wire.ts";
import { Call } from "./call.ts";
import { createDial } from "./connect.ts";
import { httpProxyFor } from "./http-proxy.ts";
import { Pool } from "./pool.ts";

/**
 * @param name the server's name, for error messages
 * @param url its URL; the origin counts
 * @param connectTimeout in milliseconds; 0 is no limit
 * @throws ProxyError `BAD_CONFIG` when the environment names an HTTP proxy that cannot be used
 */
export function connectHttp1(name: string, url: URL, connectTimeout: number, tls?: TlsOptions): WireClient {
  const deadlines = new Deadlines();
  const proxy = httpProxyFor(url, process.env);
  const isForwarded = proxy !== undefined && url.protocol === "http:";
  const origin = {
    host: url.host,
    targetPrefix: isForwarded ? url.origin : "",
    lines: isForwarded ? proxy.authorization : "",
  };
  const pool = new Pool(origin, createDial(url, connectTimeout, tls, proxy));
  return {
    send(request, onAbort) {
      const call = new Call(name, request, deadlines);
      onAbort(() => call.abort());
      pool.send(call);
      return call.answer;
    },
    async close() {
      pool.close();
      deadlines.close();
    },
  };
}
