/**
 * One request of a legacy client, as a modern server serves it (MCP 2026-07-28, Multi Round-Trip Requests):
 *
 *   send ─▶ progress, logs ─▶ result ──────────────────────────────────────▶ response
 *     ▲                     ├▶ input_required ─▶ questions to the client ─▶ again, with the answers
 *     │                     ├▶ input_required without questions ─▶ later, again
 *     └─────────────────────┴▶ -32020: the tools are listed anew, once ─▶ again
 *
 * A client that leaves does not end it (MCP 2025-11-25, Transports); `notifications/cancelled` does.
 */
import {
  type Answer,
  type CallEnd,
  type Deadline,
  type Exchange,
  JsonObject,
  type JsonText,
  type Next,
  PendingAnswer,
  ProxyError,
  type UpstreamRequest,
  discard,
} from "../../../core/index.ts";
import type { ServerMessage } from "../messages.ts";
import { type Tool, paramFields } from "../params.ts";
import { learnVersions } from "./discover.ts";
import { modernHeaders, modernParams, requestText } from "./envelope.ts";
import { type Ending, errorEnding, failureEnding, legacyError } from "./errors.ts";
import { Leg, type LegOwner } from "./leg.ts";
import type { LegacySession } from "./legacy-session.ts";
import { Round } from "./questions.ts";
import { legacyResult } from "./results.ts";
import { credentialOf, listTools } from "./tools.ts";

/** The methods whose results may ask for input. */
const ASKING: ReadonlySet<string> = new Set(["tools/call", "prompts/get", "resources/read"]);
/** Before the first retry that the server asked for without a question, in milliseconds; doubles with each round. */
const LATER = 250;

/** A request as its client posted it. */
export interface Posted {
  exchange: Exchange;
  request: UpstreamRequest;
  next: Next;
  message: JsonObject;
  method: string;
  /** The client's id, as it wrote it. */
  idText: string;
}

export class LegacyCall implements LegOwner {
  readonly answer: Promise<Answer>;
  readonly #session: LegacySession;
  readonly #posted: Posted;
  /** With an envelope; those of retries are made from it. */
  readonly #params: JsonObject;
  readonly #key: string;
  readonly #pending: PendingAnswer;
  #resolve!: (answer: Answer) => void;
  #leg: Leg | undefined;
  #round: Round | undefined;
  /** For an answer to questions, a retry, or a server whose client has left. */
  #wait: Deadline | undefined;
  #rounds = 0;
  #tool: Tool | undefined;
  #relisted = false;
  #progress = Number.NEGATIVE_INFINITY;
  /** The head of the answer is out, as that of an event stream. */
  #streams = false;
  /** What waits for the client is as much as may be. */
  #full = false;
  #over = false;

