/**
 * Clients of HTTP+SSE (MCP 2024-11-05, Transports): one event stream towards the client, whose first event says where it posts
 * its messages.
 */
import { StreamBody, empty } from "../body/body.ts";
import type { Receiver, Source } from "../body/body.ts";
import type { Outgoing } from "../down.ts";
import { ProxyError } from "../errors.ts";
import type { Front } from "../exchange-state.ts";
import { ExchangeRun } from "../exchange.ts";
import { HeaderList } from "../headers.ts";
import type { MountRuntime } from "../mount.ts";
import { messagesPath } from "../paths.ts";
import type { Answer, Principal } from "../types.ts";
import { ChannelClient } from "./channel.ts";
import { type Running, toOutgoing } from "./http.ts";
import type { Inbound } from "./inbound.ts";
import { isPlainJson } from "./media-type.ts";

/** Streams that one server may have open at a time. */
const MAX_STREAMS = 5000;
const BEFORE = Buffer.from("event: message\ndata: ");
const AFTER = Buffer.from("\n\n");
/** 192 bits. */
const ID_BYTES = 24;

/** The HTTP+SSE paths of one mount. */
export class SseFront {
  readonly #mount: MountRuntime;
  readonly #running: Running;
  readonly #streams = new Map<string, ClientStream>();

  constructor(mount: MountRuntime, running: Running) {
    this.#mount = mount;
    this.#running = running;
  }

  /** The path of the stream. Never rejects. */
  open(inbound: Inbound): Promise<Outgoing> {
    const exchange = new ExchangeRun(this.#mount, inbound);
    const entry = this.#running.add(exchange);
    inbound.onClosed = (whole) => {
      this.#running.remove(entry);
      exchange.closed(whole);
    };
    if (inbound.isOver) inbound.onClosed(false);
    const front = new StreamFront(() => this.#openStream(exchange, inbound));
    return exchange.run(notMethod(inbound, "GET"), front);
  }

  /** The path of the messages. Never rejects. */
  async post(inbound: Inbound): Promise<Outgoing> {
    const stream = this.#streams.get(inbound.url.searchParams.get("sessionId") ?? "");
    const admit = (principal: Principal) => {
      // Whoever is not its client learns no more than that there is no such stream.
      if (!stream || stream.principal.id !== principal.id) throw new ProxyError("SESSION_NOT_FOUND");
    };
    const verdict =
      notMethod(inbound, "POST") ??
      (isPlainJson(inbound.fields) ? undefined : new ProxyError("UNSUPPORTED_MEDIA_TYPE"));
    const client =
      stream?.client ?? new ChannelClient({ mount: this.#mount, running: this.#running, send: () => true });
    const refusal = await client.post(inbound, { verdict, admit });
    if (!refusal) return toOutgoing(empty(202), inbound);
    inbound.onClosed = (whole) => refusal.closed(whole);
    if (inbound.isOver) refusal.closed(false);
    return refusal.outgoing;
  }

  #openStream(exchange: ExchangeRun, inbound: Inbound): ClientStream {
    if (this.#streams.size >= MAX_STREAMS)
      throw new ProxyError("SESSIONS_EXHAUSTED", { server: this.#mount.server, headers: { "retry-after": "5" } });
    const id = Buffer.from(crypto.getRandomValues(new Uint8Array(ID_BYTES))).toString("base64url");
    const stream: ClientStream = new ClientStream({
      principal: exchange.principal,
      endpoint: `${endpointOf(inbound)}?sessionId=${id}`,
      client: new ChannelClient({ mount: this.#mount, running: this.#running, send: (line) => stream.send(line) }),
      onGone: () => this.#streams.delete(id),
    });
    this.#streams.set(id, stream);
    return stream;
  }
}

/** Answers a GET with a stream of its own. */
class StreamFront implements Front {
  readonly #open: () => ClientStream;
  #stream: ClientStream | undefined;

  constructor(open: () => ClientStream) {
    this.#open = open;
  }

  answer(): Answer {
    this.#stream = this.#open();
    const headers = new HeaderList(["content-type", "text/event-stream", "cache-control", "no-store"]);
    return { status: 200, headers, body: new StreamBody(this.#stream) };
  }

  /** Calls under way are answered on it. */
  get isBusy(): boolean {
    return (this.#stream?.client.pending ?? 0) > 0;
  }
}

interface StreamOptions {
  principal: Principal;
  endpoint: string;
  client: ChannelClient;
  onGone(): void;
}

/** The open stream of one client. */
class ClientStream implements Source {
  readonly principal: Principal;
  readonly client: ChannelClient;
  readonly #options: StreamOptions;
  #receiver: Receiver | undefined;
  #paused = false;

  constructor(options: StreamOptions) {
    this.#options = options;
    this.principal = options.principal;
    this.client = options.client;
  }

  start(receiver: Receiver): void {
    this.#receiver = receiver;
    receiver.data(Buffer.from(`event: endpoint\ndata: ${this.#options.endpoint}\n\n`));
  }

  send(line: Buffer): boolean {
    this.#receiver?.data(Buffer.concat([BEFORE, line, AFTER]));
    return !this.#paused;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.client.drained();
  }

  /** The stream is the session: it ends with it. */
  abort(): void {
    this.#options.onGone();
    void this.client.close();
  }
}

/**
 * Where messages are posted, as clients write it behind the origin: a path that begins with `/`, because some clients put it behind
 * the origin instead of resolving it (RFC 3986 §5), with the path prefix under which clients know this proxy.
 */
function endpointOf({ url, publicUrl }: Inbound): string {
  return new URL(publicUrl).pathname.replace(/\/+$/, "") + messagesPath(url.pathname);
}

function notMethod({ method }: Inbound, allow: string): ProxyError | undefined {
  return method === allow ? undefined : new ProxyError("METHOD_NOT_ALLOWED", { headers: { allow } });
}
