/** A server of 2025-11-25: what it does with messages, whatever transport they come over. */
import { randomUUID } from "node:crypto";
import type { Gates, Ledger, Run } from "../ledger.ts";
import { type Level, type List, LISTS, type Question, type Script, type ScriptedMethod } from "../plan.ts";
import {
  CAPABILITIES,
  SERVER_INFO,
  VERSION,
  type Wire,
  argumentsText,
  errorText,
  listText,
  outcome,
  question,
  reaches,
  resultText,
  scriptOf,
  text,
} from "./messages.ts";

/** Where the answer to one request goes, and what belongs to it. */
export interface Outlet {
  send(message: string): void;
  respond(message: string): void;
  /** There will be no response. */
  end(): void;
}

export interface LegacySession {
  readonly id: string;
  /** What belongs to no request. @returns false when nobody listens */
  say: (message: string) => boolean;
  ready: boolean;
  over: boolean;
  level: Level;
  capabilities: Record<string, unknown>;
  readonly subscriptions: Set<string>;
  readonly calls: Map<string, { abort: AbortController; run: Run }>;
  readonly asked: Map<number, (answer: Wire) => void>;
}

export class LegacyBrain {
  readonly sessions = new Map<string, LegacySession>();
  readonly #ledger: Ledger;
  readonly #gates: Gates;
  #asked = 0;

  constructor(ledger: Ledger, gates: Gates) {
    this.#ledger = ledger;
    this.#gates = gates;
  }

  open(say: LegacySession["say"] = () => false): LegacySession {
    const session: LegacySession = {
      id: randomUUID(),
      say,
      ready: false,
      over: false,
      level: "debug",
      capabilities: {},
      subscriptions: new Set(),
      calls: new Map(),
      asked: new Map(),
    };
    this.sessions.set(session.id, session);
    return session;
  }

  /** @param lost the server goes down, and the client did not end it */
  end(session: LegacySession, lost = false): void {
    if (session.over) return;
    session.over = true;
    this.sessions.delete(session.id);
    for (const { abort, run } of session.calls.values()) {
      run.lost ||= lost;
      abort.abort();
    }
    this.#ledger.note(`server: a session ${lost ? "is lost" : "ends"}`);
  }

  changed(what: string): void {
    for (const { say, ready } of this.sessions.values())
      if (ready) say(text({ method: `notifications/${what}/list_changed` }));
  }

  updated(uri: string): void {
    for (const { say, subscriptions } of this.sessions.values())
      if (subscriptions.has(uri)) say(text({ method: "notifications/resources/updated", params: { uri } }));
  }

  receive(session: LegacySession, raw: string, outlet: Outlet): void {
    const message = JSON.parse(raw) as Wire;
    const { id, method, params = {} } = message;
    if (JSON.stringify(params).includes("io.modelcontextprotocol/protocolVersion") && method !== "server/discover")
      this.#ledger.violation(`a legacy server got an envelope: ${raw.slice(0, 200)}`);
    if (method === undefined) return this.#answered(session, message);
    if (id === undefined) return this.#notified(session, method, params);
    const ok = (result: string) => outlet.respond(resultText(id, result));
    if (method === "initialize") {
      session.capabilities = params.capabilities as Record<string, unknown>;
      return ok(JSON.stringify({ protocolVersion: VERSION, capabilities: CAPABILITIES, serverInfo: SERVER_INFO }));
    }
    if (method === "ping") return ok("{}");
    if (method === "server/discover") return outlet.respond(errorText(id, -32601, "Method not found"));
    if (!session.ready) this.#ledger.violation(`${method} before the handshake was over`);
    if (LISTS.includes(method as List)) return ok(`{${listText(method as List)}}`);
    if (method === "resources/templates/list") return ok(`{${listText(method)}}`);
    if (method === "logging/setLevel") {
      session.level = params.level as Level;
      return ok("{}");
    }
    if (method === "resources/subscribe" || method === "resources/unsubscribe") {
      if (method === "resources/subscribe") session.subscriptions.add(String(params.uri));
      else session.subscriptions.delete(String(params.uri));
      this.#ledger.note(`server: ${method} ${String(params.uri)}`);
      return ok("{}");
    }
    if (method === "tools/call" || method === "prompts/get" || method === "resources/read")
      return void this.#run(session, method, raw, message, outlet);
    outlet.respond(errorText(id, -32601, "Method not found"));
  }

