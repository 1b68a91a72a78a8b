import type { namedGates } from "./gates.ts";

/** What the fixture tools need from the request they serve; each SDK has its own names for it. */
export interface ToolCall {
  /** Sends a progress notification on the stream of the request, or nothing when the caller gave no progress token. */
  progress(progress: number, total: number): Promise<void>;
  signal: AbortSignal;
}

/** A tool result with one text block. */
export interface TextResult {
  content: { type: "text"; text: string }[];
  isError?: boolean;
  [key: string]: unknown;
}

/** Wraps a value as a tool result: text as it is, anything else as JSON. */
export function text(value: unknown): TextResult {
  return { content: [{ type: "text", text: typeof value === "string" ? value : JSON.stringify(value) }] };
}

/** The tools that both eras offer, so that a test can compare the answers. */
export function sharedTools(gates: ReturnType<typeof namedGates>) {
  return {
    echo: (args: { text: string }): TextResult => text(args.text),
    async count(args: { n: number }, call: ToolCall): Promise<TextResult> {
      for (let i = 1; i <= args.n; i++) await call.progress(i, args.n);
      return text(`counted ${args.n}`);
    },
    async slow(args: { gateName: string }, call: ToolCall): Promise<TextResult> {
      await call.progress(1, 2);
      await gates.hold(args.gateName, call.signal);
      return text(`passed ${args.gateName}`);
    },
  };
}
