/** Whether a posted body says that it is JSON, in a way that the server cannot read differently. */
import { trimBlanks } from "../headers.ts";

/**
 * One `Content-Type`, `application/json`, in UTF-8 (RFC 8259 §8.1), and no `Content-Encoding`. A server that believes a second
 * field, or another character set, would read another message than the one that was checked.
 *
 * @param fields name, value, name, value …; names in lower case
 */
export function isPlainJson(fields: readonly string[]): boolean {
  let type: string | undefined;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i];
    if (name === "content-encoding") return false;
    if (name !== "content-type") continue;
    if (type !== undefined) return false;
    type = fields[i + 1]!;
  }
  return type === "application/json" || (type !== undefined && isJsonType(type));
}

function isJsonType(value: string): boolean {
  // A comma would be a second value: some proxies join repeated fields so.
  if (value.includes(",")) return false;
  const [type, ...parameters] = value.toLowerCase().split(";").map(trimBlanks);
  return type === "application/json" && parameters.every((one) => !one.startsWith("charset") || UTF_8.has(one));
}

const UTF_8: ReadonlySet<string> = new Set(["charset=utf-8", 'charset="utf-8"', "charset=utf8"]);
