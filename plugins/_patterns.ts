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
  const expressions: RegExp[] = [];
  for (const pattern of patterns) {
    if (pattern instanceof RegExp) expressions.push(new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, "")));
    else if (typeof pattern !== "string" || pattern === "")
      throw new ProxyError("BAD_OPTION", {
        plugin: `plugin '${plugin}'`,
        hint: "A pattern is a non-empty text or a regular expression.",
      });
    else if (pattern.includes("*")) expressions.push(globToRegExp(pattern));
    else names.add(pattern);
  }
  return (name) => names.has(name) || expressions.some((expression) => expression.test(name));
}

function globToRegExp(glob: string): RegExp {
  const parts = glob.split(/\*+/).map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
  return new RegExp(`^${parts.join("[^]*")}$`);
}
