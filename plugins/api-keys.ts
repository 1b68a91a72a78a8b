import { type Plugin, type Principal, ProxyError, type RequestHead } from "../core/index.ts";

/** One key and what it may do. */
export interface ApiKey {
  /** 16 to 1024 characters of visible ASCII, of which 8 differ; `openssl rand -hex 32` makes one. */
  key: string;
  /** Told to other plugins with the principal. @default [] */
  scopes?: readonly string[];
}

/** Options of {@link apiKeys}. */
export interface ApiKeysOptions {
  /** Keys by the name of who holds them. The name is the principal: it appears in the log and in rate limits, the key nowhere. */
  keys: Readonly<Record<string, string | ApiKey>>;
  /**
   * Fields that a key is read from, in place of the default ones. In `Authorization` it stands behind `Bearer`, elsewhere alone.
   * A server never gets these fields.
   *
   * @default ["authorization", "x-api-key"]
   */
  headers?: readonly string[];
}

/** A key as it is kept: nobody can read it from a heap dump, and all are of one length. */
interface Known {
  digest: Uint8Array;
  principal: Principal;
}

const NAME = "api-keys";
const MIN_LENGTH = 16;
const MAX_LENGTH = 1024;
/** `aaaaaaaaaaaaaaaa`, `passwordpassword`: random keys of 16 characters have more, hexadecimal ones too. */
const MIN_DISTINCT = 8;
/** What examples and forgotten variables leave behind: everybody can guess it. */
const PLACEHOLDER = /^[$<{]|change[-_]?(?:me|this)|replace[-_]?(?:me|this)|placeholder|your[-_]?(?:api|own|secret)/i;
/** No white space, so that two fields joined by ", " are never a key. */
const VISIBLE = /^[\x21-\x7e]+$/;
/** RFC 6750 §2.1, RFC 9110 §11.1: the scheme in any case. */
const BEARER = /^bearer +([\x21-\x7e]+)$/i;
const FIELD_NAME = /^[!#$%&'*+\-.^_`|~\dA-Za-z]+$/;

/**
 * Lets callers in that hold one of several keys. In the root list it asks at every mount and at routes that are not public;
 * in a server's `plugins` at that server only, and mounts where no plugin asks stay open. Whoever has no key, a wrong one, or
 * different ones at once is not known: another authenticating plugin may know the caller, else the answer is 401.
 *
 * @throws ProxyError `BAD_OPTION`; its message never contains a key
 */
export function apiKeys(options: ApiKeysOptions): Plugin {
  const fields = (options.headers ?? ["authorization", "x-api-key"]).map((name) => String(name).toLowerCase());
  if (fields.length === 0 || !fields.every((name) => FIELD_NAME.test(name)))
    throw badOption("headers must name at least one header field.");
  const known = Promise.all(
    readKeys(options.keys).map(async ({ name, key, scopes }): Promise<Known> => {
      const principal = Object.freeze({ id: name, scopes: Object.freeze([...scopes]) });
      return { digest: await digestOf(key), principal };
    }),
  );
  return {
    name: NAME,
    credentials: fields,
    async authenticate(request) {
      const presented = readPresented(request, fields);
      return presented === undefined ? undefined : findKey(await known, await digestOf(presented));
    },
  };
}

/** @returns the one key that a request carries; nothing where there is none, or where its fields disagree or are malformed */
function readPresented({ headers }: RequestHead, fields: readonly string[]): string | undefined {
  let found: string | undefined;
  for (const name of fields) {
    const value = headers.get(name);
    if (value === null) continue;
    if (value.length > MAX_LENGTH + "Bearer ".length) return undefined;
    const key = name === "authorization" ? BEARER.exec(value)?.[1] : value;
    if (key === undefined || (found !== undefined && key !== found)) return undefined;
    found = key;
  }
  return found;
}

/** Looks at every byte of every digest, so that its time tells nothing about how close a guess was. */
function findKey(known: readonly Known[], digest: Uint8Array): Principal | undefined {
  let found: Principal | undefined;
  for (const one of known) {
    let difference = 0;
    for (let i = 0; i < digest.length; i++) difference |= one.digest[i]! ^ digest[i]!;
    if (difference === 0) found = one.principal;
  }
  return found;
}

async function digestOf(key: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(key)));
}

/** @throws ProxyError `BAD_OPTION` */
function readKeys(keys: ApiKeysOptions["keys"]): (Required<ApiKey> & { name: string })[] {
  const list = Object.entries(keys ?? {}).map(([name, value]) => {
    const { key, scopes = [] } = typeof value === "object" && value !== null ? value : { key: value };
    const where = `keys[${JSON.stringify(name)}]`;
    if (name.trim() === "") throw badOption("keys: a key needs a name.");
    if (key === undefined) throw badOption(`${where}: there is no key. Is its environment variable set?`);
    if (typeof key !== "string" || key.length < MIN_LENGTH || key.length > MAX_LENGTH || !VISIBLE.test(key))
      throw badOption(`${where}: a key has ${MIN_LENGTH} to ${MAX_LENGTH} characters of visible ASCII, and no spaces.`);
    if (PLACEHOLDER.test(key)) throw badOption(`${where}: a placeholder stands where the key should be.`);
    if (new Set(key).size < MIN_DISTINCT)
      throw badOption(`${where}: the key is easily guessed: it has fewer than ${MIN_DISTINCT} different characters.`);
    if (!Array.isArray(scopes) || !scopes.every((scope) => typeof scope === "string" && scope !== ""))
      throw badOption(`${where}: scopes must be a list of non-empty texts.`);
    return { name, key, scopes };
  });
  if (list.length === 0) throw badOption("keys: at least one key is needed, or nobody could call.");
  for (const [i, { name, key }] of list.entries()) {
    const twin = list.slice(0, i).find((other) => other.key === key);
    if (twin) throw badOption(`keys: '${twin.name}' and '${name}' are the same key.`);
  }
  return list;
}

function badOption(hint: string): ProxyError {
  return new ProxyError("BAD_OPTION", { plugin: `plugin '${NAME}'`, hint });
}
