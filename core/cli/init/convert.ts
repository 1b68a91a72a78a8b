/** Servers of another product's file, made fit for a configuration: what is secret becomes a variable. */
import { isRecord } from "../../body/message.ts";
import { isOpaque, isSecretName } from "../../redact.ts";
import { speaksSse } from "../../mcp-json.ts";
import { secretArgs } from "../../secrets.ts";
import type { Json } from "../../types.ts";

/** A server that can be served: its name, and what stands under it. */
export interface ConvertedServer {
  name: string;
  entry: Json;
}

/** A server that cannot be served yet. */
export interface SkippedServer {
  name: string;
  reason: string;
  /** What may be shown of it. */
  entry: Json;
}

export interface Conversion {
  servers: ConvertedServer[];
  skipped: SkippedServer[];
  /** Environment variables that the configuration needs, by name. */
  variables: string[];
}

/** Headers whose values say nothing about who sends them. All others become variables: a name does not tell what is secret. */
const HARMLESS = /^(?:accept(?:-.*)?|user-agent|content-type|cache-control|.*-version)$/i;
const REFERENCE = /\$\{(env:|input:)?([A-Za-z_][\w-]*)(?::-[^}]*)?\}/g;

/** @param entries as in `mcpServers` */
export function convertServers(entries: Json): Conversion {
  const conversion: Conversion = { servers: [], skipped: [], variables: [] };
  const variables = new Variables();
  for (const [name, entry] of Object.entries(entries)) {
    const reason = whyNot(name, entry);
    if (reason === undefined) conversion.servers.push(convertServer(name, entry as Json, variables));
    else conversion.skipped.push({ name, reason, entry: presentable(name, entry, variables) });
  }
  // Those of left-out servers are asked for when they are put in.
  const text = JSON.stringify(conversion.servers);
  conversion.variables = variables.names.filter((variable) => text.includes(`\${${variable}}`));
  return conversion;
}

function whyNot(name: string, entry: unknown): string | undefined {
  if (!isRecord(entry)) return "it is no object";
  if (name === "" || name === "__proto__") return "this name cannot be used";
  if (entry.disabled === true) return "it is disabled there";
  if (entry.command !== undefined && entry.url !== undefined) return "it has both a command and a url";
  if (typeof entry.command === "string" && entry.command !== "") return undefined;
  if (typeof entry.url !== "string" || (!/^https?:\/\//i.test(entry.url) && !entry.url.startsWith("${")))
    return "it has neither a command nor an http: or https: url";
  return undefined;
}

function convertServer(name: string, entry: Json, variables: Variables): ConvertedServer {
  return {
    name,
    entry: entry.command === undefined ? convertHttp(name, entry, variables) : convertStdio(name, entry, variables),
  };
}

/** A word, a number, a path: what an environment is full of, and nobody need hide. */
const PLAIN_VALUE = /^(?:true|false|\d{1,6}|[a-z]{1,16}|(?:[/~.]|[A-Za-z]:\\)[^\s:@?]*)$/i;

function convertStdio(name: string, entry: Json, variables: Variables): Json {
  const args = Array.isArray(entry.args) ? entry.args.map(String) : [];
  const env = isRecord(entry.env) ? Object.entries(entry.env) : [];
  const secrets = new Set(secretArgs(args));
  const hidden = (value: string, place: string) => secret(value, [name, place], variables);
  return {
    command: references(entry.command as string, variables),
    ...(args.length > 0 && {
      args: args.map((arg, i) => {
        const [, flag, value] = /^(--?[\w.-]+=)([^]+)$/.exec(arg) ?? [];
        if (flag !== undefined && secrets.has(value!)) return flag + hidden(value!, flag);
        return secrets.has(arg)
          ? hidden(arg, /^--?[\w.-]+$/.exec(args[i - 1] ?? "")?.[0] ?? "arg")
          : references(arg, variables);
      }),
    }),
    ...(env.length > 0 && {
      env: Object.fromEntries(
        env.map(([key, value]) => {
          const text = String(value);
          const isPlain = !isSecretName(key) && PLAIN_VALUE.test(text) && !text.split("/").some(isOpaque);
          return [key, isPlain ? references(text, variables) : hidden(text, key)];
        }),
      ),
    }),
    ...(typeof entry.cwd === "string" && { cwd: references(entry.cwd, variables) }),
  };
}

function convertHttp(name: string, entry: Json, variables: Variables): Json {
  const headers: Record<string, string> = {};
  if (isRecord(entry.headers))
    for (const [header, value] of Object.entries(entry.headers))
      headers[header] = HARMLESS.test(header)
        ? references(String(value), variables)
        : secret(String(value), [name, header], variables);
  const { url, hadUser } = convertUrl(entry.url as string, name, variables);
  if (hadUser && !Object.keys(headers).some((header) => /^authorization$/i.test(header)))
    headers.authorization = `Basic \${${variables.add(name, "authorization")}}`;
  return {
    url,
    ...(speaksSse(entry) && { transport: "sse" }),
    ...(Object.keys(headers).length > 0 && { headers }),
  };
}

/** A value that nobody may read: what it refers to stays, anything written out becomes a variable. */
function secret(value: string, place: string[], variables: Variables): string {
  const [, scheme = "", rest = ""] = /^((?:Bearer|Basic|Token|DPoP)\s+)?([^]*)$/i.exec(value)!;
  const isReference = rest !== "" && rest.replace(REFERENCE, "") === "";
  return scheme + (isReference ? references(rest, variables) : `\${${variables.add(...place)}}`);
}

/** Each product's form of a variable in ours. A default may be a secret, and goes. */
function references(value: string, variables: Variables): string {
  return value
    .replace(
      REFERENCE,
      (_, kind: string | undefined, variable: string) => `\${${variables.refer(variable, kind === "input:")}}`,
    )
    .replace(/\$\{(?![A-Za-z_]\w*\})[^}]*\}/g, (text) => `\${${variables.refer(text)}}`);
}

