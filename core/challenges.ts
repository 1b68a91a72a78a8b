/** `WWW-Authenticate` as RFC 9110 §11.6.1 has it: several challenges in a field, told apart only by what follows each comma. */

/** One parameter of a challenge. */
export interface ChallengeParam {
  /** In lower case. */
  name: string;
  value: string;
  /** As it came; written in place of name and value where it is there. */
  raw?: string;
}

/** One way to log in that a server offers. */
export interface Challenge {
  scheme: string;
  /** What some schemes have in place of parameters. */
  token68?: string;
  params: readonly ChallengeParam[];
}

// Sticky, and no two repetitions that could share a character: a field is read once, from left to right.
const TOKEN = /[\w!#$%&'*+.^`|~-]+/y;
const TOKEN_68 = /[\w.~+/-]+=*/y;
/** RFC 9110 §11.2 with §5.6.4: no control character in a quoted string. */
const PARAM =
  /([\w!#$%&'*+.^`|~-]+)[ \t]*=[ \t]*(?:"([\t !#-[\]-~\x80-\xff]*(?:\\[\t -~\x80-\xff][\t !#-[\]-~\x80-\xff]*)*)"|([\w!#$%&'*+.^`|~-]+))/y;
const SPACE = /[ \t]*/y;
const BETWEEN = /[ \t,]*/y;
/** Challenges and parameters of one field. Each costs memory of its own, and no server has a tenth of it to say. */
const MAX_PARTS = 1000;

/**
 * Reads one header field. Time and memory grow with its length and no faster.
 *
 * @returns nothing when it is malformed: whoever passes on half of it passes on something else
 */
export function parseChallenges(field: string): Challenge[] | undefined {
  const challenges: Challenge[] = [];
  let at = 0;
  let parts = 0;
  const read = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const found = pattern.exec(field);
    if (found) at += found[0].length;
    return found;
  };
  /** A list ends, or a comma follows. */
  const endsHere = () => {
    read(SPACE);
    return at === field.length || field[at] === ",";
  };
  read(BETWEEN);
  while (at < field.length) {
    const scheme = read(TOKEN)?.[0];
    if (scheme === undefined || ++parts > MAX_PARTS) return undefined;
    const afterScheme = at;
    if (endsHere()) {
      challenges.push({ scheme, params: [] });
    } else {
      if (at === afterScheme) return undefined;
      const start = at;
      const token68 = read(TOKEN_68)?.[0];
      if (token68 !== undefined && endsHere()) {
        challenges.push({ scheme, token68, params: [] });
      } else {
        at = start;
        const params: ChallengeParam[] = [];
        for (let after = start; ; after = at) {
          const param = read(PARAM);
          if (!param) {
            // Not a parameter: the next challenge begins here.
            at = after;
            break;
          }
          const [raw, name, quoted, token] = param;
          params.push({ name: name!.toLowerCase(), value: token ?? quoted!.replace(/\\(.)/g, "$1"), raw });
          if (!endsHere() || ++parts > MAX_PARTS) return undefined;
          read(BETWEEN);
        }
        if (params.length === 0) return undefined;
        challenges.push({ scheme, params });
      }
    }
    read(BETWEEN);
  }
  return challenges;
}

/** The opposite of {@link parseChallenges}: one header field. What has its `raw` text is written as it came. */
export function writeChallenges(challenges: readonly Challenge[]): string {
  return challenges
    .map(({ scheme, token68, params }) => {
      const rest = token68 ?? params.map(({ name, value, raw }) => raw ?? `${name}=${quote(value)}`).join(", ");
      return rest === "" ? scheme : `${scheme} ${rest}`;
    })
    .join(", ");
}

/** A quoted string; what no field value may hold is left out. */
function quote(value: string): string {
  return `"${value.replace(/[^\t -~\x80-\xff]/g, "").replace(/["\\]/g, "\\$&")}"`;
}
