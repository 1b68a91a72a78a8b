/**
 * Header fields that mirror the body (MCP 2026-07-28, Standard Headers; SEP-2243): whoever decides by the body makes sure
 * that a server which routes by the header reads the same.
 */
import { isRecord, kindOf } from "./body/message.ts";
import { ProxyError } from "./errors.ts";
import { META, metaOf } from "./era.ts";
import { type HeaderList, trimBlanks } from "./headers.ts";
import type { Era, Message } from "./types.ts";

/** Where `Mcp-Name` has its value from; the last three: Tasks extension (SEP-2663). */
const NAME_SOURCE: Readonly<Record<string, string>> = {
  "tools/call": "name",
  "prompts/get": "name",
  "resources/read": "uri",
  "tasks/get": "taskId",
  "tasks/update": "taskId",
  "tasks/cancel": "taskId",
};
const VERSION = "MCP-Protocol-Version";
const METHOD = "Mcp-Method";
const NAME = "Mcp-Name";
/** Field names are compared in lower case, and shown as the specification writes them. */
const MIRRORS = new Map([VERSION, METHOD, NAME].map((name) => [name.toLowerCase(), name]));
const PARAM = "mcp-param-";

const SENTINEL = /^=\?base64\?(.*)\?=$/s;
/** RFC 9110 §5.5 without obs-text. */
const FIELD_TEXT = /^[\t\x20-\x7e]*$/;

/**
 * A modern request must have its mirrors, and they must say what the body says. In older messages, and in notifications, those
 * that are there must. `Mcp-Param-*` mirror what only the tool's schema tells: they need to be readable.
 *
 * @param fields name, value, name, value … as they came
 * @throws ProxyError `HEADER_MISMATCH`
 */
export function checkMirrors(fields: readonly string[], message: Message, era: Era): void {
  const found = new Map<string, string>();
  for (let i = 0; i < fields.length; i += 2) {
    const key = fields[i]!.toLowerCase();
    const name = MIRRORS.get(key) ?? (key.startsWith(PARAM) ? key : undefined);
    if (name === undefined) continue;
    if (found.has(name)) refuse(`${name} is there twice.`);
    const value = trimBlanks(fields[i + 1]!);
    if (!FIELD_TEXT.test(value)) refuse(`${name} has characters that no header may have.`);
    found.set(name, decodeMirror(value) ?? refuse(`${name} is not valid base64 of UTF-8.`));
  }
  const required = era === "modern" && kindOf(message) === "request";
  compare(METHOD, message.method, "the method in the body");
  if (era === "modern") compare(VERSION, metaOf(message)?.[`${META}protocolVersion`], "the revision in params._meta");
  const source = nameSource(message.method);
  if (source) compare(NAME, nameOf(message), `params.${source}`);

  function compare(name: string, value: unknown, where: string): void {
    const mirror = found.get(name);
    if (mirror === undefined) {
      if (required && value !== undefined) refuse(`${name} is missing.`);
      return;
    }
    // A notification has no envelope of its own: there the header alone names the revision.
    if (value === undefined && name === VERSION && !required) return;
    if (mirror !== value) refuse(`${name} is not ${where}.`);
  }
}

/**
 * Makes the mirrors say again what the body says, after a hook has changed it.
 *
 * @param headers of the request to the server
 */
export function renewMirrors(headers: HeaderList, before: Message, after: Message, era: Era): void {
  const renew = (name: string, was: unknown, is: unknown) => {
    if (was === is || (era === "legacy" && !headers.has(name))) return;
    if (typeof is === "string") headers.set(name, name === NAME ? encodeMirror(is) : is);
    else headers.delete(name);
  };
  renew(METHOD, before.method, after.method);
  renew(NAME, nameOf(before), nameOf(after));
  if (era === "modern")
    renew(VERSION, metaOf(before)?.[`${META}protocolVersion`], metaOf(after)?.[`${META}protocolVersion`]);
}

/** The mirrors of a modern message that came without header fields: name, value, name, value … in lower case. */
export function mirrorsOf(message: Message): string[] {
  const version = metaOf(message)?.[`${META}protocolVersion`];
  const name = nameOf(message);
  return [
    ...(typeof version === "string" ? [VERSION.toLowerCase(), version] : []),
    ...(message.method === undefined ? [] : [METHOD.toLowerCase(), encodeMirror(message.method)]),
    ...(name === undefined ? [] : [NAME.toLowerCase(), encodeMirror(name)]),
  ];
}

/** @returns the text that a field value stands for; `undefined` when it claims to be encoded and is not */
export function decodeMirror(value: string): string | undefined {
  const encoded = SENTINEL.exec(value)?.[1];
  if (encoded === undefined) return value;
  try {
    const binary = atob(encoded);
    // RFC 4648 §3.5, §4: two spellings of one value would be two values for a server that compares texts.
    if (btoa(binary) !== encoded) return undefined;
    const bytes = Uint8Array.from(binary, (char) => char.charCodeAt(0));
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** Writes a text as a field value: as it is where that is safe, else as `=?base64?…?=`. */
export function encodeMirror(text: string): string {
  if (/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(text) && !SENTINEL.test(text)) return text;
  const bytes = Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte));
  return `=?base64?${btoa(bytes.join(""))}?=`;
}

function nameSource(method: string | undefined): string | undefined {
  return method !== undefined && Object.hasOwn(NAME_SOURCE, method) ? NAME_SOURCE[method] : undefined;
}

function nameOf(message: Message): string | undefined {
  const source = nameSource(message.method);
  const name = source && isRecord(message.params) ? message.params[source] : undefined;
  return typeof name === "string" ? name : undefined;
}

function refuse(hint: string): never {
  throw new ProxyError("HEADER_MISMATCH", { hint });
}
