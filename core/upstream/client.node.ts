/**
 * The HTTP client on Node: undici's `dispatch` over a last-in-first-out list of connections. A request takes a connection
 * out of the list and puts it back, so there is no need to know beforehand which call becomes a stream, and thousands of open
 * streams do not slow the others down.
 */
import { isIP } from "node:net";
import { Client, type Dispatcher, EnvHttpProxyAgent, buildConnector } from "undici";
import { type Deadline, Deadlines } from "../deadlines.ts";
import { ProxyError } from "../errors.ts";
import type { Receiver, Source } from "../body/body.ts";
import { joinChunks } from "../body/sse.ts";
import type { TlsOptions } from "../types.ts";
import type { OnAbort, WireAnswer, WireClient, WireRequest } from "./http.ts";

/** Idle connections kept; more are closed as they come back. */
const MAX_IDLE = 256;
/** Bytes held for an answer that nobody has started to read. */
const MAX_EARLY = 64 * 1024;

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

/** One request: undici's handler towards the socket, a source towards the answer. */
class Call implements Dispatcher.DispatchHandler, Source, WireAnswer {
  status = 0;
  headers: WireAnswer["headers"] = {};
  readonly source: Source = this;
  readonly #name: string;
  readonly #resolve: (answer: WireAnswer) => void;
  readonly #reject: (error: ProxyError) => void;
  readonly #release: () => void;
  readonly #deadlines: Deadlines;
  #controller: Dispatcher.DispatchController | undefined;
  #receiver: Receiver | undefined;
  /** What came before anyone listened: as a rule the whole of a small answer. */
  #early: Buffer[] = [];
  #earlySize = 0;
  #end: "no" | "well" | ProxyError = "no";
  /** Why we ended it ourselves, if we did. */
  #verdict: ProxyError | undefined;
  #limit: Deadline | undefined;
  #gap = 0;

  constructor(
    name: string,
    resolve: (answer: WireAnswer) => void,
    reject: (error: ProxyError) => void,
    release: () => void,
    deadlines: Deadlines,
    headersTimeout: number,
  ) {
    this.#name = name;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#release = release;
    this.#deadlines = deadlines;
    if (headersTimeout > 0)
      this.#limit = deadlines.after(headersTimeout, () =>
        this.#stop("UPSTREAM_TIMEOUT", `no head after ${headersTimeout} ms`),
      );
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#verdict) controller.abort(this.#verdict);
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (status < 200) return;
    this.#limit?.cancel();
    this.#limit = undefined;
    this.status = status;
    this.headers = headers as WireAnswer["headers"];
    this.#resolve(this);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#limit?.restart();
    if (this.#receiver) return this.#receiver.data(chunk);
    this.#early.push(chunk);
    this.#earlySize += chunk.length;
    // Whoever takes the answer reads within a few turns; a small one is whole by then, and its connection free again.
    if (this.#earlySize > MAX_EARLY) controller.pause();
  }

  onResponseEnd(): void {
    this.#limit?.cancel();
    this.#release();
    this.#end = "well";
    this.#receiver?.end();
  }

  onResponseError(_controller: Dispatcher.DispatchController, cause: Error): void {
    this.#limit?.cancel();
    this.#release();
    const error = this.#verdict ?? toProxyError(this.#name, cause, this.status > 0);
    this.#end = error;
    if (this.status === 0) this.#reject(error);
    else this.#receiver?.fail(error);
  }

  limitGap(ms: number): void {
    this.#gap = ms;
  }

  start(receiver: Receiver): void {
    this.#receiver = receiver;
    for (const chunk of this.#early) receiver.data(chunk);
    this.#early = [];
    if (this.#end === "well") return receiver.end();
    if (this.#end !== "no") return receiver.fail(this.#end);
    this.#watchGap();
    if (this.#earlySize > MAX_EARLY) this.resume();
  }

  whole(): Uint8Array | undefined {
    return this.#end === "well" ? joinChunks(this.#early) : undefined;
  }

  pause(): void {
    // The client is slow, not the server.
    if (this.#gap > 0) this.#limit?.cancel();
    this.#controller?.pause();
  }

  resume(): void {
    if (this.#end !== "no") return;
    this.#watchGap();
    this.#controller?.resume();
  }

  /** A limit that was cancelled cannot be restarted. */
  #watchGap(): void {
    this.#limit?.cancel();
    if (this.#gap > 0)
      this.#limit = this.#deadlines.after(this.#gap, () =>
        this.#stop("UPSTREAM_SILENT", `no byte for ${this.#gap} ms`),
      );
  }

  abort(): void {
    this.#stop("CLIENT_GONE");
  }

  #stop(code: "CLIENT_GONE" | "UPSTREAM_TIMEOUT" | "UPSTREAM_SILENT", detail?: string): void {
    if (this.#verdict || this.#end !== "no") return;
    this.#verdict = new ProxyError(code, { server: this.#name, detail });
    this.#limit?.cancel();
    // Before a connection exists there is nothing to abort: the wait ends here, and the request when its turn comes.
    if (this.#controller) this.#controller.abort(this.#verdict);
    else this.#reject(this.#verdict);
  }
}

/** undici's and Node's codes, as far as they tell a user something different. */
function toProxyError(server: string, cause: Error & { code?: string }, started: boolean): ProxyError {
  const code = cause.code ?? "";
  if (code === "UND_ERR_CONNECT_TIMEOUT" || code === "ETIMEDOUT")
    return new ProxyError("UPSTREAM_CONNECT_TIMEOUT", { server, cause });
  if (/^(?:ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|EPROTO|ERR_OSSL)/.test(code))
    return new ProxyError("UPSTREAM_TLS", { server, cause });
  // undici's parser leaves the code of its error empty.
  if (cause.name === "HTTPParserError" || /^(?:UND_ERR_HEADERS_OVERFLOW|UND_ERR_INVALID|UND_ERR_RES)/.test(code)) {
    return new ProxyError(started ? "UPSTREAM_BROKE" : "UPSTREAM_INVALID", { server, cause });
  }
  if (
    /^(?:ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|EADDRNOTAVAIL|EACCES|EPERM|ENOENT)$/.test(code) ||
    cause instanceof AggregateError
  ) {
    return new ProxyError("UPSTREAM_UNREACHABLE", { server, cause });
  }
  return new ProxyError("UPSTREAM_BROKE", { server, cause });
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
