/**
 * One call of a modern client at a legacy server, from the request to the response:
 *
 *   running ─ question ▶ asking: `input_required` goes out, the request stays open at the server ─ retry ▶ running …
 *   running ─ response ▶ over · the client leaves, or its time is over ▶ `notifications/cancelled`, over
 *   asking ─ response ▶ kept for the retry · nobody comes back ▶ the questions are answered with nothing, cancelled, over
 */
import { JsonObject, type Logger, type Message, ProxyError } from "../../../core/index.ts";
import type { BridgeHost } from "../host.ts";
import type { ServerMessage } from "../messages.ts";
import { MAY_ASK, inputRequest, isQuestion, noAnswer, responseTo, whyNot } from "./asking.ts";
import type { Caller } from "./caller.ts";
import type { ClientSide, Head } from "./client-side.ts";
import { KeptMessages } from "./kept-messages.ts";
import type { LeaseCall, ServerLease } from "./lease.ts";
import type { Sent } from "./lease-wire.ts";
import { type ParkedCall, type ParkedCalls, bindingOf } from "./parked-calls.ts";
import { inputRequired } from "./results.ts";
import { hasFailed, refusalOf, responseOf, undeclared } from "./responses.ts";
import { UpstreamLeg } from "./upstream-leg.ts";

/** What all calls of one server have in common. */
export interface CallContext extends BridgeHost {
  readonly log: Logger;
  readonly parked: ParkedCalls<BridgedCall>;
}

/** How a call ended at the server. */
type Ending = { response: ServerMessage } | { refusal: [Buffer, Head] } | { error: ProxyError };

/** From the first question to the result that asks it, in milliseconds. */
const GATHER = 10;
/** Of a server that asks again and again. */
const MAX_UNDECLARED = 16;
/** The server stopped in the middle: it may still be at work. */
const TIMED_OUT: ReadonlySet<string> = new Set(["UPSTREAM_TIMEOUT", "UPSTREAM_SILENT"]);

export class BridgedCall implements LeaseCall, ParkedCall {
  readonly id: number;
  readonly method: string;
  readonly uri: unknown;
  readonly isAskable: boolean;
  readonly lease: ServerLease;
  readonly #context: CallContext;
  readonly #posted: Message;
  readonly #leg: UpstreamLeg;
  /** What the server said while the client was away. */
  readonly #kept: KeptMessages;
  /** Questions without an answer, by their key in `inputRequests`. */
  readonly #questions = new Map<string, ServerMessage>();
  /** Questions that were refused, because the client did not declare what they need. */
  readonly #undeclared: Message[] = [];
  #client: ClientSide | undefined;
  #asked = 0;
  #rounds = 0;
  #isAboutToAsk = false;
  #ending: Ending | undefined;
  #isReleased = false;
  #isSent = false;

