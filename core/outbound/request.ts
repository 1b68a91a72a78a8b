/** What is sent. */
import { VERSION } from "../version.ts";
import type { WireRequest } from "../upstream/wire.ts";
import type { GuardedFetchInit } from "./guarded-fetch.ts";

/** Decided here: no answer in a coding, and nothing that belongs to somebody's browser. */
const NOT_SENT = ["accept-encoding", "cookie", "forwarded", "range"];

/** @throws TypeError for a header that HTTP does not allow */
export function toWire(url: URL, { method = "GET", headers, body }: GuardedFetchInit): WireRequest {
  const fields = new Headers(headers);
  for (const name of NOT_SENT) fields.delete(name);
  if (!fields.has("accept")) fields.set("accept", "application/json");
  if (!fields.has("user-agent")) fields.set("user-agent", `penstock/${VERSION}`);
  if (body instanceof URLSearchParams && !fields.has("content-type"))
    fields.set("content-type", "application/x-www-form-urlencoded;charset=UTF-8");
  fields.set("accept-encoding", "identity");
  const flat: string[] = [];
  for (const [name, value] of fields) flat.push(name, value);
  return {
    method: method.toUpperCase(),
    path: url.pathname + url.search,
    headers: flat,
    body: body === undefined || body === null ? null : body instanceof Uint8Array ? body : Buffer.from(String(body)),
    headersTimeout: 0,
  };
}
