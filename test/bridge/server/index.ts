/** One scripted server in five kinds. */
import type { ServerConfig } from "mcp-penstock";
import type { Gates, Ledger } from "../ledger.ts";
import type { Kind } from "../plan.ts";
import { legacyHttp, modernHttp, sse } from "./http.ts";
import { legacyStdio, modernStdio } from "./stdio.ts";

export interface ScriptedServer {
  /** How a proxy reaches it. */
  readonly config: ServerConfig;
  /** Goes down and comes back: nothing of before is known. */
  restart(): Promise<void>;
  /** Says that a list, or a resource, is another now. */
  changed(what: "tools" | "prompts" | "resources"): void;
  updated(uri: string): void;
  /** How many would hear of that. @param kind as `subscriptions/listen` names it */
  ready(kind: string, uri?: string): number;
  /** What is left: sessions, calls and streams under way, connections. */
  sessions(): number;
  busy(): number;
  connections(): number;
  close(): Promise<void>;
}

export function startServer(kind: Kind, ledger: Ledger, gates: Gates): Promise<ScriptedServer> {
  const start = {
    "legacy HTTP": legacyHttp,
    "modern HTTP": modernHttp,
    "HTTP+SSE": sse,
    "legacy stdio": legacyStdio,
    "modern stdio": modernStdio,
  }[kind];
  return start(ledger, gates);
}
