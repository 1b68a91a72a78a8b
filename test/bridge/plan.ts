/** What a sequence consists of: who calls what, what the server does with it, and what disturbs them. All of it is plain data. */

export const KINDS = ["legacy HTTP", "modern HTTP", "HTTP+SSE", "legacy stdio", "modern stdio"] as const;
/** A transport and an era, of a client or of a server. */
export type Kind = (typeof KINDS)[number];

export function isModern(kind: Kind): boolean {
  return kind.startsWith("modern");
}

/** Everything goes over one channel: without it there is no client. */
export function hasChannel(kind: Kind): boolean {
  return kind === "HTTP+SSE" || kind.endsWith("stdio");
}

export type QuestionKind = "form" | "url" | "sampling" | "roots";
/** `error`: a JSON-RPC error, where the client's era has that · `hold`: no answer at all. */
export type Reply = "accept" | "decline" | "error" | "hold";

export interface Question {
  /** Unique in its call. */
  key: string;
  kind: QuestionKind;
}

/** One thing that the server does while it works on a call. */
export type Step =
  | { do: "progress"; value: number }
  | { do: "log"; level: Level }
  | { do: "ask"; questions: Question[] }
  /** Waits until the test opens the gate, which has the nonce of the call. */
  | { do: "gate" };

/** How a call ends: a result, a result that says that it failed, a JSON-RPC error. */
export type End = "ok" | "fail" | "error";

/** What goes out with a call: the server does what stands there, and nothing else. */
export interface Script {
  nonce: string;
  steps: Step[];
  end: End;
}

export type ScriptedMethod = "tools/call" | "prompts/get" | "resources/read";

export interface Call extends Script {
  /** 0 or 1. */
  client: number;
  method: ScriptedMethod;
  /** A tool that there is not. */
  unknown?: boolean;
  progress: boolean;
  /** An argument that modern HTTP mirrors in a header. */
  region?: string;
  /** By the key of the question. */
  replies: Record<string, Reply>;
}

export const LEVELS = ["debug", "info", "notice", "warning", "error"] as const;
export type Level = (typeof LEVELS)[number];
export const LISTS = ["tools/list", "prompts/list", "resources/list"] as const;
export type List = (typeof LISTS)[number];

export type Op =
  /** Several at once; nobody waits for them yet. */
  | { op: "call"; calls: Call[] }
  | { op: "open"; nonce: string }
  /** Waits for all that is not held up. */
  | { op: "settle" }
  /** While it stands at its gate, or while its question is open. */
  | { op: "cancel"; nonce: string }
  /** The connection of its answer breaks while it stands at its gate, and the client comes back for the rest. */
  | { op: "lose"; nonce: string }
  /** The client is gone, with all that it waits for; another takes its place. */
  | { op: "leave"; client: number }
  | { op: "list"; client: number; method: List }
  | { op: "level"; client: number; level: Level }
  | { op: "subscribe" | "unsubscribe"; client: number; uri: string }
  | { op: "updated"; uri: string }
  | { op: "changed"; what: "tools" | "prompts" | "resources" }
  | { op: "restart" };

export interface Sequence {
  seed: number;
  client: Kind;
  server: Kind;
  ops: Op[];
}

/** Beyond 2^53: whoever parses it and writes it again changes it. */
export const BIG = "9007199254740993123";

/** Of a call: `call`, the client, `x`, a number. Whatever holds it belongs to that client. */
export const NONCE = /call(\d)x\d+/g;

/** What clients know, and servers ask for. */
export const ROOTS = (client: number): string => `file:///client-${client}`;
