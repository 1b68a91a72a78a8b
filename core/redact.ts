/** Secrets out of what is printed: values that were seen, and what stands under a name that secrets have. */

/** What stands in place of a secret. */
const REDACTED = "[redacted]";

/** Shorter values would take ordinary words out of every line. */
const MIN_SECRET = 4;
const MIN_PLAIN = 8;

const SECRET_NAME =
  /authorization|cookie|token|secret|passw|passphrase|credential|signature|(?:api|access|private|app|auth|client)[-_.]?key|(?:^|[-_.])(?:auth|key)(?:$|[-_.])/i;
/** Names that are secrets in a URL (OAuth), and ordinary words elsewhere. */
const SECRET_IN_URL = /^(?:code|state|sig|auth|pwd|pass)$|key$/i;

/** Longest part of a line that patterns look at. Names are bounded, so that no pattern goes over the same text again and again. */
const MAX_LINE = 64 * 1024;

const QUERY = /([?&;#]|%3F|%26)([\w.%[\]-]{1,64})=([^&#\s"'<>]+)/gi;
const USERINFO = /([a-z][a-z\d+.-]{1,16}:\/\/)[^\s/?#"']{1,512}@/gi;
const SCHEME =
  /\b(Bearer|Basic|DPoP|Digest)(\s+)(?!authenti|authoriz|credential|token\b|[\w-]+=["\w])([\w.~+/=:-]{4,})/gi;
const QUOTED = /(\\?["'])([\w.-]{1,64})\1(\s{0,4}[:=]\s{0,4})(\\?["'])((?:(?!\4)(?:\\[^]|[^\\]))+)/g;
const PLAIN = /\b([\w.-]{1,64})(=|:\s{0,4})(?!\[redacted\])([^\s,;&"'{}<>]+)/g;

/** Whether a header, variable or parameter of this name holds a secret as a rule. */
export function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name);
}

/** Whether a part of a path looks like a key and not like a word: long, and letters and digits mixed. */
export function isOpaque(text: string): boolean {
  return /^(?=.*\d)(?=.*[A-Za-z])[\w~.=-]{20,}$/.test(text);
}

/** Knows secrets, and takes them out of texts. */
export interface Redactor {
  /**
   * From now on this value is written as `[redacted]`, also URL-encoded or within JSON.
   *
   * @param name under which it was found; under an ordinary name (`accept-language`) values below 8 characters stay,
   *   under one that secrets have, or without a name, those below 4
   */
  add(value: string, name?: string): void;
  /**
   * The text without registered values, without credentials in URLs and after `Bearer` or `Basic`, and without what names such as `token=` announce.
   *
   * @param limit only so many characters of the result are needed: what is behind them is left out @default all
   */
  text(text: string, limit?: number): string;
}

/** A redactor that knows no value yet. */
export function createRedactor(): Redactor {
  const known = new Set<string>();
  /** Not one expression for all: runtimes limit how large one may be. */
  let values: readonly string[] = [];
  const learn = (value: string) => {
    // URLSearchParams encodes whatever it is given; encodeURIComponent throws on half a surrogate pair.
    const encoded = new URLSearchParams([["", value]]).toString().slice(1);
    for (const form of [value, encoded, encoded.replaceAll("+", "%20"), JSON.stringify(value).slice(1, -1)])
      known.add(form);
  };
  return {
    add(value, name) {
      const trimmed = value.trim();
      // What stands in place of secrets would be replaced in its turn.
      if (REDACTED.includes(trimmed)) return;
      if (trimmed.length < (name === undefined || isSecretName(name) ? MIN_SECRET : MIN_PLAIN)) return;
      learn(trimmed);
      const [, scheme, credential] = /^(\w+)\s+(\S.{3,})$/s.exec(trimmed) ?? [];
      if (credential !== undefined) learn(credential);
      if (/^basic$/i.test(scheme ?? "")) learnBasic(credential!, learn);
      if (name !== undefined && /cookie/i.test(name))
        for (const pair of trimmed.split(";")) {
          const cookie = pair.slice(pair.indexOf("=") + 1).trim();
          if (cookie.length >= MIN_SECRET) learn(cookie);
        }
      // The longest first: one secret may be the beginning of another.
      values = [...known].sort((a, b) => b.length - a.length);
    },
    text(text, limit = Number.POSITIVE_INFINITY) {
      let known = text;
      for (const value of values) known = known.replaceAll(value, REDACTED);
      // Patterns see more than is needed, so that none of them is cut off where it counts.
      const enough = 16 * limit;
      return (known.length > enough ? known.slice(0, enough) : known).split("\n").map(withoutNamed).join("\n");
    },
  };
}

/** What a name announces. */
function withoutNamed(line: string): string {
  if (line === "") return line;
  return (line.length > MAX_LINE ? `${line.slice(0, MAX_LINE)}…` : line)
    .replace(USERINFO, `$1${REDACTED}@`)
    .replace(SCHEME, `$1$2${REDACTED}`)
    .replace(QUERY, (all, before: string, name: string) =>
      isSecretName(name) || SECRET_IN_URL.test(name) ? `${before}${name}=${REDACTED}` : all,
    )
    .replace(QUOTED, quoted)
    .replace(PLAIN, (all, name: string, between: string, value: string) =>
      // After a colon stands prose more often than a secret: "authorization: the variable … is not set".
      isSecretName(name) && (between === "=" || /^(?=.*\d)\S{8,}$/.test(value)) ? `${name}${between}${REDACTED}` : all,
    );
}

/** A value may be JSON in its turn. */
function quoted(_: string, quote: string, name: string, between: string, open: string, value: string): string {
  return `${quote}${name}${quote}${between}${open}${isSecretName(name) ? REDACTED : value.replace(QUOTED, quoted)}`;
}

/** `Basic` hides user and password in base64; the password alone is a secret as well. */
function learnBasic(credential: string, learn: (value: string) => void): void {
  if (!/^[A-Za-z\d+/]+=*$/.test(credential) || credential.length % 4 !== 0) return;
  const password = atob(credential).split(":").slice(1).join(":");
  if (password.length >= MIN_SECRET) learn(password);
}
