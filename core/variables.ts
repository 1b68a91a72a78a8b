/** `${VAR}` in configuration values: one pass, an unknown variable is a mistake, what comes in is never looked at again. */

const NAME = /^[A-Za-z_]\w*$/;

/** A variable that was filled in. */
export interface Expansion {
  name: string;
  value: string;
  /** The place in the file. */
  where: string;
}

/**
 * Fills in variables in every string of a value.
 *
 * @param where the value's place in the file
 * @param mistakes gets one sentence per variable that cannot be filled in
 * @param options `lenient` takes the forms of other products too: `${env:VAR}` and `${VAR:-default}`; `expansions` gets
 *   what was filled in
 */
export function expandVariables(
  value: unknown,
  where: string,
  mistakes: string[],
  options: { lenient?: boolean; expansions?: Expansion[] } = {},
): unknown {
  if (typeof value === "string")
    return replaceVariables(value, (text, inner) => lookUp(text, inner, where, mistakes, options));
  if (Array.isArray(value))
    return value.map((element, i) => expandVariables(element, `${where}.${i}`, mistakes, options));
  // Plugins are objects with functions and classes of their own: they are not configuration text.
  if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key,
      key === "plugins" ? inner : expandVariables(inner, `${where}.${key}`, mistakes, options),
    ]),
  );
}

/** Not an expression: one would look for the end of each `${` anew. */
function replaceVariables(value: string, fill: (text: string, inner: string) => string): string {
  let filled = "";
  let at = 0;
  for (;;) {
    const start = value.indexOf("${", at);
    const end = start === -1 ? -1 : value.indexOf("}", start);
    if (end === -1) return filled + value.slice(at);
    filled += value.slice(at, start) + fill(value.slice(start, end + 1), value.slice(start + 2, end));
    at = end + 1;
  }
}

function lookUp(
  text: string,
  inner: string,
  where: string,
  mistakes: string[],
  options: { lenient?: boolean; expansions?: Expansion[] },
): string {
  const [, name = inner, fallback] = (options.lenient && /^(?:env:)?(\w+)(?::-(.*))?$/.exec(inner)) || [];
  if (!NAME.test(name)) {
    mistakes.push(
      `${where}: ${JSON.stringify(text)} names no variable; allowed is \${NAME} with letters, digits and _.`,
    );
    return "";
  }
  const found = process.env[name] ?? fallback;
  if (found === undefined) mistakes.push(`${where}: the environment variable ${name} is not set.`);
  else options.expansions?.push({ name, value: found, where });
  return found ?? "";
}
