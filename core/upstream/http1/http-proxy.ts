/** HTTP proxies of the environment: which one is to be asked, and the tunnel through it (RFC 9110 §9.3.6). */
import { isIP, type Socket } from "node:net";
import { ProxyError } from "../../errors.ts";
import { ResponseParser } from "./response-parser.ts";

export interface HttpProxy {
  url: URL;
  /** A `Proxy-Authorization` line with its line end, or nothing. */
  authorization: string;
}

type Env = Readonly<Record<string, string | undefined>>;

/**
 * The proxy that the environment names for a URL. A loopback address is never behind one.
 *
 * @throws ProxyError `BAD_CONFIG` when the variable does not hold the URL of an HTTP proxy
 */
export function httpProxyFor(url: URL, env: Env): HttpProxy | undefined {
  const plain = env.http_proxy ?? env.HTTP_PROXY;
  const named = url.protocol === "https:" ? (env.https_proxy ?? env.HTTPS_PROXY ?? plain) : plain;
  if (!named || isLoopback(url) || isExempt(url, env.no_proxy ?? env.NO_PROXY ?? "")) return undefined;
  const text = named.includes("://") ? named : `http://${named}`;
  const proxy = URL.canParse(text) ? new URL(text) : undefined;
  if (!proxy || !/^https?:$/.test(proxy.protocol))
    throw new ProxyError("BAD_CONFIG", {
      hint: "HTTP_PROXY or HTTPS_PROXY must be an http:// or https:// URL; NO_PROXY names the hosts that need none.",
    });
  return { url: proxy, authorization: authorization(proxy) };
}

function authorization({ username, password }: URL): string {
  if (username === "" && password === "") return "";
  const credentials = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString("base64");
  return `proxy-authorization: Basic ${credentials}\r\n`;
}

function isLoopback(url: URL): boolean {
  const host = hostOf(url);
  return (
    host === "localhost" ||
    host.endsWith(".localhost") ||
    host === "::1" ||
    (isIP(host) === 4 && host.startsWith("127."))
  );
}

/** `NO_PROXY`: names with their subdomains, with or without a port, and `*` for all. */
function isExempt(url: URL, list: string): boolean {
  const host = hostOf(url);
  return list.split(/[,\s]+/).some((entry) => {
    if (entry === "") return false;
    if (entry === "*") return true;
    const [, name = entry, port] = /^(.+?)(?::(\d+))?$/.exec(isIP(entry) === 6 ? `[${entry}]` : entry) ?? [];
    if (port !== undefined && Number(port) !== portOf(url)) return false;
    const bare = name
      .replace(/^\*?\./, "")
      .replace(/^\[|\]$/g, "")
      .toLowerCase();
    return host === bare || host.endsWith(`.${bare}`);
  });
}

function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, "");
}

function portOf(url: URL): number {
  return Number(url.port) || (url.protocol === "https:" ? 443 : 80);
}

/**
 * Asks a proxy for a tunnel. A refusal destroys the socket with an error that says so.
 *
 * @param done the next byte on the socket is the server's
 */
export function openTunnel(socket: Socket, proxy: HttpProxy, target: URL, done: () => void): void {
  const authority = `${target.hostname}:${portOf(target)}`;
  const refuse = (detail: string) => socket.destroy(new ProxyError("UPSTREAM_UNREACHABLE", { detail }));
  let status = 0;
  const parser = new ResponseParser({
    head(given) {
      status = given;
      if (given < 300) return;
      parser.stop();
      refuse(`the HTTP proxy answered CONNECT with ${given}`);
    },
    data() {},
    end(excess) {
      // A TLS server waits for the client's first word.
      if (excess) return refuse("the HTTP proxy spoke into its tunnel");
      socket.off("data", read);
      socket.pause();
      done();
    },
  });
  function read(bytes: Buffer): void {
    try {
      parser.write(bytes);
    } catch {
      refuse("the HTTP proxy answered CONNECT with something that is not HTTP");
    }
  }
  socket.on("data", read);
  socket.once("end", () => {
    if (status === 0) refuse("the HTTP proxy closed the connection");
  });
  parser.begin("CONNECT");
  socket.write(`CONNECT ${authority} HTTP/1.1\r\nhost: ${authority}\r\n${proxy.authorization}\r\n`);
}
