/** Which header fields cross this proxy, in either direction. */
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

/** What is left out on the way to one server. @param credentials fields that plugins read credentials from, for this proxy only */
export function notForwarded(auth: ServerConfig["auth"], credentials: readonly string[]): ReadonlySet<string> {
  const names = new Set(NOT_FORWARDED);
  // RFC 9449: a DPoP proof belongs to the token.
  if (auth === "passthrough") for (const name of ["authorization", "dpop"]) names.delete(name);
  for (const name of credentials) names.add(name.toLowerCase());
  return names;
}

/**
 * The client's header fields that may go on to a server.
 *
 * @param flat name, value, name, value … as they came
 * @param left names that may not
 */
export function forwardedHeaders(flat: readonly string[], left: ReadonlySet<string> = NOT_FORWARDED): HeaderList {
  const kept: string[] = [];
  let options: string[] | undefined;
  for (let i = 0; i < flat.length; i += 2) {
    const name = flat[i]!.toLowerCase();
    if (name === "connection") options = [...(options ?? []), ...connectionOptions(flat[i + 1])];
    if (!isLeft(name, left)) kept.push(name, flat[i + 1]!);
  }
  kept.push("accept-encoding", "identity");
  const list = new HeaderList(kept);
  for (const option of options ?? []) list.delete(option);
  return list;
}

/** Whatever proxies in front say of the client is for this proxy; and to servers behind CGI (RFC 3875 §4.1.18) `_` and `-` are the same. */
function isLeft(name: string, left: ReadonlySet<string>): boolean {
  if (left.has(name) || name.startsWith("x-forwarded-")) return true;
  return name.includes("_") && isLeft(name.replaceAll("_", "-"), left);
}

/** The fields of a server's answer that may go on to a client. @param headers names in lower case */
export function responseHeaders(given: readonly string[]): HeaderList {
  const flat: string[] = [];
  let options: string[] | undefined;
  for (let i = 0; i < given.length; i += 2) {
    const name = given[i]!;
    if (name === "connection") options = [...(options ?? []), ...connectionOptions(given[i + 1])];
    if (!NOT_RETURNED.has(name)) flat.push(name, given[i + 1]!);
  }
  const list = new HeaderList(flat);
  for (const option of options ?? []) list.delete(option);
  return list;
}
