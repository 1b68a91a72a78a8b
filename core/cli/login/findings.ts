/** What a discovery came upon: its steps, and mistakes of those who run the server, with what to do. Sentences for people. */

/** One document that was asked for. */
export interface Step {
  what: "challenge" | "resource metadata" | "authorization server metadata" | "authorization server";
  /** Without query. */
  url?: string;
  /** HTTP status of the answer, where there was one. */
  status?: number;
  ok: boolean;
  /** What was found there, or why nothing was. */
  note: string;
}

export type MistakeCode =
  | "no-challenge"
  | "wrong-scheme"
  | "not-json"
  | "redirects"
  | "unreachable"
  | "server-error"
  | "bad-metadata"
  | "resource-mismatch"
  | "resource-too-wide"
  | "no-metadata"
  | "issuer-mismatch"
  | "bad-endpoint"
  | "foreign-endpoint"
  | "no-s256"
  | "no-registration";

/** Something that is wrong with what a server says about its login. */
export interface Mistake {
  code: MistakeCode;
  /** What is wrong. */
  message: string;
  /** What to do about it. */
  advice: string;
  /** No login is possible, or none that is safe. */
  fatal: boolean;
}

/** Notes both. */
export class Findings {
  readonly steps: Step[] = [];
  readonly mistakes: Mistake[] = [];

  step(what: Step["what"], ok: boolean, note: string, at: { url?: URL; status?: number } = {}): void {
    const { url, status } = at;
    this.steps.push({
      what,
      ...(url && { url: url.origin + url.pathname }),
      ...(status !== undefined && { status }),
      ok,
      note,
    });
  }

  /** It does not keep anybody from logging in, or not everybody. */
  warn(code: MistakeCode, message: string, advice: string): void {
    this.mistakes.push({ code, message, advice, fatal: false });
  }

  fatal(code: MistakeCode, message: string, advice: string): void {
    this.mistakes.push({ code, message, advice, fatal: true });
  }

  /** Why there can be no login. */
  get reason(): Mistake | undefined {
    return this.mistakes.find(({ fatal }) => fatal);
  }
}

/** What a server says about itself, short and on one line. */
export function shown(value: unknown): string {
  const text = typeof value === "string" ? value : (JSON.stringify(value) ?? "nothing");
  // Whatever moves a cursor or forges a line.
  // oxlint-disable-next-line no-control-regex -- control characters are what it looks for
  const plain = text.replace(/[\u0000-\u001F\u007F-\u009F\u200B-\u200F\u2028-\u202E\u2066-\u2069]/g, "?");
  return JSON.stringify(plain.length > 200 ? `${plain.slice(0, 200)}…` : plain);
}
