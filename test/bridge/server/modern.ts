/** A server of 2026-07-28: what it does with messages, whatever transport they come over. It keeps nothing of a client. */
import type { Gates, Ledger } from "../ledger.ts";
import { type Level, type List, LISTS, type Question, type Script, type ScriptedMethod } from "../plan.ts";
import type { Outlet } from "./legacy.ts";
import {
  CAPABILITIES,
  META,
  MODERN_VERSION,
  SERVER_INFO,
  type Wire,
  argumentsText,
  errorText,
  listText,
  needs,
  outcome,
  question,
  reaches,
  resultText,
  scriptOf,
  text,
} from "./messages.ts";

export interface ModernOutlet extends Outlet {
  respond(message: string, status?: number): void;
  /** Aborts when nobody waits any more. */
  readonly gone: AbortSignal;
}

interface Listening {
  id: unknown;
  filter: Record<string, unknown>;
  outlet: ModernOutlet;
}

interface State {
  nonce: string;
  at: number;
}

const CACHE = `,"ttlMs":0,"cacheScope":"private"`;
const OWN = `,"_meta":{"${META}serverInfo":${JSON.stringify(SERVER_INFO)}}`;

export class ModernBrain {
  readonly listening = new Set<Listening>();
  /** Requests under way. */
  readonly open = new Set<AbortController>();
  readonly #ledger: Ledger;
  readonly #gates: Gates;

  constructor(ledger: Ledger, gates: Gates) {
    this.#ledger = ledger;
    this.#gates = gates;
  }

  changed(what: string): void {
    this.#tell(`${what}ListChanged`, () => true, { method: `notifications/${what}/list_changed` });
  }

  updated(uri: string): void {
    const method = "notifications/resources/updated";
    this.#tell("resourceSubscriptions", (value) => (value as string[]).includes(uri), { method, params: { uri } });
  }

  /** How many listen for this. */
  listeners(kind: string, uri?: string): number {
    return [...this.listening].filter(({ filter }) =>
      uri === undefined ? filter[kind] === true : ((filter[kind] ?? []) as string[]).includes(uri),
    ).length;
  }

  /** The server goes down. */
  fall(): void {
    for (const abort of this.open) abort.abort("lost");
    this.listening.clear();
  }

  /** @param over `http`: mirrors were checked by the transport */
  receive(raw: string, outlet: ModernOutlet): void {
    const message = JSON.parse(raw) as Wire;
    const { id, method, params = {} } = message;
    if (method === undefined) return this.#ledger.violation(`a modern server got a response: ${raw}`);
    if (id === undefined) return;
    if (method === "initialize") {
      const data = { supported: [MODERN_VERSION], requested: String(params.protocolVersion) };
      return outlet.respond(errorText(id, -32022, "Unsupported protocol version", data), 400);
    }
    const meta = params._meta ?? {};
    const capabilities = meta[`${META}clientCapabilities`];
    if (meta[`${META}protocolVersion`] !== MODERN_VERSION || typeof capabilities !== "object") {
      this.#ledger.violation(`${method} without a good envelope: ${raw.slice(0, 300)}`);
      return outlet.respond(errorText(id, -32602, "no envelope"), 400);
    }
    const ok = (members: string, more = "") =>
      outlet.respond(resultText(id, `{"resultType":"complete",${members}${more}${OWN}}`));
    if (method === "server/discover")
      return ok(`"supportedVersions":["${MODERN_VERSION}"],"capabilities":${JSON.stringify(CAPABILITIES)}`, CACHE);
    if (LISTS.includes(method as List)) return ok(listText(method as List), CACHE);
    if (method === "resources/templates/list") return ok(listText(method), CACHE);
    if (method === "subscriptions/listen") return this.#listen(message, outlet);
    if (method === "tools/call" || method === "prompts/get" || method === "resources/read")
      return void this.#run(method, raw, message, outlet);
    this.#ledger.violation(`a modern server was asked for ${method}`);
    outlet.respond(errorText(id, -32601, "Method not found"), 404);
  }

