/** The client's end of a call: one request that waits for its answer, and what it wants to hear until then. */
import {
  type Answer,
  type Deadline,
  JsonObject,
  META,
  PendingAnswer,
  ProxyError,
  isRecord,
} from "../../../core/index.ts";
import type { BridgeHost } from "../host.ts";
import type { ServerMessage } from "../messages.ts";
import type { ModernRequest } from "./modern-clients.ts";
import { LEVELS } from "./requests.ts";

/** Told about the client. */
export interface ClientWatch {
  /** MCP 2026-07-28, Transports: that it leaves is how it cancels. */
  left(): void;
  timedOut(error: ProxyError): void;
  /** It does not read as fast as the server writes. */
  full(): void;
  room(): void;
}

/** The head of an answer, where it is not out yet. */
export interface Head {
  status: number;
  headers?: Record<string, string>;
}

const NO_LIMITS = { headers: 0, stream: 0, total: 0 };

export class ClientSide {
  readonly idText: string;
  readonly answer: Promise<Answer>;
  /** A question of before was not answered as the server would want it. */
  readonly declined: boolean;
  /** Log messages that it wants: an index of {@link LEVELS}, that is, none where it has not said. */
  readonly #level: number;
  readonly #token: Buffer | undefined;
  readonly #pending: PendingAnswer;
  readonly #limit: Deadline | undefined;
  #watch: ClientWatch | undefined;
  #isStream = false;
  #head: Head = { status: 200 };
  #gone = false;

  constructor({ app, mount }: BridgeHost, { exchange, request, message, object, idText }: ModernRequest) {
    const meta = object.object("params")?.object("_meta");
    const level = meta?.value(`${META}logLevel`);
    this.idText = idText;
    this.#token = meta?.text("progressToken");
    this.#level = typeof level === "string" ? LEVELS.indexOf(level) : LEVELS.length;
    const answers: unknown = message.params?.inputResponses;
    this.declined =
      isRecord(answers) && Object.values(answers).some((given) => isRecord(given) && given.action !== "accept");
    const { server } = mount;
    this.#pending = new PendingAnswer({
      server,
      deadlines: app.deadlines,
      timeouts: NO_LIMITS,
      streams: /text\/(?:event-stream|\*)|\*\/\*/i.test(request.headers.get("accept") ?? "*/*"),
      head: (response) => {
        this.#isStream = response === undefined;
        return this.#isStream ? {} : this.#head;
      },
      onEnd: () => this.#limit?.cancel(),
      onLeft: () => {
        this.#gone = true;
        this.#watch?.left();
      },
      onFull: () => this.#watch?.full(),
      onRoom: () => this.#watch?.room(),
    });
    this.answer = this.#pending.answer;
    // Whoever leaves before somebody looks at it leaves no loose end.
    this.answer.catch(() => {});
    const total = request.timeouts?.total ?? 0;
    const detail = `not at its end after ${total} ms`;
    if (total > 0)
      this.#limit = app.deadlines.after(total, () =>
        this.#watch?.timedOut(new ProxyError("UPSTREAM_TIMEOUT", { server, detail })),
      );
    exchange.whenLeft(request, () => this.#pending.leave());
  }

  /** From now on it belongs to a call. */
  attach(watch: ClientWatch): void {
    this.#watch = watch;
    if (this.#gone) watch.left();
  }

  /** Progress of its call, under the name that it gave it. */
  progress({ text }: ServerMessage): void {
    const object = JsonObject.read(text);
    const params = object?.object("params");
    if (this.#token && object && params)
      this.#pending.push([object.set("params", params.set("progressToken", this.#token)).toBytes()]);
  }

  /** MCP 2026-07-28, Logging: only what this request asked for. */
  log(message: ServerMessage): void {
    const level = JsonObject.read(message.text)?.object("params")?.value("level");
    if (LEVELS.indexOf(String(level)) >= this.#level) this.#pending.push([message.text]);
  }

  respond(response: Buffer, head: Head = { status: 200 }): void {
    this.#watch = undefined;
    this.#head = head;
    this.#pending.respond([response]);
  }

  fail(error: ProxyError): void {
    this.#watch = undefined;
    if (!this.#isStream) return this.#pending.fail(error);
    // A stream that ends without a response leaves its client waiting.
    const { rpcCode: code, message } = error;
    const body = { code, message, data: { code: error.code } };
    this.#pending.respond([Buffer.from(`{"jsonrpc":"2.0","id":${this.idText},"error":${JSON.stringify(body)}}`)]);
  }
}
