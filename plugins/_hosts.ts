import { ProxyError, isLoopbackHost } from "../core/index.ts";

/** Name or address of a host in lower case, IPv6 in brackets and in its shortest form, and the port where there is one. */
export interface Host {
  name: string;
  port: string | undefined;
}

/** A {@link Host} with the scheme of a page, where a port that is not written is the scheme's. */
export interface Origin extends Host {
  scheme: string;
}

type Matcher<T> = (value: T) => boolean;

interface Pattern extends Host {
  /** The name itself, the names below it, or every name of this machine. */
  kind: "exact" | "below" | "loopback";
}

/** RFC 1035 §2.3.4: 255 octets, and a port. */
const MAX_LENGTH = 261;
const HOST = /^(\[[\da-f:.]+\]|[\w.~!$&'()*+,;=-]+)(?::(\d{0,5}))?$/i;
/** RFC 6454 §6.2: scheme, host and port, and nothing else: no user, no path, no second origin. */
const ORIGIN = /^([a-z][a-z\d+.-]*):\/\/(\[[\da-f:.]+\](?::\d{1,5})?|[\w.-]+(?::\d{1,5})?)$/i;
/** What an entry may be written as: a name in any alphabet, or an address. */
const ENTRY = /^(\[[\da-f:.]+\]|[^\s:/?#@\\,*%[\]]+)(?::(\d{1,5}))?$/i;
const DEFAULT_PORTS: ReadonlyMap<string, string> = new Map([
  ["http", "80"],
  ["https", "443"],
]);

/** @returns what a Host field says, or nothing where it cannot be one */
export function readHost(text: string): Host | undefined {
  if (text.length > MAX_LENGTH) return undefined;
  const [, name, port] = HOST.exec(text) ?? [];
  if (name === undefined || Number(port ?? 0) > 65_535) return undefined;
  const known = name.startsWith("[") ? shortIpv6(name) : name.toLowerCase();
  return known === undefined ? undefined : { name: known, port: port ? String(Number(port)) : undefined };
}

/** @returns what an Origin field says, or nothing where it is `null`, several, or none */
export function readOrigin(text: string): Origin | undefined {
  const [, scheme, rest] = ORIGIN.exec(text) ?? [];
  const host = rest === undefined ? undefined : readHost(rest);
  if (scheme === undefined || !host) return undefined;
  return { ...host, scheme: scheme.toLowerCase(), port: host.port ?? DEFAULT_PORTS.get(scheme.toLowerCase()) };
}

/**
 * @param entries names, `*.` names, addresses, each with a port or for every port; `loopback` for all names of this machine
 * @returns whether a host is one of them; none is in an empty list
 * @throws ProxyError `BAD_OPTION`
 */
export function compileHosts(entries: readonly string[], plugin: string): Matcher<Host> {
  const patterns = entries.map((entry) => toPattern(entry) ?? refuse(plugin, "hosts", entry, HOST_FORMS));
  return (host) => patterns.some((pattern) => matches(pattern, host));
}

/**
 * @param entries `scheme://host`, with a port, with `:*` for every port, or for the scheme's own one
 * @throws ProxyError `BAD_OPTION`
 */
export function compileOrigins(entries: readonly string[], plugin: string): Matcher<Origin> {
  const patterns = entries.map((entry) => {
    const [, scheme, rest, anyPort] = /^([a-z][a-z\d+.-]*):\/\/(.+?)(:\*)?$/i.exec(String(entry)) ?? [];
    const pattern = rest === undefined ? undefined : toPattern(rest);
    if (!scheme || !pattern || pattern.kind === "loopback" || (anyPort && pattern.port))
      return refuse(plugin, "origins", entry, ORIGIN_FORMS);
    const port = anyPort ? undefined : (pattern.port ?? DEFAULT_PORTS.get(scheme.toLowerCase()));
    return { ...pattern, scheme: scheme.toLowerCase(), port };
  });
  return (origin) => patterns.some((pattern) => pattern.scheme === origin.scheme && matches(pattern, origin));
}

const HOST_FORMS = '"mcp.example.com", "*.example.com", "192.0.2.7:8080", "[2001:db8::7]" or "loopback"';
const ORIGIN_FORMS = '"https://app.example.com", "https://*.example.com", "http://localhost:*" or "null"';

function toPattern(entry: string): Pattern | undefined {
  if (entry === "loopback") return { kind: "loopback", name: "", port: undefined };
  if (typeof entry !== "string") return undefined;
  const below = entry.startsWith("*.");
  const text = below ? entry.slice(2) : entry;
  // An IPv6 address may be written as people write it where no port follows.
  const [, name, port] = ENTRY.exec(/^[\da-f.]*:[\da-f.]*:[\da-f:.]*$/i.test(text) ? `[${text}]` : text) ?? [];
  if (name === undefined || Number(port ?? 0) > 65_535 || !URL.canParse(`http://${name}`)) return undefined;
  const { hostname } = new URL(`http://${name}`);
  if (below && /^\[|^[\d.]+$/.test(hostname)) return undefined;
  return { kind: below ? "below" : "exact", name: hostname, port: port && String(Number(port)) };
}

function matches({ kind, name, port }: Pattern, host: Host): boolean {
  // A Host field without a port does not tell the scheme, so it may mean either default.
  const samePort =
    port === undefined || (host.port === undefined ? port === "80" || port === "443" : port === host.port);
  if (!samePort) return false;
  if (kind === "loopback") return isLoopbackHost(host.name);
  return kind === "exact" ? host.name === name : host.name.length > name.length + 1 && host.name.endsWith(`.${name}`);
}

function shortIpv6(address: string): string | undefined {
  return URL.canParse(`http://${address}`) ? new URL(`http://${address}`).hostname : undefined;
}

function refuse(plugin: string, option: string, entry: unknown, forms: string): never {
  throw new ProxyError("BAD_OPTION", {
    plugin: `plugin '${plugin}'`,
    hint: `${option}: ${JSON.stringify(entry)} is none of the forms ${forms}.`,
  });
}
