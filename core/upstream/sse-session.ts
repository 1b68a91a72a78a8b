/** One session of an HTTP+SSE server: its event stream, where everything comes from, and its endpoint, where all is posted. */
import { BytesBody, type Source, StreamBody, collect, discard } from "../body/body.ts";
import { EventReader } from "../body/event-reader.ts";
import { ProxyError } from "../errors.ts";
import { HeaderList } from "../headers.ts";
import { refusedStream } from "../probe-stream.ts";
import { createSecret } from "../seal.ts";
import type { Answer, Timeouts } from "../types.ts";
import { Channel } from "./channel.ts";
import type { ChannelRequest, ChannelSession, PostOptions } from "./channel-session.ts";
import { resolveEndpoint } from "./sse-endpoint.ts";
import type { Driver, DriverHost, OnAbort } from "./wire.ts";

/** Of a client and its session with the proxy: the server has a session of its own. */
const NOT_SENT = ["mcp-session-id", "last-event-id"];
/** Of what a server says to a message that was posted, in bytes. */
const MAX_REFUSAL = 64 * 1024;
/** Answers to the GET that say something to whoever asks: a credential is missing, or come back later. */
const TOLD = (status: number): boolean => [401, 403, 429].includes(status) || status >= 500;

/** A message was posted, and not taken. */
export class PostRefused extends ProxyError {
  readonly answer: Answer;

  constructor(server: string, answer: Answer) {
    super("UPSTREAM_BROKE", { server, detail: `a message was answered with HTTP ${answer.status}` });
    this.answer = answer;
  }
}

/** What all sessions of one server have in common. */
export interface SseServer {
  name: string;
  url: URL;
  http: Driver;
  host: DriverHost;
  timeouts: Readonly<Required<Timeouts>>;
  maxMessageBytes: number;
  /** A session that was open is gone. */
  onLost(session: SseSession, error: ProxyError): void;
}

export class SseSession {
  /** Which clients know it by. */
  readonly id: string = createSecret();
  readonly since: Date = new Date();
  readonly #server: SseServer;
  readonly #channel: Channel;
  readonly #client: ChannelSession;
  /** Of the latest request: what the proxy says by itself has none. */
  #headers: HeaderList;
  #endpoint: string | undefined;
  #source: Source | undefined;
  #opened: (() => void) | undefined;
  #failed: ((error: ProxyError) => void) | undefined;
  #over = false;

  constructor(server: SseServer, headers: Headers) {
    this.#server = server;
    this.#headers = HeaderList.from(headers);
    const { name, host, timeouts } = server;
    const link = {
      send: (text: Buffer) => this.#post(text),
      pause: () => this.#source?.pause(),
      resume: () => this.#source?.resume(),
    };
    this.#channel = new Channel({ ...host, server: name, link, timeouts, kind: "session" });
    this.#client = this.#channel.open();
  }