/** Keys in the query, and in paths too; user and password. */
function convertUrl(text: string, name: string, variables: Variables): { url: string; hadUser: boolean } {
  const [, scheme = "", user, host = "", path = "", query] =
    /^(https?:\/\/)?([^/?#]*@)?([^/?#]*)([^?#]*)(?:\?([^#]*))?/i.exec(text)!;
  const parts = path.split("/").map((part) => (isOpaque(part) ? `\${${variables.add(name, "url", "key")}}` : part));
  const pairs = query?.split("&").map((pair) => {
    const [key = "", value] = splitOnce(pair);
    const isSecret = isSecretName(key) || /key|code|sig|auth|pass|id$/i.test(key) || isOpaque(value ?? "");
    return value && isSecret ? `${key}=${secret(value, [name, key], variables)}` : pair;
  });
  const url = references(`${scheme}${host}${parts.join("/")}`, variables);
  return { url: pairs ? `${url}?${references(pairs.join("&"), variables)}` : url, hadUser: user !== undefined };
}

function splitOnce(pair: string): [string, string?] {
  const at = pair.indexOf("=");
  return at === -1 ? [pair] : [pair.slice(0, at), pair.slice(at + 1)];
}

/** Of a server that is left out only what cannot hold a secret: arguments and environments do. */
function presentable(name: string, entry: unknown, variables: Variables): Json {
  if (!isRecord(entry)) return {};
  const { command, url } = entry;
  return {
    ...(typeof command === "string" && /^[\w./@:\\-]{1,200}$/.test(command) && !isOpaque(command) && { command }),
    ...(typeof url === "string" && { url: convertUrl(url, name, variables).url }),
  };
}

/** Names of environment variables, each for one secret only. */
class Variables {
  readonly names: string[] = [];

  /** For a secret that stood in the file. @param parts of its name, e.g. server and header */
  add(...parts: string[]): string {
    const base = toName(parts.join("_"));
    let name = base;
    for (let i = 2; this.names.includes(name); i++) name = `${base}_${i}`;
    this.names.push(name);
    return name;
  }

  /** For a variable or an input that the file refers to. */
  refer(text: string, isInput = false): string {
    const name = !isInput && /^[A-Za-z_]\w*$/.test(text) ? text : toName(text);
    if (!this.names.includes(name)) this.names.push(name);
    return name;
  }
}

function toName(text: string): string {
  const name = text
    .replace(/[^A-Za-z\d]+/g, "_")
    .replace(/^_+|_+$/g, "")
    .toUpperCase();
  return /^[A-Z]/.test(name) ? name : `SERVER_${name}`.replace(/_$/, "");
}
