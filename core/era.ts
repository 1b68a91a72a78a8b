/** To which era a client's request belongs (MCP 2026-07-28, Versioning): bodies decide, header fields are mirrors. */
import { isRecord, kindOf } from "./body/message.ts";
import { ProxyError } from "./errors.ts";
import type { Era, Json, Message } from "./types.ts";

/** First modern revision. Revisions are dates, so they compare as text. */
export const MODERN = "2026-07-28";
/** The last revision that opens with `initialize`. */
export const LATEST_LEGACY = "2025-11-25";
/** MCP 2025-06-18, Transports, "Protocol Version Header": the revision of a request that names none. */
const ASSUMED = "2025-03-26";
/** What the reserved keys of `params._meta` begin with. */
export const META = "io.modelcontextprotocol/";

/** What a request says about its revision. */
export interface EraDecision {
  era: Era;
  version: string;
  /** Header and body contradict each other, or the envelope is not one: era and version are then what is likelier. */
  refusal?: ProxyError;
}

/** To which era a protocol revision belongs, e.g. that of `MCP-Protocol-Version`. */
export function eraOf(version: string | null): Era {
  return version !== null && version >= MODERN ? "modern" : "legacy";
}

/** `params._meta`, if the message has one. */
export function metaOf(message: unknown): Json | undefined {
  const params = isRecord(message) ? message.params : undefined;
  const meta = isRecord(params) ? params._meta : undefined;
  return isRecord(meta) ? meta : undefined;
}

/**
 * @param httpMethod of the request; only a POST can be modern
 * @param body the parsed body, or as much of it as is known; `undefined` before it was read: then the header decides
 */
export function decideEra(
  httpMethod: string,
  headers: Pick<Headers, "get">,
  body: Message | readonly unknown[] | undefined,
): EraDecision {
  const header = headers.get("mcp-protocol-version")?.trim() ?? null;
  const legacy = (refusal?: ProxyError): EraDecision => ({ era: "legacy", version: header ?? ASSUMED, refusal });
  if (httpMethod !== "POST") return legacy();
  if (body === undefined) return { era: eraOf(header), version: header ?? ASSUMED };
  if (Array.isArray(body)) return legacy(refuseBatch(body));
  const message = body as Message;
  const kind = kindOf(message);
  if (kind === "response") return legacy();
  if (kind === undefined) return legacy(new ProxyError("INVALID_REQUEST"));
  const meta = metaOf(message);
  const claimed = meta !== undefined && `${META}protocolVersion` in meta;
  if (message.method === "initialize" && kind === "request" && !(claimed && isModernEnvelope(meta))) {
    const asked = message.params?.protocolVersion;
    return {
      era: "legacy",
      version: typeof asked === "string" ? asked : ASSUMED,
      refusal: eraOf(header) === "modern" ? mismatch("initialize belongs to no modern revision.") : undefined,
    };
  }
  if (claimed) return claimedEra(message, meta, kind === "request", header, headers);
  if (eraOf(header) === "legacy") return legacy();
  const refusal =
    kind === "request"
      ? new ProxyError("INVALID_ENVELOPE", { hint: `The header names ${MODERN} or later; params._meta is missing.` })
      : refuseMethod(message, headers);
  return { era: "modern", version: header!, refusal };
}

/** The envelope is there: the body says which revision it is. */
function claimedEra(
  message: Message,
  meta: Json,
  isRequest: boolean,
  header: string | null,
  headers: Pick<Headers, "get">,
): EraDecision {
  const claim = meta[`${META}protocolVersion`];
  const wrong = isRequest
    ? wrongKey(meta)
    : typeof claim === "string"
      ? undefined
      : `${META}protocolVersion must be a text.`;
  const version = typeof claim === "string" ? claim : (header ?? MODERN);
  if (wrong !== undefined)
    return { era: "modern", version, refusal: new ProxyError("INVALID_ENVELOPE", { hint: wrong }) };
  if (header !== null && header !== version)
    return { era: "modern", version, refusal: mismatch("MCP-Protocol-Version is not the revision in params._meta.") };
  const named = isRequest || eraOf(version) === "modern";
  return { era: "modern", version, refusal: named ? refuseMethod(message, headers) : undefined };
}

function refuseMethod(message: Message, headers: Pick<Headers, "get">): ProxyError | undefined {
  const mirror = headers.get("mcp-method");
  return mirror === null || mirror.trim() === message.method
    ? undefined
    : mismatch("Mcp-Method is not the method in the body.");
}

/** MCP 2025-03-26 has batches; one that holds anything of a later era is refused whole. */
function refuseBatch(batch: readonly unknown[]): ProxyError | undefined {
  const wrong = (element: unknown): boolean => {
    const meta = metaOf(element);
    if (meta && `${META}protocolVersion` in meta) return true;
    return !isRecord(element) || element.jsonrpc !== "2.0" || kindOf(element as unknown as Message) === undefined;
  };
  return batch.length === 0 || batch.some(wrong)
    ? new ProxyError("INVALID_REQUEST", { hint: "A batch holds messages of legacy revisions only." })
    : undefined;
}

function isModernEnvelope(meta: Json): boolean {
  const claim = meta[`${META}protocolVersion`];
  return typeof claim === "string" && eraOf(claim) === "modern" && wrongKey(meta) === undefined;
}

const LEVELS = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

/** The reserved keys (MCP 2026-07-28, Base Protocol, `_meta`). What capabilities hold is the server's to judge. */
function wrongKey(meta: Json): string | undefined {
  const info = meta[`${META}clientInfo`];
  const level = meta[`${META}logLevel`];
  if (typeof meta[`${META}protocolVersion`] !== "string") return `${META}protocolVersion must be a text.`;
  if (!isRecord(meta[`${META}clientCapabilities`])) return `${META}clientCapabilities must be an object.`;
  if (info !== undefined && !(isRecord(info) && typeof info.name === "string" && typeof info.version === "string"))
    return `${META}clientInfo must have name and version.`;
  if (level !== undefined && !LEVELS.includes(level as string)) return `${META}logLevel is not a level.`;
  return undefined;
}

function mismatch(hint: string): ProxyError {
  return new ProxyError("HEADER_MISMATCH", { hint });
}