  constructor(context: CallContext, lease: ServerLease, message: Message) {
    const { method, params } = message;
    this.#context = context;
    this.#posted = message;
    this.lease = lease;
    this.method = method!;
    this.uri = method === "resources/read" ? params?.uri : undefined;
    this.id = lease.nextId();
    this.isAskable = MAY_ASK.has(this.method);
    this.#kept = new KeptMessages(context.parked);
    this.#leg = new UpstreamLeg(lease, {
      message: (message) => this.take(message),
      refused: (answer, message) => this.#end({ refusal: refusalOf(answer, message, this) }),
      failed: (error, isHeard) => {
        if (isHeard || TIMED_OUT.has(error.code)) this.#tellCancelled();
        this.#end({ error });
      },
    });
    lease.calls.set(this.id, this);
  }

  get caller(): Caller {
    return this.lease.caller;
  }
  /** Made for those that are parked: most never are. */
  get binding(): readonly string[] {
    return bindingOf(this.caller, this.server, this.#posted);
  }
  get serverInfo(): unknown {
    return this.lease.result.serverInfo;
  }
  get server(): string {
    return this.#context.mount.server;
  }

  /** @param sent the request as the server takes it */
  start(sent: Omit<Sent, "id" | "method">, client: ClientSide): void {
    this.#attach(client);
    if (this.#ending) return;
    this.#isSent = true;
    void this.#leg.send({ ...sent, id: this.id, method: this.method });
  }

  /** The client is back. @param answers its `inputResponses`, if there are any */
  async retry(client: ClientSide, answers: JsonObject | undefined): Promise<void> {
    this.#attach(client);
    for (const message of this.#kept.takeAll()) this.#tell(message);
    this.#leg.resume();
    if (this.#ending) return this.#deliver();
    for (const [key, question] of this.#questions) {
      const answer = answers?.text(key);
      if (!answer) continue;
      this.#questions.delete(key);
      if (question.method === "roots/list") this.lease.roots = answer;
      try {
        await this.lease.post(responseTo(question.idText!, { result: answer.toString() }), "response");
      } catch (cause) {
        // The call has run up to here: nobody may take this for one that never began.
        const detail = "an answer of the client did not arrive";
        return this.#giveUp(new ProxyError("UPSTREAM_BROKE", { server: this.server, detail, cause }));
      }
      if (this.#ending) return;
    }
    if (this.#questions.size > 0) this.#askSoon();
  }

  take(message: ServerMessage): void {
    if (this.#ending) return;
    if (message.kind === "request") return this.#question(message);
    if (message.kind === "response") {
      const { idText, isError } = message;
      // What a server cannot read has no id.
      const isOwn = idText === String(this.id) || (isError && (idText ?? "null") === "null");
      return isOwn ? this.#end({ response: message }) : undefined;
    }
    const { method } = message;
    if (method === "notifications/cancelled") return this.lease.tellWithdrawn(message);
    if (method !== "notifications/progress" && method !== "notifications/message") return this.lease.tell(message);
    if (method === "notifications/progress" && !this.#isOwnProgress(message)) return;
    if (this.#client) return this.#tell(message);
    // It waits at the server until the client is back.
    if (!this.#kept.add(message)) this.#leg.pause();
  }

  withdrawn(questionId: string): void {
    for (const [key, { idText }] of this.#questions) if (idText === questionId) this.#questions.delete(key);
  }

  expire(): void {
    this.#giveUp(new ProxyError("CLIENT_GONE", { server: this.server }));
  }

  #attach(client: ClientSide): void {
    this.#client = client;
    client.attach({
      left: () => this.#giveUp(new ProxyError("CLIENT_GONE", { server: this.server })),
      timedOut: (error) => this.#giveUp(error),
      full: () => this.#leg.pause(),
      room: () => this.#leg.resume(),
    });
  }

  #isOwnProgress({ text }: ServerMessage): boolean {
    return JsonObject.read(text)?.object("params")?.text("progressToken")?.toString() === String(this.id);
  }

  #tell(message: ServerMessage): void {
    if (message.method === "notifications/progress") this.#client?.progress(message);
    else this.#client?.log(message);
  }

  #question(message: ServerMessage): void {
    const { lease } = this;
    const { log, parked } = this.#context;
    const { idText, method } = message;
    if (method === "ping") return lease.answer(responseTo(idText!, { result: "{}" }));
    const no = whyNot(lease.caller.capabilities, message.message, this.server);
    if (no) {
      if (isQuestion(method) && this.#undeclared.length < MAX_UNDECLARED) this.#undeclared.push(message.message);
      log.warn(() => `${this.server}: it asked for ${method}, which its client did not declare; answered -32601`);
      return lease.answer(responseTo(idText!, { error: no }));
    }
    const why = !this.isAskable
      ? `a client cannot be asked during ${this.method}`
      : parked.hasRoom(lease.caller)
        ? undefined
        : "too many calls of this client wait for answers";
    if (why !== undefined) {
      log.warn(() => `${this.server}: ${method} was refused: ${why}`);
      return lease.answer(responseTo(idText!, { error: { code: -32603, message: `Penstock: ${why}.` } }));
    }
    this.#questions.set(`q${++this.#asked}`, message);
    this.#askSoon();
  }

  /** What comes together is asked together: a process writes its questions one by one, and each round costs its user a call. */
  #askSoon(): void {
    if (this.#isAboutToAsk) return;
    this.#isAboutToAsk = true;
    this.#context.app.deadlines.after(GATHER, () => {
      this.#isAboutToAsk = false;
      this.#ask();
    });
  }

  #ask(): void {
    const client = this.#client;
    if (this.#ending || !client || this.#questions.size === 0) return;
    if (this.#rounds++ >= this.#context.settings.maxRounds) {
      const why = `Penstock: the client was asked ${this.#rounds - 1} times for one call.`;
      for (const question of this.#questions.values()) this.lease.answer(noAnswer(question, why));
      return this.#questions.clear();
    }
    this.#client = undefined;
    const questions = JsonObject.empty();
    for (const [key, question] of this.#questions) questions.set(key, inputRequest(question));
    const state = this.#context.parked.park(this);
    client.respond(inputRequired(client.idText, questions, state, this.serverInfo));
  }

  /** It is over at the server. */
  #end(ending: Ending): void {
    if (this.#ending) return;
    this.#ending = ending;
    this.#release();
    this.#leg.done();
    if (this.#client) return this.#deliver();
    if ("response" in ending && !this.#kept.keep(ending.response.text.length))
      this.#ending = { error: new ProxyError("UPSTREAM_TOO_LARGE", { server: this.server, detail: "kept answers" }) };
  }

  #deliver(): void {
    const client = this.#client!;
    const ending = this.#ending!;
    this.#client = undefined;
    this.#kept.clear();
    if ("error" in ending) return client.fail(ending.error);
    const [response, head] = "refusal" in ending ? ending.refusal : this.#told(ending.response, client.declined);
    client.respond(JsonObject.read(response)!.set("id", client.idText).toBytes(), head);
  }

  /** MCP 2026-07-28, Lifecycle: a server that cannot go on without a capability says which. Others went on, without. */
  #told(response: ServerMessage, declined: boolean): [Buffer, Head] {
    const failed = this.#undeclared.length > 0 && hasFailed(response);
    return failed ? undeclared(this.#undeclared, this) : responseOf(response, this, declined);
  }

  /** Nobody wants the answer any more: not the client, and soon not the server. */
  #giveUp(error: ProxyError): void {
    if (this.#ending) return void this.#kept.clear();
    const questions = [...this.#questions.values()];
    this.#tellCancelled(questions.map((question) => noAnswer(question, "Penstock: there will be no answer.")));
    this.#ending = { error };
    this.#release();
    this.#leg.end();
    this.#kept.clear();
    this.#client?.fail(error);
  }

  /** MCP 2025-11-25, Cancellation: that nobody reads its answer tells a legacy server nothing. */
  #tellCancelled(before: readonly Buffer[] = []): void {
    if (!this.#isSent) return;
    const params = { requestId: this.id, reason: "Nobody waits for the answer any more." };
    void (async () => {
      try {
        for (const answer of before) await this.lease.post(answer, "response");
        // To a session that is lost there is nothing to say: like an answer, it opens no other one.
        await this.lease.post({ jsonrpc: "2.0", method: "notifications/cancelled", params }, "response");
      } catch (cause) {
        this.#context.log.debug(() => `${this.server}: it could not be told that a call is over (${String(cause)})`);
      }
    })();
  }

  #release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.lease.calls.delete(this.id);
    if (this.isAskable) this.lease.left();
    else this.lease.usedAt = this.lease.sessions.clock;
  }
}