  #listen({ id, params = {} }: Wire, outlet: ModernOutlet): void {
    const filter = params.notifications as Record<string, unknown>;
    const listening = { id, filter, outlet };
    this.listening.add(listening);
    outlet.send(
      subscribed(id, { method: "notifications/subscriptions/acknowledged", params: { notifications: filter } }),
    );
    this.#ledger.note(`server: listen ${JSON.stringify(filter)}`);
    outlet.gone.addEventListener("abort", () => {
      this.listening.delete(listening);
      this.#ledger.note("server: a listen stream ends");
    });
  }

  #tell(kind: string, matches: (value: unknown) => boolean, message: { method: string; params?: object }): void {
    for (const { id, filter, outlet } of this.listening)
      if (filter[kind] && matches(filter[kind])) outlet.send(subscribed(id, message));
  }

  async #run(method: ScriptedMethod, raw: string, message: Wire, outlet: ModernOutlet): Promise<void> {
    const { id, params = {} } = message;
    if (params.name === "nowhere") return outlet.respond(errorText(id, -32602, "Unknown tool: nowhere"));
    const script = scriptOf(method, params)!;
    const meta = params._meta!;
    const state = params.requestState === undefined ? undefined : readState(String(params.requestState));
    const from = state ? state.at + 1 : 0;
    if (state && state.nonce !== script.nonce)
      this.#ledger.violation(`the state of ${state.nonce} came with ${script.nonce}`);
    const run = this.#ledger.begin(script.nonce, from, argumentsText(raw), undefined);
    if (state) {
      const answers = (params.inputResponses ?? {}) as Record<string, unknown>;
      const step = script.steps[state.at];
      for (const one of step?.do === "ask" ? step.questions : []) {
        if (one.key in answers) this.#ledger.answered(run, one, answers[one.key]);
        else this.#ledger.violation(`${script.nonce} ${one.key} was not answered`);
      }
    }
    const abort = new AbortController();
    this.open.add(abort);
    const { signal } = abort;
    outlet.gone.addEventListener("abort", () => {
      if (done) return;
      run.cancelled++;
      this.#ledger.note(`server: ${script.nonce} is cancelled`);
      abort.abort();
    });
    run.ended = false;
    let done = false;
    const respond = (answer: string, status?: number) => {
      this.open.delete(abort);
      done = run.ended = true;
      run.atGate = false;
      run.lost ||= signal.reason === "lost";
      this.#ledger.note(`server: ${script.nonce} ended${signal.aborted ? ", aborted" : ""}`);
      if (signal.aborted) outlet.end();
      else outlet.respond(answer, status);
    };
    const token = meta.progressToken;
    for (const [at, step] of script.steps.entries()) {
      if (at < from) continue;
      if (signal.aborted) break;
      if (step.do === "progress" && token !== undefined) {
        const { value: progress } = step;
        outlet.send(text({ method: "notifications/progress", params: { progressToken: token, progress } }));
      } else if (step.do === "log" && reaches(step.level, meta[`${META}logLevel`] as Level | undefined))
        outlet.send(
          text({ method: "notifications/message", params: { level: step.level, data: `log of ${script.nonce}` } }),
        );
      else if (step.do === "ask") return respond(...this.#ask(id, script, step.questions, at, meta));
      else if (step.do === "gate") {
        run.atGate = true;
        this.#ledger.note(`server: ${script.nonce} is at its gate`);
        await this.#gates.pass(script.nonce, signal);
      }
    }
    if (script.end === "error") respond(errorText(id, 1234, "as told", { nonce: script.nonce }));
    else {
      const cache = method === "resources/read" ? CACHE : "";
      respond(resultText(id, `{"resultType":"complete",${outcome(method, script, params.uri)}${cache}${OWN}}`));
    }
  }

  #ask(id: unknown, script: Script, questions: Question[], at: number, meta: object): [string, number?] {
    const capabilities = (meta as Record<string, object>)[`${META}clientCapabilities`]!;
    const lacks = questions.map(needs).filter((name) => !(name in capabilities));
    if (lacks.length > 0) {
      const requiredCapabilities = Object.fromEntries(lacks.map((name) => [name, {}]));
      return [errorText(id, -32021, "missing capability", { requiredCapabilities }), 400];
    }
    const inputRequests = Object.fromEntries(questions.map((one) => [one.key, question(script, one, false)]));
    const requestState = Buffer.from(JSON.stringify({ nonce: script.nonce, at } satisfies State)).toString("base64");
    this.#ledger.note(`server: ${script.nonce} asks ${questions.map(({ key }) => key).join(", ")}`);
    return [resultText(id, JSON.stringify({ resultType: "input_required", inputRequests, requestState }))];
  }
}

function readState(text: string): State {
  return JSON.parse(Buffer.from(text, "base64").toString()) as State;
}

function subscribed(id: unknown, { method, params }: { method: string; params?: object }): string {
  return text({ method, params: { ...params, _meta: { [`${META}subscriptionId`]: id } } });
}