  /** @throws ProxyError where the message cannot have an envelope */
  constructor(session: LegacySession, posted: Posted) {
    this.#session = session;
    this.#posted = posted;
    const { exchange, request, message } = posted;
    this.#params = modernParams(message, session.envelope);
    this.#key = credentialOf(exchange, request);
    const { app, mount } = session.host;
    this.#pending = new PendingAnswer({
      server: mount.server,
      deadlines: app.deadlines,
      // Silence is measured where the server is heard; here questions take as long as people do.
      timeouts: { headers: 0, stream: 0, total: request.timeouts?.total ?? 0 },
      streams: request.headers.get("accept")?.includes("text/event-stream") ?? false,
      head: (response) => {
        if (!response) this.#streams = true;
        return {};
      },
      onEnd: (how) => this.#ended(how),
      onLeft: () => this.#left(),
      onFull: () => this.#flow(false),
      onRoom: () => this.#flow(true),
    });
    this.answer = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#pending.answer.then(resolve, reject);
    });
  }

  start(): void {
    const { exchange, request, idText } = this.#posted;
    this.#session.begin(idText, this);
    exchange.whenLeft(request, () => this.#pending.leave());
    void this.#send(idText, this.#params);
  }

  /** The client does not want it any more, or is gone for good. */
  cancel(): void {
    this.#pending.cancel();
  }

  async #send(idText: JsonText, params: JsonObject): Promise<void> {
    if (this.#over) return;
    const { method, next, request } = this.#posted;
    const { app } = this.#session.host;
    const leg = (this.#leg = new Leg(this, app.deadlines));
    if (this.#full) leg.pause();
    const mirrored = method === "tools/call" ? await this.#mirrored() : [];
    if (this.#over) return;
    const headers = modernHeaders(request.headers, method, params, mirrored);
    const { timeouts } = request;
    await leg.send(next, { method: "POST", headers, body: requestText(idText, method, params), timeouts });
  }

  /** What the tool's schema wants to see in header fields: the tools are listed where that is not known. */
  async #mirrored(): Promise<[string, string][]> {
    const { tools } = this.#session.services;
    const name = this.#params.value("name");
    if (typeof name !== "string") return [];
    this.#tool = await tools.find(this.#key, name, () => listTools(this.#session, this.#posted));
    // Over stdio there are none to be seen.
    const isHttp = this.#session.host.mount.transport === "http";
    return this.#tool && isHttp ? paramFields(this.#tool.params, this.#params.object("arguments")) : [];
  }

  notified({ method, text, message }: ServerMessage): void {
    if (method === "notifications/progress") {
      const progress = message.params?.progress;
      // MCP 2025-11-25, Progress: it increases, and each round begins anew.
      if (typeof progress !== "number" || progress <= this.#progress) return;
      this.#progress = progress;
    }
    if (method !== "notifications/cancelled") this.#tell(text);
  }

  responded(response: JsonObject, isError: boolean, status: number): void {
    if (isError) return this.#erred(response.object("error") ?? JsonObject.empty(), status);
    const result = response.object("result");
    const type = result?.has("resultType") ? result.value("resultType") : "complete";
    const { method } = this.#posted;
    if (result && type === "complete") return this.#succeeded(result);
    if (result && type === "input_required" && ASKING.has(method)) return this.#ask(result);
    this.#finish(errorEnding(-32603, `${this.#server} answered ${method} with a result that is not valid.`));
  }

  refused(answer: Answer): void {
    if (!this.#isFirst || this.#pending.deaf) {
      discard(answer);
      const { server } = this.#session.host.mount;
      return this.failed(new ProxyError("UPSTREAM_INVALID", { server, detail: `HTTP ${answer.status}` }));
    }
    this.#resolve(answer);
    // It is read on by whoever asked.
    this.#leg = undefined;
    this.#pending.cancel();
  }

  failed(error: ProxyError): void {
    const { server } = this.#session.host.mount;
    const named = new ProxyError(error.code, { ...error.details, server });
    // Hooks around may send a request again that failed, and what began with the client's answers must not begin anew.
    if (this.#isFirst && !this.#pending.deaf) return this.#pending.fail(named);
    this.#log(() => `${this.#posted.method} failed: ${named.toLog()}`);
    this.#finish(failureEnding(named));
  }

  #erred(error: JsonObject, status: number): void {
    const { method } = this.#posted;
    // MCP 2026-07-28, Transports: it was refused before it ran, and with the tools as they are now it may be taken.
    if (error.value("code") === -32020 && method === "tools/call" && !this.#relisted) {
      this.#relisted = true;
      return void this.#relist();
    }
    const { host } = this.#session;
    const { server } = host.mount;
    const { exchange, request } = this.#posted;
    if (error.value("code") === -32022) void learnVersions(host, exchange, request, error.value("data"));
    this.#finish(legacyError(error, { status, method, server, complain: (why) => this.#warn(why) }));
  }

  async #relist(): Promise<void> {
    const { tools } = this.#session.services;
    await tools.refresh(this.#key, () => listTools(this.#session, this.#posted));
    await this.#send(this.#posted.idText, this.#params);
  }

  #succeeded(result: JsonObject): void {
    const { method } = this.#posted;
    const { services, host } = this.#session;
    const value = legacyResult(result, {
      method,
      tools: services.tools,
      key: this.#key,
      tool: this.#tool,
      drops: host.mount.transport === "http",
      complain: (why) => this.#warn(why),
    });
    this.#finish({ member: "result", value });
  }

  #ask(result: JsonObject): void {
    const { app, settings } = this.#session.host;
    const { method } = this.#posted;
    const state = result.text("requestState");
    const requests = result.object("inputRequests");
    // What was asked of nobody has no answer.
    if (this.#pending.deaf) return this.cancel();
    if (++this.#rounds > settings.maxRounds)
      return this.#finish(
        errorEnding(-32603, `${this.#server} asked for input more than ${settings.maxRounds} times.`),
      );
    if (!requests || requests.keys.length === 0) {
      const wait = LATER * 2 ** (this.#rounds - 1);
      this.#leg = undefined;
      this.#wait = app.deadlines.after(wait, () => this.#again(state, undefined));
      return;
    }
    this.#leg = undefined;
    this.#round = new Round({
      session: this.#session,
      method,
      tell: (text) => this.#tell(text),
      answered: (responses) => this.#again(state, responses),
      gaveUp: (ending) => this.#finish(ending),
      streams: this.#pending.listens,
    });
    this.#wait = app.deadlines.after(settings.questionTimeout, () =>
      this.#finish(errorEnding(-32603, `The client did not answer within ${settings.questionTimeout} ms.`)),
    );
    this.#round.ask(requests);
  }

  /** MCP 2026-07-28, Multi Round-Trip Requests: the same request under a new id, with this round's answers. */
  #again(state: JsonText | undefined, responses: JsonObject | undefined): void {
    this.#wait?.cancel();
    this.#round = undefined;
    const params = JsonObject.read(this.#params.toBytes())!;
    if (responses) params.set("inputResponses", responses);
    if (state !== undefined) params.set("requestState", state);
    void this.#send(JSON.stringify(crypto.randomUUID()), params);
  }

  #finish({ member, value }: Ending): void {
    this.#round?.withdraw(true);
    this.#round = undefined;
    const text = JsonObject.empty().set("jsonrpc", '"2.0"').set("id", this.#posted.idText).set(member, value);
    this.#pending.respond([text.toBytes()]);
  }

  #tell(text: Buffer): void {
    this.#pending.push([text]);
  }

  #flow(goesOn: boolean): void {
    this.#full = !goesOn;
    if (goesOn) this.#leg?.resume();
    else this.#leg?.pause();
  }

  #left(): void {
    const { app, settings } = this.#session.host;
    // Nothing runs at the server that could still come to an end.
    if (this.#leg === undefined) return this.cancel();
    this.#wait = app.deadlines.after(settings.holdTimeout, () => this.cancel());
  }

  #ended(how: CallEnd): void {
    this.#over = true;
    this.#wait?.cancel();
    this.#round?.withdraw(false);
    this.#session.over(this.#posted.idText, this);
    if (how !== "answered") this.#leg?.abort();
  }

  /** Nothing of the answer is out, and the server was asked once only. */
  get #isFirst(): boolean {
    return !this.#streams && this.#rounds === 0;
  }

  get #server(): string {
    return `Server '${this.#session.host.mount.server}'`;
  }

  #log(text: () => string): void {
    const { app, mount } = this.#session.host;
    app.log.debug(() => `${mount.server}: ${text()}`);
  }

  #warn(why: string): void {
    const { app, mount } = this.#session.host;
    app.log.warn(() => `${mount.server}: ${why}`);
  }
}
