/** What proxies in front say about the request that they got: `Forwarded` (RFC 7239), and the older `X-Forwarded-*` fields. */
import type { AddressSet } from "./addresses.ts";

/** What the client asked for, as far as a trusted proxy told. */
export interface ForwardedOrigin {
  /** With port, where one was told. */
  host?: string;
  proto?: "http" | "https";
}

const HOST = /^(?:[a-z\d](?:[a-z\d.-]{0,253}[a-z\d])?\.?|\[[\da-f:.]{2,45}\])(?::\d{1,5})?$/i;
/** Real ones are far shorter; what is longer was made to keep somebody busy. */
const MAX_FIELD = 4096;

/**
 * Reads the entry of the outermost trusted proxy: everything that was there before it is the client's own claim. A field that
 * is malformed, or contradicts another, counts as absent. `X-Forwarded-Prefix` is never read: many proxies pass on a client's.
 *
 * @param peer address of the socket's peer
 */
export function forwardedOrigin(headers: Headers, peer: string, trusted: AddressSet): ForwardedOrigin {
  if (!trusted(peer)) return {};
  const modern = fromForwarded(headers.get("forwarded") ?? "", trusted);
  const older = fromOlderFields(headers, trusted);
  return { ...agreed("host", modern, older), ...agreed("proto", modern, older) };
}

/** A proxy sets one kind of fields and may pass on the other as a client sent it. So where both speak, they must say the same. */
function agreed(key: keyof ForwardedOrigin, a: ForwardedOrigin, b: ForwardedOrigin): ForwardedOrigin {
  const value = a[key] ?? b[key];
  return value === undefined || (b[key] ?? value) !== value ? {} : { [key]: value };
}

function fromForwarded(field: string, trusted: AddressSet): ForwardedOrigin {
  const elements = parseForwarded(field);
  let found: ForwardedOrigin = {};
  // Each proxy adds on the right. An outer one counts for more; what it left out, an inner one may tell.
  for (const { for: node = "", host, proto } of elements.reverse()) {
    found = { ...found, ...readHost(host), ...readProto(proto) };
    if (!trusted(withoutPort(node))) break;
  }
  return found;
}

function fromOlderFields(headers: Headers, trusted: AddressSet): ForwardedOrigin {
  const hops = list(headers, "x-forwarded-for").reverse();
  const untrusted = hops.findIndex((hop) => !trusted(withoutPort(hop)));
  const outermost = untrusted === -1 ? Math.max(0, hops.length - 1) : untrusted;
  // A proxy adds an entry as it does to X-Forwarded-For, or puts one in place of all. Of other lengths nobody can tell whose is which.
  const entry = (name: string) => {
    const values = list(headers, name).reverse();
    return values.length === hops.length ? values[outermost] : values.length === 1 ? values[0] : undefined;
  };
  const told = readHost(entry("x-forwarded-host"));
  const port = entry("x-forwarded-port");
  if (told.host && !/:\d+$/.test(told.host) && port) Object.assign(told, readHost(`${told.host}:${port}`));
  return { ...told, ...readProto(entry("x-forwarded-proto")) };
}

function readHost(host = ""): ForwardedOrigin {
  return HOST.test(host) && URL.canParse(`http://${host}`) ? { host: host.toLowerCase() } : {};
}

function readProto(proto = ""): ForwardedOrigin {
  const name = proto.toLowerCase();
  return name === "http" || name === "https" ? { proto: name } : {};
}

function list(headers: Headers, name: string): string[] {
  const field = headers.get(name) ?? "";
  return field === "" || field.length > MAX_FIELD ? [] : field.split(",").map((one) => one.trim());
}

/** An address as proxies write it: `192.0.2.1`, `192.0.2.1:80`, `[2001:db8::1]:80`, `2001:db8::1`. */
function withoutPort(node: string): string {
  if (node.startsWith("[")) return node.slice(1, node.indexOf("]"));
  return /^[\d.]+:\d+$/.test(node) ? node.slice(0, node.indexOf(":")) : node;
}

/** name "=" (token / quoted-string); a host with a port often comes without its quotes. */
const PAIR = /[ \t]*([\w!#$%&'*+.^`|~-]+)=(?:"([^"\\]*(?:\\.[^"\\]*)*)"|([^\s",;]+))[ \t]*/y;

/** RFC 7239 §4. @returns nothing where any of it is malformed */
function parseForwarded(field: string): Record<string, string>[] {
  if (field === "" || field.length > MAX_FIELD) return [];
  const elements: Record<string, string>[] = [{}];
  for (let at = 0; at < field.length;) {
    PAIR.lastIndex = at;
    const pair = PAIR.exec(field);
    if (!pair) return [];
    const [whole, name, quoted, token] = pair;
    const element = elements.at(-1)!;
    const key = name!.toLowerCase();
    if (Object.hasOwn(element, key)) return [];
    element[key] = token ?? quoted!.replace(/\\(.)/g, "$1");
    at += whole.length;
    const next = field[at++];
    if (next === ",") elements.push({});
    else if (next !== ";" && next !== undefined) return [];
  }
  return elements;
}
