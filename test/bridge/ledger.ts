/** What happened, as both sides saw it. Whoever waits for something is told of every piece of news. */
import type { Call, Question } from "./plan.ts";

/** One call at the server. */
export interface Run {
  nonce: string;
  /** Steps from which it was begun, or gone on with: each once. */
  begun: number[];
  /** Texts of its arguments, one for each time they came. */
  args: string[];
  /** What it asked was answered so; several answers to one question are a mistake. */
  answers: Map<string, unknown[]>;
  /** How often the server was told to stop. */
  cancelled: number;
  /** The connection of its answer was closed from the other side before the end. */
  closed: number;
  atGate: boolean;
  /** Questions that were put and not answered yet. */
  asking: number;
  ended: boolean;
  /** The server went down below it. */
  lost: boolean;
  /** The session that it came on, where the server has some. */
  session: string | undefined;
}

export class Ledger {
  readonly runs = new Map<string, Run>();
  readonly violations: string[] = [];
  readonly #waiting = new Set<() => void>();
  /** What happened, in order, for whoever reads a failure. */
  readonly story: string[] = [];

  violation(text: string): void {
    this.violations.push(text);
    this.note(`VIOLATION ${text}`);
  }

  note(text: string): void {
    this.story.push(text);
    for (const look of this.#waiting) look();
  }

  /** @returns whether it came true in time */
  until(check: () => boolean, ms = 4000): Promise<boolean> {
    if (check()) return Promise.resolve(true);
    return new Promise((resolve) => {
      const done = (met: boolean) => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve(met);
      };
      const look = () => check() && done(true);
      const timer = setTimeout(() => done(check()), ms);
      this.#waiting.add(look);
    });
  }

  async expect(check: () => boolean, what: string | (() => string), ms?: number): Promise<boolean> {
    const met = await this.until(check, ms);
    if (!met) this.violation(`did not happen: ${typeof what === "string" ? what : what()}`);
    return met;
  }

  /** The server begins a call at its first step, or goes on with it at a later one. */
  begin(nonce: string, from: number, args: string, session: string | undefined): Run {
    let run = this.runs.get(nonce);
    if (!run) {
      run = {
        nonce,
        begun: [],
        args: [],
        answers: new Map(),
        cancelled: 0,
        closed: 0,
        atGate: false,
        asking: 0,
        ended: false,
        lost: false,
        session,
      };
      this.runs.set(nonce, run);
    }
    if (run.begun.includes(from)) this.violation(`${nonce} ran twice from step ${from}`);
    run.begun.push(from);
    run.args.push(args);
    run.session = session;
    this.note(`server: ${nonce} runs from step ${from}`);
    return run;
  }

  answered(run: Run, { key }: Question, answer: unknown): void {
    run.answers.set(key, [...(run.answers.get(key) ?? []), answer]);
    this.note(`server: ${run.nonce} ${key} answered ${JSON.stringify(answer)}`);
  }
}

/** Calls wait at gates, which the test opens. */
export class Gates {
  readonly #open = new Set<string>();
  readonly #waiting = new Map<string, Set<() => void>>();
  #all = false;

  open(name: string): void {
    this.#open.add(name);
    this.#run(name);
  }

  openAll(): void {
    this.#all = true;
    for (const name of this.#waiting.keys()) this.#run(name);
  }

  isOpen(name: string): boolean {
    return this.#all || this.#open.has(name);
  }

  async pass(name: string, signal: AbortSignal): Promise<void> {
    if (this.isOpen(name) || signal.aborted) return;
    await new Promise<void>((resolve) => {
      const waiting = this.#waiting.get(name) ?? new Set();
      this.#waiting.set(name, waiting.add(resolve));
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
  }

  #run(name: string): void {
    for (const resolve of this.#waiting.get(name) ?? []) resolve();
    this.#waiting.delete(name);
  }
}

/** A call has a gate that is still shut, or a question that is not answered. */
export function isHeld(call: Call, gates: Gates): boolean {
  return (
    Object.values(call.replies).includes("hold") ||
    (call.steps.some((step) => step.do === "gate") && !gates.isOpen(call.nonce))
  );
}
