/** Which header fields cross this proxy, in either direction. */
import { ProxyError } from "../errors.ts";
import { HOP_BY_HOP, HeaderList, connectionOptions } from "../headers.ts";
import type { ServerConfig } from "../types.ts";

/** Ends with this hop: the server is another one, reached by its own name, and the client's credentials are not for it. */
const NOT_FORWARDED: ReadonlySet<string> = new Set([
  ...HOP_BY_HOP,
  "authorization",
  "dpop",
  "cookie",
  "x-api-key",
  "api-key",
  "x-auth-token",
  "host",
  "content-length",
  "expect",
  // Replaced: content codings would hide the events from the framer, and their buffers would delay them.
  "accept-encoding",
  // Checked at this edge; a server compares it with the Host that *it* sees, and would refuse.
  "origin",
  "referer",
  "forwarded",
  "x-real-ip",
  "x-original-url",
  "x-rewrite-url",
]);
/** Cookies of a server would be shared by all servers behind this origin. */
const NOT_RETURNED = new Set([...HOP_BY_HOP, "set-cookie", "location"]);

/** How header fields go on to one server. */
export interface FieldRules {
  /** Names that stay here, in lower case. */
  left: ReadonlySet<string>;
  /** What this proxy adds to `Via`: it knows a request that comes back by it. */
  via: string;
}

/** @param credentials fields that plugins read credentials from, for this proxy only */
export function fieldRules(auth: ServerConfig["auth"], credentials: readonly string[], via: string): FieldRules {
  const left = new Set(NOT_FORWARDED);
  // RFC 9449: a DPoP proof belongs to the token.
  if (auth === "passthrough") for (const name of ["authorization", "dpop"]) left.delete(name);
  for (const name of credentials) left.add(name.toLowerCase());
  return { left, via };
}

/**
 * The client's header fields that may go on to a server. Whatever is added is added last, so that no `Connection` field of the
 * client takes it away.
 *
 * @param flat name, value, name, value … as they came
 * @throws ProxyError `LOOP_DETECTED` when the request has been here before (RFC 9110 §7.6.3)
 */
export function forwardedHeaders(flat: readonly string[], { left, via }: FieldRules): HeaderList {
  const kept: string[] = [];
  let options: Set<string> | undefined;
  for (let i = 0; i < flat.length; i += 2) {
    const name = flat[i]!.toLowerCase();
    if (name === "connection") options = connectionOptions(flat[i + 1]!, options);
    if (name === "via" && flat[i + 1]!.includes(via)) throw new ProxyError("LOOP_DETECTED");
    // `X_Real_IP` and `X-Real-IP` are one variable to CGI and its heirs (RFC 3875 §4.1.18): such names could stand for any field that stays here.
    if (!left.has(name) && !name.includes("_") && !name.startsWith("x-forwarded-")) kept.push(name, flat[i + 1]!);
  }
  const rest = without(kept, options);
  rest.push("accept-encoding", "identity", "via", via);
  return new HeaderList(rest);
}

/** The fields of a server's answer that may go on to a client. @param given names in lower case @param via of this proxy */
export function responseHeaders(given: readonly string[], via: string): HeaderList {
  const flat: string[] = [];
  let options: Set<string> | undefined;
  for (let i = 0; i < given.length; i += 2) {
    const name = given[i]!;
    if (name === "connection") options = connectionOptions(given[i + 1]!, options);
    if (!NOT_RETURNED.has(name)) flat.push(name, given[i + 1]!);
  }
  const kept = without(flat, options);
  kept.push("via", via);
  return new HeaderList(kept);
}

/** Once over the fields, however many names there are. */
function without(flat: string[], names: ReadonlySet<string> | undefined): string[] {
  if (!names) return flat;
  const kept: string[] = [];
  for (let i = 0; i < flat.length; i += 2) if (!names.has(flat[i]!)) kept.push(flat[i]!, flat[i + 1]!);
  return kept;
}
