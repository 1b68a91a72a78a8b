/** What may come back. */
import type { Fetched } from "./one-request.ts";

const JSON_TYPE = /^application\/(?:json|[\w.-]+\+json)\s*(?:;|$)/i;
const FORM_TYPE = /^application\/x-www-form-urlencoded\s*(?:;|$)/i;
/** Statuses without a body (Fetch §2.2.3). */
const BODILESS = new Set([204, 205, 304]);

/**
 * Where a redirect leads that may be followed.
 *
 * @param left how many more are followed
 * @throws Error one sentence for the log
 */
export function redirectOf({ status, headers }: Fetched, url: URL, method: string, left: number): URL | undefined {
  if (status < 300 || status > 399 || status === 304) return undefined;
  const location = field(headers, "location") ?? "";
  if (left <= 0 || method !== "GET") throw new Error("it redirects, and that is not followed");
  const target = URL.canParse(location, url) ? new URL(location, url) : undefined;
  if (target?.origin !== url.origin || target.username || target.password)
    throw new Error("it redirects to another origin");
  return target;
}

/** @throws Error one sentence for the log */
export function checkAnswer(fetched: Fetched, method: string): void {
  const { status, headers, bytes } = fetched;
  const coding = field(headers, "content-encoding") ?? "identity";
  if (coding.trim().toLowerCase() !== "identity") throw new Error("its answer has a content coding");
  const type = field(headers, "content-type") ?? "";
  if (bytes.length === 0 || JSON_TYPE.test(type) || (method === "POST" && FORM_TYPE.test(type))) return;
  if (status >= 200 && status < 300) throw new Error("its answer is not JSON");
  // A page that says "not found" tells what there is to know by its status.
  fetched.bytes = new Uint8Array();
}

export function toResponse({ status, headers, bytes }: Fetched): Response {
  const pairs: [string, string][] = [];
  for (let i = 0; i < headers.length; i += 2)
    if (headers[i] !== "set-cookie") pairs.push([headers[i]!, headers[i + 1]!]);
  return new Response(BODILESS.has(status) ? null : (bytes as Uint8Array<ArrayBuffer>), { status, headers: pairs });
}

function field(flat: readonly string[], name: string): string | undefined {
  let found: string | undefined;
  for (let i = 0; i < flat.length; i += 2)
    if (flat[i] === name) found = found === undefined ? flat[i + 1] : `${found}, ${flat[i + 1]}`;
  return found;
}
