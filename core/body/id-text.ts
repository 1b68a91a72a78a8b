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
  let found: string | undefined;
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x7b || code === 0x5b) depth++;
    else if (code === 0x7d || code === 0x5d) depth--;
    else if (code === QUOTE) {
      const end = stringEnd(text, at);
      COLON.lastIndex = end;
      if (depth === 1 && end - at <= MAX_KEY && COLON.test(text) && JSON.parse(text.slice(at, end)) === "id")
        found = scalarAt(text, COLON.lastIndex);
      at = end - 1;
    }
  }
  return found;
}

/** `"id"`, every character written with an escape. */
const MAX_KEY = 14;

function scalarAt(text: string, at: number): string | undefined {
  if (text.charCodeAt(at) === QUOTE) return text.slice(at, stringEnd(text, at));
  NUMBER.lastIndex = at;
  return NUMBER.exec(text)?.[0];
}

function stringEnd(text: string, from: number): number {
  for (let at = from + 1; ; at++) {
    const code = text.charCodeAt(at);
    if (code === BACKSLASH) at++;
    else if (code === QUOTE) return at + 1;
  }
}
