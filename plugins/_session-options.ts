import { ProxyError } from "../core/index.ts";
import { type StreamOptions, readStreamOptions } from "./_session-stream-options.ts";

/** Options of `sessions`. Times are in milliseconds. */
export interface SessionsOptions extends StreamOptions {
  /**
   * A session that nothing was heard of for this long is ended at the server. Its client does not notice: with its next
   * request the server gets a new one. @default 1800000 (30 min)
   */
  idleTimeout?: number;
  /** From then on a session's id is refused, and its client must begin a new one. @default 2592000000 (30 days) */
  maxAge?: number;
  /** Sessions of one caller with one server at a time; without an authenticating plugin, of all callers. @default 1000 */
  maxPerPrincipal?: number;
  /** Sessions with one server at a time. @default 10000 */
  maxSessions?: number;
  /**
   * How requests without a session reach a server that insists on one: `"pooled"`, all those of one caller share a session of
   * the proxy's own; `"fresh"`, each has one for itself. @default "pooled"
   */
  sessionless?: "pooled" | "fresh";
}

/** With nothing left open. */
export interface SessionsSettings extends Required<Omit<SessionsOptions, keyof StreamOptions>> {
  streams: StreamOptions;
}

/** @throws ProxyError `BAD_OPTION` */
export function readSettings(options: SessionsOptions): SessionsSettings {
  const {
    idleTimeout = 1_800_000,
    maxAge = 2_592_000_000,
    maxPerPrincipal = 1000,
    maxSessions = 10_000,
    sessionless = "pooled",
    ...streams
  } = options;
  if (!(idleTimeout >= 10 && idleTimeout < 2 ** 31)) refuse("idleTimeout must be a time, 10 ms at least.");
  if (!(maxAge >= 1000 && Number.isSafeInteger(maxAge))) refuse("maxAge must be a whole number of ms, 1000 at least.");
  for (const [name, value] of Object.entries({ maxPerPrincipal, maxSessions }))
    if (!Number.isInteger(value) || value < 1) refuse(`${name} must be a whole number above 0.`);
  if (sessionless !== "pooled" && sessionless !== "fresh") refuse('sessionless must be "pooled" or "fresh".');
  readStreamOptions(streams);
  return { idleTimeout, maxAge, maxPerPrincipal, maxSessions, sessionless, streams };
}

function refuse(hint: string): never {
  throw new ProxyError("BAD_OPTION", { plugin: "plugin 'sessions'", hint });
}