  #answered(session: LegacySession, message: Wire): void {
    const take = session.asked.get(message.id as number);
    session.asked.delete(message.id as number);
    if (take) take(message);
    else this.#ledger.violation(`an answer to nothing that was asked: ${JSON.stringify(message)}`);
  }

  #notified(session: LegacySession, method: string, params: Record<string, unknown>): void {
    if (method === "notifications/initialized") session.ready = true;
    if (method !== "notifications/cancelled") return;
    const call = session.calls.get(JSON.stringify(params.requestId));
    if (!call) return this.#ledger.note(`server: told to cancel what does not run`);
    call.run.cancelled++;
    this.#ledger.note(`server: ${call.run.nonce} is cancelled`);
    call.abort.abort();
  }

  async #run(
    session: LegacySession,
    method: ScriptedMethod,
    raw: string,
    message: Wire,
    outlet: Outlet,
  ): Promise<void> {
    const { id, params = {} } = message;
    if (params.name === "nowhere") return outlet.respond(errorText(id, -32602, "Unknown tool: nowhere"));
    const script = scriptOf(method, params)!;
    const abort = new AbortController();
    const { signal } = abort;
    const run = this.#ledger.begin(script.nonce, 0, argumentsText(raw), session.id);
    const key = JSON.stringify(id);
    session.calls.set(key, { abort, run });
    const token = params._meta?.progressToken;
    for (const step of script.steps) {
      if (signal.aborted) break;
      if (step.do === "progress" && token !== undefined) {
        const { value: progress } = step;
        outlet.send(text({ method: "notifications/progress", params: { progressToken: token, progress } }));
      } else if (step.do === "log" && reaches(step.level, session.level))
        outlet.send(
          text({ method: "notifications/message", params: { level: step.level, data: `log of ${script.nonce}` } }),
        );
      else if (step.do === "ask")
        await Promise.all(step.questions.map((one) => this.#ask(session, outlet, script, one, run, signal)));
      else if (step.do === "gate") {
        run.atGate = true;
        this.#ledger.note(`server: ${script.nonce} is at its gate`);
        await this.#gates.pass(script.nonce, signal);
      }
    }
    session.calls.delete(key);
    run.ended = true;
    run.atGate = false;
    this.#ledger.note(`server: ${script.nonce} ended${signal.aborted ? ", aborted" : ""}`);
    // MCP 2025-11-25, Cancellation: no response to what was cancelled.
    if (signal.aborted) return outlet.end();
    if (script.end === "error") outlet.respond(errorText(id, 1234, "as told", { nonce: script.nonce }));
    else outlet.respond(resultText(id, `{${outcome(method, script, params.uri)}}`));
  }

  async #ask(
    session: LegacySession,
    outlet: Outlet,
    script: Script,
    one: Question,
    run: Run,
    signal: AbortSignal,
  ): Promise<void> {
    const id = ++this.#asked;
    run.asking++;
    const answer = await new Promise<Wire | undefined>((resolve) => {
      session.asked.set(id, resolve);
      signal.addEventListener("abort", () => resolve(undefined), { once: true });
      outlet.send(text({ id, ...question(script, one, true) }));
      this.#ledger.note(`server: ${script.nonce} asks ${one.key}`);
    });
    run.asking--;
    if (answer) this.#ledger.answered(run, one, answer.error ? { error: answer.error.code } : answer.result);
    // Whoever answers in the very moment is no mistake.
    else session.asked.set(id, () => {});
  }
}