  /**
   * Opens the stream, and waits until it names the endpoint.
   *
   * @param timeout in milliseconds; 0 is none
   * @returns what the server says instead, where that is for whoever asks
   * @throws ProxyError
   */
  async open(timeout: number, onAbort: OnAbort): Promise<Answer | undefined> {
    const { name, http, host } = this.#server;
    let abort: (() => void) | undefined;
    const opening = new Promise<void>((resolve, reject) => {
      this.#opened = resolve;
      this.#failed = reject;
    });
    opening.catch(() => {});
    const give = (error: ProxyError) => {
      if (this.#endpoint !== undefined) return;
      this.#lose(error);
      abort?.();
    };
    onAbort(() => give(new ProxyError("CLIENT_GONE", { server: name })));
    const limit =
      timeout > 0 &&
      host.deadlines.after(timeout, () =>
        give(new ProxyError("UPSTREAM_TIMEOUT", { server: name, detail: `no endpoint event after ${timeout} ms` })),
      );
    try {
      const asked = http.send(
        { method: "GET", headers: this.#fields("text/event-stream"), body: null, timeouts: { headers: 0, stream: 0 } },
        (leave) => (abort = leave),
      );
      const answer = await Promise.race([asked, opening.then(() => asked)]);
      if (TOLD(answer.status)) return await whole(answer);
      this.#read(answer);
      await opening;
      return undefined;
    } catch (error) {
      this.#over = true;
      throw error;
    } finally {
      if (limit) limit.cancel();
    }
  }

  /** @throws ProxyError */
  async post(request: ChannelRequest, onAbort: OnAbort, idText?: string, options?: PostOptions): Promise<Answer> {
    this.#headers = HeaderList.from(request.headers);
    return this.#client.post(request, onAbort, idText, options);
  }

  /** Opens the stream of what belongs to no request. */
  get(onAbort: OnAbort): Answer {
    return this.#client.get(onAbort);
  }

  /** The client ends it, or there is no use for it. */
  end(): void {
    if (this.#over) return;
    this.#client.close();
    this.#over = true;
    this.#source?.abort();
  }

  /** It is gone, whoever's fault that is. */
  lose(error: ProxyError): void {
    this.#lose(error);
  }

  #read(answer: Answer): void {
    const { name, url, maxMessageBytes, host } = this.#server;
    const refused = refusedStream(answer);
    const { body } = answer;
    if (refused !== undefined || !(body instanceof StreamBody)) {
      discard(answer);
      throw new ProxyError("UPSTREAM_INVALID", {
        server: name,
        hint: `A GET of its url was answered with ${refused ?? "nothing"}, and not with the event stream of HTTP+SSE; see \`transport\`.`,
      });
    }
    const onMessage = (data: Buffer) => {
      if (this.#over || this.#endpoint === undefined || this.#channel.receive(data)) return;
      host.log.debug(() => `${name}: dropped an event that is no message`);
    };
    const reader = new EventReader(maxMessageBytes, onMessage, (type, data) => {
      if (type !== "endpoint" || this.#endpoint !== undefined) return;
      this.#endpoint = resolveEndpoint(name, data.toString(), url);
      this.#opened!();
    });
    this.#source = body.source;
    body.source.start({
      data: (chunk) => {
        if (this.#over) return;
        try {
          reader.write(chunk);
        } catch (cause) {
          this.#lose(cause as ProxyError);
        }
      },
      end: () => this.#lose(new ProxyError("UPSTREAM_BROKE", { server: name, detail: "its event stream ended" })),
      fail: (cause) =>
        this.#lose(new ProxyError("UPSTREAM_BROKE", { server: name, detail: "its event stream", cause })),
    });
  }

  #lose(error: ProxyError): void {
    if (this.#over) return;
    this.#over = true;
    this.#source?.abort();
    if (this.#endpoint === undefined) return this.#failed!(error);
    this.#channel.fail(error);
    this.#server.onLost(this, error);
  }

  /** Any 2xx says that the message was taken: its response comes over the stream. */
  async #post(text: Buffer): Promise<void> {
    const { name, http, timeouts } = this.#server;
    const headers = this.#fields(this.#headers.get("accept") ?? "*/*");
    headers.set("content-type", "application/json");
    // What is on its way stays on its way, whoever leaves: half a message would be worse than one that nobody waits for.
    const answer = await http.send(
      {
        method: "POST",
        path: this.#endpoint!,
        headers,
        body: text,
        timeouts: { headers: timeouts.call, stream: timeouts.body },
      },
      () => {},
    );
    if (answer.status >= 200 && answer.status < 300) return void whole(answer);
    throw new PostRefused(name, await whole(answer));
  }

  #fields(accept: string): HeaderList {
    const headers = HeaderList.from(this.#headers);
    for (const field of [...NOT_SENT, "content-type"]) headers.delete(field);
    headers.set("accept", accept);
    return headers;
  }
}

/** The same answer, read to its end so that its connection is free again. Never rejects. */
async function whole(answer: Answer): Promise<Answer> {
  const bytes = await collect(answer, MAX_REFUSAL).catch(() => new Uint8Array());
  return { ...answer, body: new BytesBody(bytes) };
}
