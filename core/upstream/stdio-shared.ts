/** One process for all legacy sessions, where the configuration says that the server keeps nothing of a client. */
import { collect, jsonText } from "../body/body.ts";
import { findMembers, replaceSpans } from "../body/members.ts";
import { ProxyError } from "../errors.ts";
import { HeaderList } from "../headers.ts";
import type { Logger } from "../log.ts";
import type { Answer } from "../types.ts";
import type { ChannelRequest } from "./channel-session.ts";
import { type StartWorker, type StdioSession, type Worker, isError } from "./stdio-worker.ts";

/** Sessions cost little, but not nothing. */
const MAX_SESSIONS = 10_000;
const NOBODY = () => {};

interface Running {
  worker: Worker;
  /** The answer to the one handshake. */
  response: Buffer;
}

/**
 * The first client's `initialize` is the process's own; all others are answered with its result. The process may end and be started
 * again, with the same handshake, under sessions that go on.
 */
export class SharedProcess {
  readonly #server: string;
  readonly #log: Logger;
  readonly #start: StartWorker;
  readonly #stop: (worker: Worker) => void;
  #handshake: Buffer | undefined;
  #running: Promise<Running> | undefined;

  /** @param stop ends a process that nobody needs */
  constructor(server: string, log: Logger, start: StartWorker, stop: (worker: Worker) => void) {
    this.#server = server;
    this.#log = log;
    this.#start = start;
    this.#stop = stop;
  }

  /** @param id of the new session @returns no session where the server refused @throws ProxyError */
  async initialize(
    id: string,
    { body }: ChannelRequest,
    idText = "null",
  ): Promise<{ answer: Answer; session: StdioSession | undefined }> {
    const handshake = body instanceof Uint8Array ? Buffer.from(body) : Buffer.from(JSON.stringify(body));
    this.#handshake ??= handshake;
    if (differ(handshake, this.#handshake))
      this.#log.debug(
        () => `${this.#server}: a client declares other capabilities than the first; it shares its session`,
      );
    const { worker, response } = await this.#get();
    if (worker.channel.sessions >= MAX_SESSIONS)
      throw new ProxyError("SESSIONS_EXHAUSTED", { server: this.#server, headers: { "retry-after": "10" } });
    const span = findMembers(response, { id: true })!.get("id")!;
    const text = Buffer.concat(replaceSpans(response, [[span, idText]])).toString();
    if (isError(response)) return { answer: jsonText(text), session: undefined };
    return {
      answer: jsonText(text, 200, { "mcp-session-id": id }),
      session: { id, worker, view: worker.channel.open() },
    };
  }

  /** Puts a session onto the process that runs now. @throws ProxyError */
  async serve(session: StdioSession): Promise<void> {
    const { worker } = await this.#get();
    if (session.worker === worker) return;
    session.worker = worker;
    session.view = worker.channel.open();
  }

  async #get(): Promise<Running> {
    this.#running ??= this.#open();
    const running = this.#running;
    return running.catch((cause: unknown) => {
      if (this.#running === running) this.#running = undefined;
      throw cause;
    });
  }

  async #open(): Promise<Running> {
    const over = () => void (this.#running = undefined);
    const worker = await this.#start("shared", over);
    const view = worker.channel.open();
    const headers = HeaderList.from({ accept: "application/json" });
    const post = (body: Uint8Array) => view.post({ method: "POST", headers, body }, NOBODY);
    try {
      const response = Buffer.from(await collect(await post(this.#handshake!)));
      if (isError(response)) {
        // Another client may ask for something that it takes.
        this.#handshake = undefined;
        over();
        this.#stop(worker);
      } else await post(Buffer.from('{"jsonrpc":"2.0","method":"notifications/initialized"}'));
      return { worker, response };
    } catch (cause) {
      this.#stop(worker);
      throw cause;
    } finally {
      view.close();
    }
  }
}

function differ(one: Buffer, other: Buffer): boolean {
  const capabilities = (text: Buffer) => {
    const span = findMembers(text, { params: { capabilities: true } })?.get("params.capabilities");
    return span && text.toString("utf8", ...span);
  };
  return one !== other && capabilities(one) !== capabilities(other);
}
