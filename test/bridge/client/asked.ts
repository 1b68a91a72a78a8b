/** One call, as its client sees it. */
import { BIG, type Call, type Level, type Question, ROOTS, type Reply } from "../plan.ts";
import type { Wire } from "../server/messages.ts";

export class Asked {
  readonly call: Call;
  /** Ids of its requests: several where the client had to ask again. */
  readonly ids: unknown[] = [];
  readonly progress: number[] = [];
  readonly logs: string[] = [];
  /** How often each question came, by its key. */
  readonly questions = new Map<string, number>();
  /** Responses that end it: there may be one. */
  readonly finals: { raw: string; message: Wire }[] = [];
  /** How its connection ended, where that was before a response. */
  cut: string | undefined;
  /** The client has taken it back. */
  cancelled = false;
  /** The client was disconnected, and could come back for the rest or not. */
  lost: "for good" | "and back" | undefined;
  /** The client is gone. */
  left = false;
  /** The server went down while it ran. */
  disturbed = false;
  /** Least level of log messages that its client wanted when it called. */
  level: Level | undefined;

  constructor(call: Call) {
    this.call = call;
  }

  get isOver(): boolean {
    return this.finals.length > 0 || this.cut !== undefined || this.cancelled || this.left || this.lost === "for good";
  }

  get isHeldAtQuestion(): boolean {
    return [...this.questions.keys()].some((key) => this.call.replies[key] === "hold");
  }
}

/** JSON text of the parameters of a call, without its envelope. */
export function paramsText({ method, nonce, steps, end, region, unknown }: Call): string {
  const script = { nonce, steps, end };
  if (unknown) return `"name":"nowhere","arguments":{"nonce":"${nonce}"}`;
  if (method === "tools/call") {
    const more = region === undefined ? "" : `,"region":${JSON.stringify(region)}`;
    return `"name":"script","arguments":${argumentsOf(JSON.stringify(script).slice(1, -1), more)}`;
  }
  if (method === "prompts/get")
    return `"name":"script","arguments":{"script":${JSON.stringify(JSON.stringify(script))},"sum":"of ${nonce}"}`;
  return `"uri":"${uriOf(script)}"`;
}

/** The text of the arguments that the server must see. */
export function sentArguments(call: Call): string {
  return (/"arguments":(.*)$/.exec(paramsText(call)) ?? /"uri":"(.*)"$/.exec(paramsText(call)))![1]!;
}

function argumentsOf(script: string, more: string): string {
  return `{${script},"big": ${BIG} ,"float":1.0,"é":"\\u00e9\\/"${more},"sum":"of it"}`;
}

function uriOf(script: object): string {
  return `script://run/${Buffer.from(JSON.stringify(script)).toString("base64url")}`;
}

/** What a client answers: a result, or a JSON-RPC error. `undefined`: nothing. */
export function answerTo(
  { call }: Asked,
  { key, kind }: Question,
): { result: object } | { error: { code: number; message: string } } | undefined {
  const reply: Reply = call.replies[key]!;
  if (reply === "hold") return undefined;
  if (reply === "error") return { error: { code: -1, message: "the user said no" } };
  const token = `${call.nonce}-${key}`;
  if (kind === "roots") return { result: { roots: [{ uri: ROOTS(call.client) }] } };
  if (kind === "sampling") return { result: { role: "assistant", content: { type: "text", text: token }, model: "m" } };
  if (reply === "decline") return { result: { action: "decline" } };
  return { result: kind === "form" ? { action: "accept", content: { token } } : { action: "accept" } };
}

/** What the client declares: it can be asked everything. */
export const CLIENT_CAPABILITIES = { elicitation: { form: {}, url: {} }, sampling: {}, roots: {} };

/** @returns the question that a request of a server is, by what stands in it */
export function questionIn({ call, questions }: Asked, method: string, params: unknown): Question | undefined {
  const text = JSON.stringify(params ?? {});
  return call.steps
    .flatMap((step) => (step.do === "ask" ? step.questions : []))
    .find(({ key, kind }) => {
      // Roots name neither call nor question: the first that was not asked for.
      if (kind === "roots" || method === "roots/list")
        return kind === "roots" && method === "roots/list" && !questions.has(key);
      return text.includes(`${call.nonce} ${key}`) && (kind === "sampling") === (method === "sampling/createMessage");
    });
}
