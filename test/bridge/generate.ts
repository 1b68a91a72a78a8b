/** Random sequences in which every step is one that the protocol allows. */
import { type Random, random } from "../core/random.ts";
import {
  type Call,
  KINDS,
  LEVELS,
  LISTS,
  type Op,
  type Question,
  type QuestionKind,
  type Reply,
  type Sequence,
  type Step,
  isModern,
} from "./plan.ts";

const URIS = ["note://a", "note://b"];
const REGIONS = ["eu", "us west", "å", "", " x", "=?base64?eA==?="];

/** The same sequence for the same seed; seeds in a row go round all pairs. */
export function generate(seed: number): Sequence {
  const rnd = random(seed * 7919 + 13);
  const client = KINDS[seed % 5]!;
  const server = KINDS[Math.floor(seed / 5) % 5]!;
  const maker = new Maker(rnd, isModern(client));
  const ops: Op[] = [];
  const count = 2 + rnd.int(6);
  let hasRestarted = false;
  for (let i = 0; i < count; i++) {
    const way = rnd.int(100);
    if (way < 35) ops.push({ op: "call", calls: maker.calls(1 + rnd.int(3)) }, { op: "settle" });
    else if (way < 45) {
      const [held, ...others] = maker.calls(1 + rnd.int(3));
      const { nonce } = gated(rnd, held!);
      ops.push({ op: "call", calls: [held!, ...others] });
      if (rnd.chance(0.5)) ops.push({ op: "list", client: rnd.int(2), method: rnd.pick(LISTS) });
      ops.push({ op: "open", nonce }, { op: "settle" });
    } else if (way < 58) {
      const held = rnd.chance(0.6) ? gated(rnd, maker.call()) : maker.heldAtQuestion();
      ops.push({ op: "call", calls: [held, ...maker.calls(rnd.int(2))] }, { op: "cancel", nonce: held.nonce });
      ops.push({ op: "settle" });
    } else if (way < 65) {
      const held = gated(rnd, maker.call());
      ops.push({ op: "call", calls: [held, ...maker.calls(rnd.int(2))] }, { op: "lose", nonce: held.nonce });
      ops.push({ op: "open", nonce: held.nonce }, { op: "settle" });
    } else if (way < 72) {
      const held = rnd.chance(0.5) ? gated(rnd, maker.call()) : maker.heldAtQuestion();
      const calls = rnd.chance(0.6) ? [held] : [];
      if (calls.length > 0) ops.push({ op: "call", calls });
      ops.push({ op: "leave", client: held.client });
    } else if (way < 80) ops.push({ op: "list", client: rnd.int(2), method: rnd.pick(LISTS) });
    else if (way < 85) ops.push({ op: "level", client: rnd.int(2), level: rnd.pick(LEVELS) });
    else if (way < 91) {
      const uri = rnd.pick(URIS);
      const client = rnd.int(2);
      ops.push({ op: "subscribe", client, uri }, { op: "updated", uri });
      if (rnd.chance(0.4)) ops.push({ op: "unsubscribe", client, uri }, { op: "updated", uri });
    } else if (way < 96) ops.push({ op: "changed", what: rnd.pick(["tools", "prompts", "resources"]) });
    else if (!hasRestarted) {
      hasRestarted = true;
      const calls = rnd.chance(0.5) ? [gated(rnd, maker.call())] : [];
      if (calls.length > 0) ops.push({ op: "call", calls });
      ops.push({ op: "restart" }, { op: "settle" });
    }
  }
  return { seed, client, server, ops };
}

class Maker {
  readonly #rnd: Random;
  readonly #modern: boolean;
  #count = 0;

  constructor(rnd: Random, modern: boolean) {
    this.#rnd = rnd;
    this.#modern = modern;
  }

  calls(count: number): Call[] {
    return Array.from({ length: count }, () => this.call());
  }

  call(): Call {
    const rnd = this.#rnd;
    const client = rnd.int(2);
    const method = rnd.pick([
      "tools/call",
      "tools/call",
      "tools/call",
      "tools/call",
      "prompts/get",
      "resources/read",
    ] as const);
    const nonce = `call${client}x${++this.#count}`;
    const call: Call = { nonce, client, method, steps: [], end: "ok", progress: rnd.chance(0.5), replies: {} };
    if (rnd.chance(0.05)) return { ...call, method: "tools/call", unknown: true };
    let value = 0;
    for (let i = rnd.int(5); i > 0; i--) {
      const way = rnd.int(10);
      if (way < 4) call.steps.push({ do: "progress", value: (value += 1 + rnd.int(5)) });
      else if (way < 6) call.steps.push({ do: "log", level: rnd.pick(LEVELS) });
      else if (call.steps.filter((step) => step.do === "ask").length < 2)
        call.steps.push(this.#ask(call, rnd.chance(0.25) ? 2 : 1));
    }
    if (rnd.chance(0.2)) call.end = method === "tools/call" ? rnd.pick(["fail", "error"]) : "error";
    if (method === "tools/call" && rnd.chance(0.3)) call.region = rnd.pick(REGIONS);
    return call;
  }

  /** Its last step is a question that nobody answers. */
  heldAtQuestion(): Call {
    const call = this.call();
    delete call.unknown;
    const ask = this.#ask(call, 1);
    if (ask.do === "ask" && ask.questions[0]!.kind === "roots") ask.questions[0]!.kind = "form";
    for (const { key } of ask.do === "ask" ? ask.questions : []) call.replies[key] = "hold";
    call.steps.push(ask);
    return call;
  }

  #ask(call: Call, count: number): Step {
    const questions = Array.from({ length: count }, (_, i): Question => {
      const key = `q${Object.keys(call.replies).length + i}`;
      return { key, kind: this.#rnd.pick<QuestionKind>(["form", "form", "url", "sampling", "roots"]) };
    });
    for (const { key, kind } of questions) call.replies[key] = this.#reply(kind);
    return { do: "ask", questions };
  }

  #reply(kind: QuestionKind): Reply {
    // A modern client has no way to answer with an error.
    // Which call asks for roots cannot be told: the answer is the same for all.
    if (kind !== "roots" && !this.#modern && this.#rnd.chance(0.12)) return "error";
    return (kind === "form" || kind === "url") && this.#rnd.chance(0.25) ? "decline" : "accept";
  }
}

/** It waits somewhere on its way, and nothing is asked before: whoever waits for it must find it there. */
function gated(rnd: Random, call: Call): Call {
  delete call.unknown;
  const firstAsk = call.steps.findIndex((step) => step.do === "ask");
  const most = firstAsk === -1 ? call.steps.length : firstAsk;
  call.steps.splice(rnd.int(most + 1), 0, { do: "gate" });
  return call;
}
