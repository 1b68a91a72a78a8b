/** Requests of the proxy's own: what a plugin sends to a server through `app.call`. */
import { ANONYMOUS } from "./define.ts";
import { ExchangeRun } from "./exchange.ts";
import { HeaderList } from "./headers.ts";
import type { MountRuntime } from "./mount.ts";
import type { Answer, CallAs, Plugin, UpstreamRequest } from "./types.ts";

/**
 * @param plugin who calls: the `forward` hooks that come after it are passed
 * @throws ProxyError
 */
export function callServer(
  mount: MountRuntime,
  plugin: Plugin,
  request: Partial<UpstreamRequest>,
  as: CallAs,
): Promise<Answer> {
  const { method = "POST", body = null, signal, timeouts } = request;
  const headers = HeaderList.from(request.headers ?? {});
  if (body !== null && !headers.has("content-type")) headers.set("content-type", "application/json");
  if (!headers.has("accept"))
    headers.set("accept", method === "GET" ? "text/event-stream" : "application/json, text/event-stream");
  headers.set("accept-encoding", "identity");
  const url = new URL(mount.path ?? "/", "http://localhost");
  const head = { method, url, headers, ip: "", local: false, publicUrl: url.origin };
  const exchange = new ExchangeRun(
    mount,
    { ...head, fields: headers.flat, read: () => NO_BODY },
    as.probe ? "probe" : "proxy",
  );
  exchange.principal = as.principal ?? ANONYMOUS;
  exchange.log.debug(() => `${mount.server}: ${method} by ${plugin.name}: ${as.reason}`);
  const { plugins, forward } = mount.hooks;
  const { path } = request;
  // It goes onto the request line as it is.
  if (path !== undefined && !/^\/[\x21-\x7e]*$/.test(path)) throw new TypeError("`path` is no path");
  if (path !== undefined) return exchange.call({ method, headers, body, signal, timeouts, path }, forward.length);
  const at = plugins.indexOf(plugin);
  const inner = forward.findIndex((hook) => plugins.indexOf(hook.plugin) > at);
  return exchange.call({ method, headers, body, signal, timeouts }, inner === -1 ? forward.length : inner);
}

const NO_BODY = new Uint8Array();
