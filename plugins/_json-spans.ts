/** Where a value stands in a JSON text, so that it can be replaced and every other byte stays as it was. */

/** From the first to behind the last character. */
export type Span = readonly [from: number, to: number];

const SPACE = /[ \t\r\n]*/y;
const SCALAR = /[^\s,\]}]*/y;

/**
 * @param text a valid JSON text without duplicate keys
 * @param path names of members, from the outermost object inwards
 * @returns `undefined` where there is no such member
 */
export function spanOf(text: string, path: readonly string[]): Span | undefined {
  let at = space(text, 0);
  for (const name of path) {
    const found = member(text, at, name);
    if (found === undefined) return undefined;
    at = found;
  }
  return [at, valueEnd(text, at)];
}

/** @param texts in order of their spans, which do not overlap */
export function splice(text: string, spans: readonly (readonly [Span, string])[]): string {
  let spliced = "";
  let at = 0;
  for (const [[from, to], put] of spans) {
    spliced += text.slice(at, from) + put;
    at = to;
  }
  return spliced + text.slice(at);
}

/** Where the value of a member of the object at `at` begins. */
function member(text: string, at: number, name: string): number | undefined {
  if (text[at] !== "{") return undefined;
  let key = space(text, at + 1);
  while (text[key] === '"') {
    const keyEnd = stringEnd(text, key);
    const value = space(text, space(text, keyEnd) + 1);
    if (JSON.parse(text.slice(key, keyEnd)) === name) return value;
    const end = space(text, valueEnd(text, value));
    key = space(text, end + 1);
  }
  return undefined;
}

function valueEnd(text: string, at: number): number {
  if (text[at] === '"') return stringEnd(text, at);
  if (text[at] !== "{" && text[at] !== "[") {
    SCALAR.lastIndex = at;
    SCALAR.test(text);
    return SCALAR.lastIndex;
  }
  let depth = 0;
  for (let i = at; i < text.length; i++) {
    const char = text[i];
    if (char === '"') i = stringEnd(text, i) - 1;
    else if (char === "{" || char === "[") depth++;
    else if ((char === "}" || char === "]") && --depth === 0) return i + 1;
  }
  return text.length;
}

function stringEnd(text: string, from: number): number {
  let at = from + 1;
  while (text[at] !== '"' && at < text.length) at += text[at] === "\\" ? 2 : 1;
  return at + 1;
}

function space(text: string, at: number): number {
  SPACE.lastIndex = at;
  SPACE.test(text);
  return SPACE.lastIndex;
}
