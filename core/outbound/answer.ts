/** What may come back. */
import { HOP_BY_HOP } from "../headers.ts";
import type { Fetched, Head } from "./one-request.ts";

const JSON_TYPE = /^application\/(?:json|[\w.-]+\+json)\s*(?:;|$)/i;
const FORM_TYPE = /^application\/x-www-form-urlencoded\s*(?:;|$)/i;
/** Statuses whose answer has no body (Fetch, "null body status"). */
const BODILESS = new Set([204, 205, 304]);
/** Not for the caller: no jar keeps cookies here, and the others were true of bytes on the wire. */
const NOT_TOLD: ReadonlySet<string> = new Set([...HOP_BY_HOP, "set-cookie", "content-length", "content-encoding"]);

/**
 * Where a redirect leads that may be followed.
 *
 * @param left how many more are followed
 * @throws Error one sentence for the log
 */
export function redirectOf({ status, headers }: Head, url: URL, method: string, left: number): URL | undefined {
  if (!isRedirect(status)) return undefined;
  const location = field(headers, "location") ?? "";
  if (left <= 0 || method !== "GET") throw new Error("it redirects, and that is not followed");
  const target = URL.canParse(location, url) ? new URL(location, url) : undefined;
  if (target?.origin !== url.origin || target.username || target.password)
    throw new Error("it redirects to another origin");
  return target;
}

/**
 * Whether the body is one that anybody reads: JSON, or after a POST a form, as token endpoints from before RFC 6749 send it.
 * A page that says "not found" tells by its status what there is to know.
 *
 * @throws Error one sentence for the log
 */
export function wantsBody({ status, headers }: Head, method: string, limit: number): boolean {
  if (isRedirect(status)) return false;
  const coding = field(headers, "content-encoding") ?? "identity";
  const type = field(headers, "content-type") ?? "";
  const length = field(headers, "content-length");
  const isCoded = coding.trim().toLowerCase() !== "identity";
  const isKnown = JSON_TYPE.test(type) || (method === "POST" && FORM_TYPE.test(type));
  const isGood = status >= 200 && status < 300;
  // RFC 7009 §2.2 has an answer that is its status alone.
  if (length === "0" || BODILESS.has(status)) return false;
  if (isGood && isCoded) throw new Error("its answer has a content coding");
  if (isGood && !isKnown) throw new Error("its answer is not JSON");
  if (Number(length ?? 0) > limit) throw new Error(`its answer is larger than ${limit} bytes`);
  return isKnown && !isCoded;
}

/** @returns the answer as `fetch` gives it */
export function toResponse({ status, headers, bytes }: Fetched): Response {
  const pairs: [string, string][] = [];
  for (let i = 0; i < headers.length; i += 2)
    if (!NOT_TOLD.has(headers[i]!)) pairs.push([headers[i]!, headers[i + 1]!]);
  return new Response(BODILESS.has(status) ? null : (bytes as Uint8Array<ArrayBuffer>), { status, headers: pairs });
}

function isRedirect(status: number): boolean {
  return status >= 300 && status < 400 && status !== 304;
}

function field(flat: readonly string[], name: string): string | undefined {
  let found: string | undefined;
  for (let i = 0; i < flat.length; i += 2)
    if (flat[i] === name) found = found === undefined ? flat[i + 1] : `${found}, ${flat[i + 1]}`;
  return found;
}
