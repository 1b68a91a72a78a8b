/**
 * The HTTP client on Node: undici's `dispatch` over a last-in-first-out list of connections. A request takes a connection
 * out of the list and puts it back, so there is no need to know beforehand which call becomes a stream, and thousands of open
 * streams do not slow the others down.
 */
import { isIP } from "node:net";
import { Client, type Dispatcher, EnvHttpProxyAgent, buildConnector } from "undici";
import { Deadlines } from "../deadlines.ts";
import type { TlsOptions } from "../types.ts";
import { Call } from "./client.node.call.ts";
import type { OnAbort, WireAnswer, WireClient, WireRequest } from "./http.ts";

/** Idle connections kept; more are closed as they come back. */
const MAX_IDLE = 256;

/**
 * @param name the server's name, for error messages
 * @param url its URL; the origin counts
 * @param connectTimeout in milliseconds
 */
export function connectNode(name: string, url: URL, connectTimeout: number, tls: TlsOptions = {}): WireClient {
  const shared = { connectTimeout, headersTimeout: 0, bodyTimeout: 0, pipelining: 1 };
  const connect = {
    ...tls,
    timeout: connectTimeout,
    autoSelectFamily: true,
    ...(url.hostname === "localhost" && { lookup: lookupLocalhost }),
  };
  const { origin } = url;
  const deadlines = new Deadlines();
  if (goesThroughProxy(url)) {
    const agent = new EnvHttpProxyAgent({
      ...shared,
      connect,
      requestTls: tls,
      proxyTunnel: url.protocol === "https:",
    });
    return {
      // The proxy agent takes headers as an object only.
      send: (request, onAbort) =>
        send(
          { dispatcher: agent, origin, name, deadlines, release() {} },
          { ...request, headers: asRecord(request.headers) },
          onAbort,
        ),
      close() {
        deadlines.close();
        return agent.destroy();
      },
    };
  }
  // One connector for all connections of a server: they share TLS sessions.
  const options: Client.Options = { ...shared, connect: buildConnector(connect as buildConnector.BuildOptions) };
  const idle: Client[] = [];
  const all = new Set<Client>();

  function open(): Client {
    const client = new Client(origin, options);
    all.add(client);
    // A connection that the server closed while it was idle has no further use.
    client.on("disconnect", () => {
      const at = idle.indexOf(client);
      if (at !== -1) drop(idle.splice(at, 1)[0]!);
    });
    return client;
  }
  function drop(client: Client): void {
    all.delete(client);
    client.destroy().catch(() => {});
  }
  return {
    send(request, onAbort) {
      const client = idle.pop() ?? open();
      const release = () => {
        if (idle.length < MAX_IDLE && all.has(client)) idle.push(client);
        else drop(client);
      };
      return send({ dispatcher: client, origin, name, deadlines, release }, request, onAbort);
    },
    async close() {
      deadlines.close();
      const clients = [...all];
      all.clear();
      idle.length = 0;
      await Promise.all(clients.map((client) => client.destroy()));
    },
  };
}

type Sent = Omit<WireRequest, "headers"> & { headers: string[] | Record<string, string> };

interface Connection {
  dispatcher: Dispatcher;
  origin: string;
  /** The server's name. */
  name: string;
  deadlines: Deadlines;
  release(): void;
}

function send(
  { dispatcher, origin, name, deadlines, release }: Connection,
  request: Sent,
  onAbort: OnAbort,
): Promise<WireAnswer> {
  return new Promise((resolve, reject) => {
    const call = new Call(name, resolve, reject, release, deadlines, request.headersTimeout);
    onAbort(() => call.abort());
    dispatcher.dispatch(
      {
        origin,
        path: request.path,
        method: request.method,
        headers: request.headers,
        body: request.body,
        headersTimeout: 0,
        bodyTimeout: 0,
      },
      call,
    );
  });
}

type LookupCallback = (error: null, addresses: { address: string; family: number }[]) => void;

/** `localhost` means both loopback addresses, whatever the hosts file says: many servers listen on one of them only. */
function lookupLocalhost(_hostname: string, _options: object, callback: LookupCallback): void {
  callback(null, [
    { address: "::1", family: 6 },
    { address: "127.0.0.1", family: 4 },
  ]);
}

/** Whether an HTTP proxy of the environment is to be asked about. A loopback address is never behind one. */
function goesThroughProxy(url: URL): boolean {
  const { env } = process;
  const proxy =
    url.protocol === "https:"
      ? (env.https_proxy ?? env.HTTPS_PROXY ?? env.http_proxy ?? env.HTTP_PROXY)
      : (env.http_proxy ?? env.HTTP_PROXY);
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const loopback =
    host === "localhost" ||
    host.endsWith(".localhost") ||
    host === "::1" ||
    (isIP(host) === 4 && host.startsWith("127."));
  return Boolean(proxy) && !loopback;
}

function asRecord(flat: readonly string[]): Record<string, string> {
  const record: Record<string, string> = {};
  for (let i = 0; i < flat.length; i += 2)
    record[flat[i]!] = record[flat[i]!] === undefined ? flat[i + 1]! : `${record[flat[i]!]}, ${flat[i + 1]}`;
  return record;
}
