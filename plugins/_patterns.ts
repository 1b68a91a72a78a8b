import { ProxyError } from "../core/index.ts";

/** A name, a name with `*` for any run of characters, or a regular expression. */
export type Pattern = string | RegExp;

/**
 * @param plugin whose option it is, for the message
 * @returns whether a name matches one of the patterns; none matches an empty list
 * @throws ProxyError `BAD_OPTION`
 */
export function compilePatterns(patterns: readonly Pattern[], plugin: string): (name: string) => boolean {
  const names = new Set<string>();
  const tests: ((name: string) => boolean)[] = [];
  for (const pattern of patterns) {
    if (pattern instanceof RegExp) {
      // A global or sticky one would remember where it stopped.
      const expression = new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ""));
      tests.push((name) => expression.test(name));
    } else if (typeof pattern !== "string" || pattern === "")
      throw new ProxyError("BAD_OPTION", {
        plugin: `plugin '${plugin}'`,
        hint: "A pattern is a non-empty text or a regular expression.",
      });
    else if (pattern.includes("*")) tests.push(glob(pattern));
    else names.add(pattern);
  }
  return (name) => names.has(name) || tests.some((test) => test(name));
}

/** Not an expression: with several `*` one would go over a long name again and again. Each part is found where it first stands, once. */
function glob(pattern: string): (name: string) => boolean {
  const [first, ...rest] = pattern.split("*") as [string, ...string[]];
  const last = rest.pop()!;
  return (name) => {
    if (!name.startsWith(first)) return false;
    let at = first.length;
    for (const part of rest) {
      const found = name.indexOf(part, at);
      if (found === -1) return false;
      at = found + part.length;
    }
    return name.length >= at + last.length && name.endsWith(last);
  };
}
