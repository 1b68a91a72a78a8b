const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const NUMBER = /[-\d][\d.eE+-]*/y;
const COLON = /[ \t\r\n]*:[ \t\r\n]*/y;

/**
 * The text of the member `id` of a message, quotes included. Of several the last one, as `JSON.parse` has it. For messages that
 * the scan refuses: an id beyond 2^53 must find its way back from those too.
 *
 * @param text one that `JSON.parse` takes
 * @returns `undefined` where there is none that is a string or a number
 */
export function findIdText(text: string): string | undefined {
  const span = spanOf(text, ["id"]);
  return span && text.slice(...span);
}

/**
 * Where the string or number stands that is found under a path of keys, e.g. `["params", "requestId"]`. Of several members of one
 * name the last one counts, as `JSON.parse` has it. What stands there can be replaced without touching anything else.
 *
 * @param text one that `JSON.parse` takes
 * @returns its first character and the one behind it, quotes included
 */
export function spanOf(text: string, path: readonly string[]): [from: number, to: number] | undefined {
  let found: [number, number] | undefined;
  let depth = 0;
  /** So many parts of the path lead to the object at hand. */
  let matched = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x7b || code === 0x5b) depth++;
    else if (code === 0x7d || code === 0x5d) {
      depth--;
      if (matched > 0 && depth === matched) matched--;
    } else if (code === QUOTE) {
      const end = stringEnd(text, at);
      const key = path[matched]!;
      COLON.lastIndex = end;
      // A key may be written with an escape for each of its characters.
      if (depth === matched + 1 && end - at <= 6 * key.length + 2 && COLON.test(text)) {
        const value = COLON.lastIndex;
        if (JSON.parse(text.slice(at, end)) === key) {
          if (matched === path.length - 1) found = scalarAt(text, value);
          else if (text.charCodeAt(value) === 0x7b) matched++;
        }
      }
      at = end - 1;
    }
  }
  return found;
}

function scalarAt(text: string, at: number): [number, number] | undefined {
  if (text.charCodeAt(at) === QUOTE) return [at, stringEnd(text, at)];
  NUMBER.lastIndex = at;
  return NUMBER.test(text) ? [at, NUMBER.lastIndex] : undefined;
}

function stringEnd(text: string, from: number): number {
  for (let at = from + 1; ; at++) {
    const code = text.charCodeAt(at);
    if (code === BACKSLASH) at++;
    else if (code === QUOTE) return at + 1;
  }
}
